"""The whole budget can be spent: an intent that is committed counts against those after it, and not against itself (P7)."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.decisions.guards import Limits
from kintsugi.model.command import Command
from kintsugi.model.records import Phase, StepRecord, StepState
from kintsugi.runner import RunnerDeps
from kintsugi.runner.context import StepScope
from kintsugi.runner.gate import RunAdmission, RunGate
from tests.unit.executor.effects import SCALE, ExecutorBench
from tests.unit.factories import catalog, incident, moment, rule_text, runbook_text, service_text, step, virtual_clock
from tests.unit.run_rows import OTHER, change_of
from tests.unit.runner.fakes import ScriptedProber, ShownState
from tests.unit.virtual import play

RUNBOOK = runbook_text("- {id: scale, run: kubectl scale deployment web --replicas=5 -n production}")


class NeededGate(RunGate):
    """The gate of a run whose trigger goes on and is not silenced."""

    async def skip_reason(self, _attempt: object) -> str:
        """Return that the change is needed."""
        return ""

    async def silence(self) -> str:
        """Return that nobody has silenced anything."""
        return ""


class BudgetBench(ExecutorBench):
    """The executor behind the real gate, on the in-memory ledger."""

    def __init__(self, budget: int, *, spent: int = 0) -> None:
        super().__init__()
        observed = ShownState(catalog(service_text(), rule_text(), RUNBOOK))
        deps = RunnerDeps(
            executor=self.executor,
            prober=ScriptedProber(lambda: observed.views),
            observed=observed,
            clock=virtual_clock,
            poll_interval=timedelta(seconds=1),
            command_timeout=timedelta(seconds=30),
        )
        self._gate = NeededGate(
            deps=deps,
            ledger=self.rows.ledger,
            journal=self.journal,
            incident=incident(),
            limits=Limits(budget=budget, budget_window=timedelta(minutes=10)),
            plan="x",
            expiry=timedelta(minutes=30),
        )
        self.gate = self.admission(SCALE)  # type: ignore[assignment]  # the bench asks what it is given
        self.rows.add_other()
        self.rows.disrupt(*(change_of(OTHER, f"kubectl cordon n{each}", at=moment()) for each in range(spent)))

    def admission(self, command: Command) -> RunAdmission:
        """Return the gate before a change."""
        return self._gate.admission(StepScope(phase=Phase.FORWARD, service="web", runbook="mend"), command)

    async def together(self, count: int) -> list[StepRecord]:
        """Make so many changes at once."""
        known = [replace(step(f"scale#{each}"), state=StepState.PLANNED) for each in range(count)]
        return await asyncio.gather(*(self.execute(known=each) for each in known))


@pytest.mark.parametrize(("budget", "spent", "changes"), [(1, 0, 1), (20, 19, 1), (2, 0, 2), (20, 0, 20)])
def test_every_slot_of_the_budget_is_used(budget: int, spent: int, changes: int) -> None:
    bench = BudgetBench(budget, spent=spent)

    ended = play(asyncio.wait_for(bench.together(changes), 60))

    assert [each.state for each in ended] == [StepState.DONE] * changes
    assert len(bench.actor.texts) == changes
    assert bench.states.count(StepState.INTENT) == changes, "nothing was begun anew"


def test_a_change_beyond_the_budget_waits_for_the_end_of_its_window_and_writes_nothing_meanwhile() -> None:
    """A change is made once the window is over; until then the ledger is not asked to keep anything of it."""
    bench = BudgetBench(1, spent=1)

    [ended] = play(asyncio.wait_for(bench.together(1), 3600))

    assert ended.state is StepState.DONE
    assert ended.finished is not None
    assert ended.finished >= moment(minutes=10)
    assert bench.states == [StepState.INTENT, StepState.DONE]


def test_a_change_that_is_refused_at_its_intent_again_and_again_is_planned_less_and_less_often() -> None:
    """What objects just then may be gone before the gate waits for it: each round reads the object and commits twice."""
    bench = ExecutorBench()
    bench.gate.objections.extend(["paused by ada: just now"] * 30)

    async def ten_minutes() -> int:
        made = asyncio.create_task(bench.execute(retry_until=moment(hours=5)))
        await asyncio.sleep(600)
        rounds = bench.gate.asked.count("objection")
        await made
        return rounds

    assert play(ten_minutes()) < 20
    assert bench.states.count(StepState.INTENT) == 31
