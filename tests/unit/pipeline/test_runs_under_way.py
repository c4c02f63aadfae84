"""The tasks of runs: one each, taken up again, ended by another leader, held up by a ledger that is away."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.reconciliation import ReconcileAction
from kintsugi.errors import LedgerUnavailable, StaleEpoch, UnreadableRow
from kintsugi.model.history import Abort
from kintsugi.model.records import Incident, IncidentState, RunRecord, StepRecord, StepState
from kintsugi.model.services import STACK
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.run_supervisor import RunPolicy, RunSupervisor
from kintsugi.telemetry import FailureScope
from tests.harness import ledgers
from tests.unit.as_ledger import as_ledger
from tests.unit.factories import moment, pod
from tests.unit.runner.bench import SCALE, TIMEOUT, RunBench, clock
from tests.unit.runner.fakes import RunLedger

pytestmark = pytest.mark.looptime


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[EventDict]]:
    """Return what is logged; a traceback takes longer to write for a person than the rest of a test."""
    with capture_logs() as captured:
        yield captured


CATALOGS = ledgers.LedgerAtOnce()
STEPS = "- {id: scale, run: kubectl scale deployment/web --replicas=5}"


class SupervisedLedger:
    """The bench's ledger with what a supervisor asks besides; `refusals` are what it raises when a run is handed over."""

    def __init__(self, ledger: RunLedger) -> None:
        self._ledger = ledger
        self.refusals: list[Exception] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def incident(self, _: str) -> Incident:
        """Return the incident."""
        return self._ledger.incident

    async def open_runs(self) -> tuple[RunRecord, ...]:
        """List the runs that are not over."""
        record = self._ledger.record
        return () if record.finished else (record,)

    async def move_run(self, run: str, state: IncidentState, reason: str, now: datetime, **more: Any) -> RunRecord:
        """Move the run, unless this is refused."""
        if state is IncidentState.NEEDS_OPERATOR and self.refusals:
            raise self.refusals.pop(0)
        return await self._ledger.move_run(run, state, reason, now, **more)


