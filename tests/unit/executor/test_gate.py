"""What every attempt asks before it, and the last of the budget (P4, P7)."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.decisions.guards import Limits
from kintsugi.errors import LedgerUnavailable, NotAdmitted, ServerUnavailable, StaleEpoch
from kintsugi.model.change_limits import Budget
from kintsugi.model.command import Command
from kintsugi.model.records import Phase, StepRecord, StepState
from kintsugi.runner import RunnerDeps
from kintsugi.runner.context import StepScope
from kintsugi.runner.gate import RunAdmission, RunGate
from tests.unit.executor.effects import SCALE, TEXT, ExecutorBench
from tests.unit.factories import catalog, incident, moment, rule_text, runbook_text, service_text, step, virtual_clock
from tests.unit.run_rows import OTHER, change_of
from tests.unit.runner.fakes import ScriptedProber, ShownState
from tests.unit.virtual import play

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    ("objections", "thinks"),
    [(["paused by ada: look"], []), ([], [timedelta(seconds=31)])],
    ids=["a person's no", "an intent that has grown old"],
)
async def test_an_effect_that_the_gate_objects_to_after_the_intent_is_not_made_and_is_judged_anew(
    objections: list[str], thinks: list[timedelta]
) -> None:
    """E29, P4: a process that was stopped between intent and effect may have a successor by now."""
    bench = ExecutorBench()
    bench.gate.objections.extend(objections)
    bench.gate.thinks.extend(thinks)
    bench.gate.waits = timedelta(minutes=1)
    record = await bench.execute()
    assert record.state is StepState.DONE
    assert bench.states == [StepState.INTENT, StepState.PLANNED, StepState.INTENT, StepState.DONE]
    assert bench.actor.calls == ["prepare", "prepare", "perform"]
    assert bench.gate.asked == ["objection", "admit", "objection"]


async def test_a_refused_attempt_says_in_the_ledger_that_it_was_not_made_and_why() -> None:
    bench = ExecutorBench()
    bench.gate.objections.append("paused by ada: look")
    bench.gate.admits.append(NotAdmitted("frozen by ada"))
    seen: list[StepRecord | None] = []
    bench.gate.on_admit = lambda: seen.append(bench.rows.known("scale#0"))
    with pytest.raises(NotAdmitted):
        await bench.execute()
    assert [(each.state, each.error) for each in seen if each] == [(StepState.PLANNED, "not made: paused by ada: look")]
    kept = bench.rows.known("scale#0")
    assert kept is not None
    assert (kept.state, kept.error) == (StepState.SKIPPED, "frozen by ada")
    assert kept.finished is not None
    assert not bench.actor.texts


async def test_every_retry_passes_the_gate_and_is_judged_on_the_live_object() -> None:
    """B6, B14: after an outage nothing is simply made: it is wanted still, or it is not."""
    bench = ExecutorBench(perform=[ServerUnavailable("connection refused")] * 3)
    await bench.execute()
    assert bench.gate.asked == ["objection", *["admit", "objection"] * 3]
    assert bench.actor.calls == ["prepare", "perform"] * 4
    assert bench.actor.texts == [TEXT]


async def test_an_effect_that_is_not_needed_any_more_is_skipped_at_its_retry() -> None:
    bench = ExecutorBench(perform=[ServerUnavailable("connection refused")])
    bench.gate.admits.append("the service is healthy")
    record = await bench.execute()
    assert (record.state, record.error) == (StepState.SKIPPED, "the service is healthy")
    assert not bench.actor.texts


async def test_an_intent_of_an_earlier_life_passes_the_gate_after_its_probe() -> None:
    """P3, C2: only probing is exempt."""
    bench = ExecutorBench()
    bench.gate.objections.append(LedgerUnavailable("this life ends between intent and effect"))
    with pytest.raises(LedgerUnavailable):
        await bench.execute()
    assert bench.states == [StepState.INTENT]
    bench.gate.admits.append(NotAdmitted("mode is observe"))
    with pytest.raises(NotAdmitted):
        await bench.execute()
    assert bench.actor.calls == ["prepare", "probe"]
    assert bench.states == [StepState.INTENT, StepState.UNKNOWN, StepState.PLANNED, StepState.SKIPPED]
    assert not bench.actor.texts


async def test_a_daemon_that_has_lost_the_lead_makes_nothing() -> None:
    """P4, C4: the epoch is read once more between intent and effect."""
    bench = ExecutorBench()
    bench.gate.objections.append(StaleEpoch("another leads"))
    with pytest.raises(StaleEpoch):
        await bench.execute()
    assert bench.states == [StepState.INTENT]
    assert not bench.actor.texts


async def test_a_budget_that_is_spent_in_the_intent_s_own_transaction_holds_the_effect() -> None:
    """P7: of several runs that find one change left in the budget, one makes it."""
    bench = ExecutorBench()
    bench.gate.limit = Budget(most=1, since=moment())
    bench.rows.add_other()
    bench.rows.disrupt(change_of(OTHER, "kubectl cordon one", at=moment(seconds=1)))
    bench.gate.on_admit = bench.rows.disrupt
    executing = asyncio.ensure_future(bench.execute())
    await asyncio.wait({executing}, timeout=3600)
    assert executing.done(), "it never asks the gate, and so never finds the budget free"
    assert executing.result().state is StepState.DONE
    assert bench.gate.asked == ["admit", "objection"]
    assert bench.states == [StepState.INTENT, StepState.DONE]


async def test_waiting_at_the_gate_does_not_use_up_the_effect_s_time() -> None:
    bench = ExecutorBench()
    bench.gate.objections.append("paused")
    bench.gate.waits = timedelta(minutes=20)
    bench.actor.will("prepare", None, ServerUnavailable("away"))
    record = await bench.execute(retry_until=moment(minutes=2))
    assert record.state is StepState.DONE


async def test_cancelled_at_the_gate_an_effect_ends_at_once_and_under_way_it_ends_first() -> None:
    """C3: a stop waits for what was begun, and for nothing else."""
    bench = ExecutorBench()
    bench.gate.objections.append("paused")
    bench.gate.waits = timedelta(hours=1)
    task = asyncio.ensure_future(bench.execute())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert asyncio.get_running_loop().time() == 1
    assert bench.states == [StepState.INTENT, StepState.PLANNED]

    bench = ExecutorBench()
    bench.actor.takes = timedelta(seconds=10)
    task = asyncio.ensure_future(bench.execute())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert bench.states == [StepState.INTENT, StepState.DONE]


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
            poll_interval=timedelta(seconds=10),
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