class SupervisedRun(RunBench):
    """A run that a supervisor carries, while web is ill; `counted` are the failures that were contained."""

    def __init__(self, steps: str = STEPS, *, heals: str = "kubectl scale", heals_after: float = 5) -> None:
        super().__init__(steps, heals=heals, heals_after=timedelta(seconds=heals_after))
        self.observed.show(ready=1, pods=(pod("web-1"), pod("web-2", ready=False)))
        self.ledger.record = replace(self.ledger.record, catalog=self.catalog.digest)
        self.supervised = SupervisedLedger(self.ledger)
        ledgers.work_at_once()
        keeper = ActiveCatalog(self.catalog, CATALOGS.ledger.catalogs, lambda _: self.catalog)
        policy = RunPolicy(
            timings=TIMEOUT, limits=Limits(), approval_expiry=timedelta(minutes=30), retry_after=timedelta(seconds=5)
        )
        self.supervisor = RunSupervisor(self.deps(), as_ledger(self.supervised), keeper, policy)
        self.counted: list[FailureScope] = []
        self.supervisor.containment.on_contained(self.counted.append)

    def start(self) -> None:
        """Let the supervisor begin the run."""
        self.supervisor.start(self.ledger.record)

    async def reconciled(self, *, seconds: int) -> None:
        """Let the tick come every five seconds for that long."""
        for _ in range(seconds // 5):
            await self.supervisor.reconcile()
            await asyncio.sleep(5)

    async def over(self) -> None:
        """Wait until no run is under way."""
        async with asyncio.timeout(7200):
            while self.supervisor.under_way.runs:
                await asyncio.sleep(1)

    def away(self) -> None:
        """Let the ledger be away for a minute."""
        self.ledger.trouble = LedgerUnavailable("the database is away")
        self.at(60, lambda: setattr(self.ledger, "trouble", None))


@pytest.fixture
async def bench() -> SupervisedRun:
    return SupervisedRun()


async def test_a_run_is_carried_to_its_end_and_told(bench: SupervisedRun) -> None:
    ends: list[IncidentState] = []
    begins: list[str] = []
    bench.supervisor.on_start(lambda run: begins.append(run.id))
    bench.supervisor.on_end(lambda run, steps: ends.append(run.state) if steps else None)
    bench.start()
    assert bench.supervisor.under_way.runs.keys() == {"web"}
    assert bench.supervisor.run_of("web") is not None
    await bench.over()
    assert (begins, ends) == (["run-1"], [IncidentState.RECOVERED])
    assert bench.effects == [SCALE]
    assert bench.supervisor.run_of("web") is None


async def test_runs_under_way_are_told_as_they_stand(bench: SupervisedRun) -> None:
    """Dependents are let go while the run of their upstream verifies."""
    bench.start()
    states: set[IncidentState] = set()
    while bench.supervisor.under_way.runs:
        assert set(bench.supervisor.under_way.runs) == {"web"}
        states |= {each.state for each in bench.supervisor.under_way.runs.values()}
        await asyncio.sleep(1)
    assert {IncidentState.RUNNING, IncidentState.VERIFYING} <= states
    assert bench.supervisor.under_way.covered_by == ""


async def test_a_run_of_the_stack_covers_all_services_while_it_is_under_way(bench: SupervisedRun) -> None:
    bench.supervisor.start(replace(bench.ledger.record, id="run-9", service=STACK))
    assert bench.supervisor.under_way.covered_by == "run-9"
    await bench.supervisor.stop()


async def test_a_run_is_begun_only_once(bench: SupervisedRun) -> None:
    """P2."""
    for _ in range(3):
        bench.start()
    await bench.supervisor.resume()
    await bench.over()
    assert bench.effects == [SCALE]


async def test_a_ledger_that_is_away_holds_the_run_up_and_changes_nothing(bench: SupervisedRun) -> None:
    """P8, E30: no intent, no effect; when it is back the run goes on from what it says."""
    bench.away()
    times = bench.note_times()
    bench.start()
    await bench.over()
    assert times == {SCALE: pytest.approx(60, abs=6)}
    assert bench.state is IncidentState.RECOVERED


async def test_another_leader_ends_everything_at_once(bench: SupervisedRun) -> None:
    """P4, C4: nothing more may be done by this one."""
    bench.ledger.trouble = StaleEpoch("another daemon leads")
    bench.start()
    await bench.over()
    assert bench.supervisor.leadership_lost.is_set()
    assert not bench.effects
    assert bench.state is IncidentState.RUNNING


async def test_a_mistake_in_one_run_calls_a_person_and_is_not_acted_through(bench: SupervisedRun) -> None:
    bench.actor.will("prepare", ZeroDivisionError("a bug"))
    bench.start()
    await bench.over()
    assert bench.state is IncidentState.NEEDS_OPERATOR
    assert bench.reason == "the run cannot continue: ZeroDivisionError: a bug"
    assert not bench.effects


@pytest.mark.parametrize("at_all", [True, False])
async def test_a_run_whose_steps_cannot_be_read_is_closed_with_what_can_be(bench: SupervisedRun, at_all: bool) -> None:
    """P9: what cannot be read is what made it be given up, and is not needed to give it up: its service must not stay locked."""
    done = StepRecord(run="run-1", path="scale#0", state=StepState.DONE, changes=True, text=SCALE)

    async def steps(run: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        if strict or not at_all:
            raise UnreadableRow(f"strict={strict}")
        return (done,)

    bench.ledger.steps = steps  # type: ignore[method-assign]
    await bench.supervisor.resume()
    await bench.over()
    assert bench.state is IncidentState.NEEDS_OPERATOR
    first, *rest = bench.ledger.record.reason.splitlines()
    assert first == "the run cannot continue: UnreadableRow: strict=True"
    unknown = "The changes of the run are unknown (UnreadableRow: strict=False)"
    assert rest == ["Done:", f"  {SCALE}"] if at_all else rest[0].startswith(unknown)
    assert not bench.effects


async def test_stopping_waits_for_effects_that_were_begun(bench: SupervisedRun) -> None:
    """C3: no effect is left in the middle."""
    bench.actor.takes = timedelta(seconds=20)
    bench.start()
    await asyncio.sleep(5)
    await bench.supervisor.stop()
    assert clock() == 20
    assert bench.step("scale#0").state is StepState.DONE
    assert bench.state is IncidentState.RUNNING


@pytest.mark.parametrize("away", [False, True])
async def test_a_persons_rollback_reaches_the_run_of_its_incident(away: bool) -> None:
    """What a person has said holds through an outage, and what was not begun until then is not begun."""
    bench = SupervisedRun("- {id: one, run: kubectl cordon one}", heals="kubectl uncordon", heals_after=0)
    assert bench.supervisor.roll_back("inc-1", "ada") is False
    if away:
        bench.away()
    bench.start()
    await asyncio.sleep(0 if away else 10)
    assert bench.supervisor.roll_back("inc-2", "ada") is False
    assert bench.supervisor.roll_back("inc-1", "ada") is True
    await bench.over()
    assert (IncidentState.ROLLING_BACK, "rollback asked for by ada") in bench.ledger.moves
    assert bench.state is (IncidentState.NEEDS_OPERATOR if away else IncidentState.ROLLED_BACK)
    assert (bench.effects == []) is away


async def test_an_open_run_without_a_task_is_taken_up_by_the_tick(bench: SupervisedRun) -> None:
    """D2, P5: a request whose answer was lost leaves no run that nobody carries."""
    record = bench.ledger.record
    bench.ledger.record = replace(record, finished=record.started)
    await bench.supervisor.resume()
    bench.ledger.record = record
    await bench.supervisor.reconcile()
    assert bench.supervisor.under_way.runs.keys() == {"web"}
    await bench.supervisor.reconcile()
    await bench.over()
    assert bench.effects == [SCALE]
    assert bench.state is IncidentState.RECOVERED


async def test_no_run_is_taken_up_before_the_start_or_after_the_stop(bench: SupervisedRun) -> None:
    """P6: a start waits until its caches are synced; C3: a stop begins nothing."""
    await bench.supervisor.reconcile()
    assert not bench.supervisor.under_way.runs
    await bench.supervisor.resume()
    await asyncio.sleep(0)
    await bench.supervisor.stop()
    assert not bench.state.is_final
    await bench.supervisor.reconcile()
    assert not bench.supervisor.under_way.runs


async def test_a_run_that_is_over_when_it_is_begun_is_told_to_nobody(bench: SupervisedRun) -> None:
    """The answer of its claim came late; it was taken up meanwhile."""
    heard: list[str] = []
    bench.supervisor.on_start(lambda run: heard.append(f"start {run.id}"))
    bench.supervisor.on_end(lambda run, _: heard.append(f"end {run.id}"))
    stale = bench.ledger.record
    bench.ledger.record = replace(stale, state=IncidentState.RECOVERED, finished=stale.started)
    bench.supervisor.start(stale)
    await bench.over()
    assert heard == []


async def test_a_run_whose_task_dies_is_counted_and_taken_up_again(bench: SupervisedRun) -> None:
    """C8: what nobody expected is heard."""
    bench.actor.will("prepare", ZeroDivisionError("a bug"))
    bench.supervised.refusals = [ValueError("the steps cannot be read")]
    await bench.supervisor.resume()
    await bench.reconciled(seconds=60)
    assert bench.counted == [FailureScope.RUN]
    await bench.over()
    assert bench.effects == [SCALE]
    assert bench.state is IncidentState.RECOVERED


async def test_a_run_whose_task_dies_again_and_again_is_handed_over(bench: SupervisedRun) -> None:
    """C8: a mistake in one run is not repeated for ever, and not left to nobody."""
    ends: list[IncidentState] = []
    bench.supervisor.on_end(lambda run, _: ends.append(run.state))
    bench.actor.will("prepare", *[ZeroDivisionError("a bug")] * 9)
    bench.supervised.refusals = [ValueError("the steps cannot be read")] * 4
    await bench.supervisor.resume()
    await bench.reconciled(seconds=600)
    assert bench.counted == [FailureScope.RUN] * 4
    assert ends == [IncidentState.NEEDS_OPERATOR]
    assert bench.reason == (
        "the run cannot continue: its task crashed 4 times, last with ValueError: the steps cannot be read"
    )
    assert not bench.effects


async def test_a_listener_that_fails_keeps_no_run_from_its_task_and_no_other_from_hearing(bench: SupervisedRun) -> None:
    """C8."""
    heard: list[IncidentState] = []

    def fail(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    for listen in (bench.supervisor.on_start, bench.supervisor.on_end):
        listen(fail)
    bench.supervisor.on_start(lambda run: heard.append(run.state))
    bench.supervisor.on_end(lambda run, _: heard.append(run.state))
    bench.start()
    await bench.over()
    assert heard == [IncidentState.RUNNING, IncidentState.RECOVERED]
    assert bench.counted == [FailureScope.LISTENER] * 2
    assert bench.effects == [SCALE]


async def test_a_run_past_its_deadline_that_looks_at_nothing_is_seen_and_gets_a_new_task(bench: SupervisedRun) -> None:
    """P5: an effect that hangs for two hours; the deadline came after half an hour."""
    bench.actor.takes = timedelta(hours=2)
    begins: list[float] = []
    cares: list[ReconcileAction] = []
    bench.supervisor.on_start(lambda _: begins.append(clock()))
    bench.supervisor.on_reconciled(cares.append)
    await bench.supervisor.resume()
    await bench.reconciled(seconds=39 * 60)
    assert cares == []
    await bench.reconciled(seconds=60 * 60)
    await bench.over()
    assert cares == [ReconcileAction.RESTART, ReconcileAction.TAKE_UP]
    assert begins == [0, pytest.approx(40 * 60, abs=20)]
    assert bench.state.is_final


async def test_a_run_that_is_aborted_ends_also_where_another_process_was_told() -> None:
    """C1: the abort is in the ledger before it takes effect."""
    for told in (True, False):
        bench = SupervisedRun("- {id: wait, expect: 1 == 2, within: 1h}")
        abort = Abort(incident="inc-1", who="ada", why="a deploy", requested=moment())
        bench.ledger.aborted = None if told else abort
        bench.start()
        await asyncio.sleep(60)
        if told:
            bench.supervisor.abort("inc-2", "aborted by bob: another one")
            bench.supervisor.abort("inc-1", abort.reason)
        await bench.over()
        assert bench.ledger.moves == [(IncidentState.CANCELLED, "aborted by ada: a deploy")]
