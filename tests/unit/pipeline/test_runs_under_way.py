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


def supervisor_of(bench: RunBench, ledger: "SupervisedLedger | None" = None) -> RunSupervisor:
    """Make a supervisor over the bench's ledger; web is ill."""
    bench.observed.show(ready=1, pods=(pod("web-1"), pod("web-2", ready=False)))
    bench.ledger.record = replace(bench.ledger.record, catalog=bench.catalog.digest)
    ledger = ledger or SupervisedLedger(bench.ledger)
    ledgers.work_at_once()
    keeper = ActiveCatalog(bench.catalog, CATALOGS.ledger.catalogs, lambda _: bench.catalog)
    policy = RunPolicy(
        timings=TIMEOUT, limits=Limits(), approval_expiry=timedelta(minutes=30), retry_after=timedelta(seconds=5)
    )
    return RunSupervisor(bench.deps(), as_ledger(ledger), keeper, policy)


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


async def reconciled(supervisor: RunSupervisor, *, seconds: int) -> None:
    """Let the tick come every five seconds for that long."""
    for _ in range(seconds // 5):
        await supervisor.reconcile()
        await asyncio.sleep(5)


async def over(supervisor: RunSupervisor) -> None:
    """Wait until no run is under way."""
    async with asyncio.timeout(7200):
        while supervisor.under_way.runs:
            await asyncio.sleep(1)


async def test_a_run_is_carried_to_its_end_and_told() -> None:
    bench = RunBench(STEPS, heals="kubectl scale")
    supervisor = supervisor_of(bench)
    ends: list[IncidentState] = []
    begins: list[str] = []
    supervisor.on_start(lambda run: begins.append(run.id))
    supervisor.on_end(lambda run, steps: ends.append(run.state) if steps else None)
    supervisor.start(bench.ledger.record)
    assert supervisor.under_way.runs.keys() == {"web"}
    assert supervisor.run_of("web") is not None
    await over(supervisor)
    assert (begins, ends) == (["run-1"], [IncidentState.RECOVERED])
    assert bench.effects == [SCALE]
    assert supervisor.run_of("web") is None


async def test_runs_under_way_are_told_as_they_stand() -> None:
    """Dependents are let go while the run of their upstream verifies."""
    bench = RunBench(STEPS, heals="kubectl scale")
    supervisor = supervisor_of(bench)
    supervisor.start(bench.ledger.record)
    states: set[IncidentState] = set()
    while supervisor.under_way.runs:
        assert set(supervisor.under_way.runs) == {"web"}
        states |= {each.state for each in supervisor.under_way.runs.values()}
        await asyncio.sleep(1)
    assert {IncidentState.RUNNING, IncidentState.VERIFYING} <= states
    assert supervisor.under_way.covered_by == ""


async def test_a_run_of_the_stack_covers_all_services_while_it_is_under_way() -> None:
    bench = RunBench(STEPS, heals="kubectl scale")
    supervisor = supervisor_of(bench)
    supervisor.start(replace(bench.ledger.record, id="run-9", service=STACK))
    assert supervisor.under_way.covered_by == "run-9"
    await supervisor.stop()


async def test_a_run_is_begun_only_once() -> None:
    """P2."""
    bench = RunBench(STEPS, heals="kubectl scale")
    supervisor = supervisor_of(bench)
    for _ in range(3):
        supervisor.start(bench.ledger.record)
    await supervisor.resume()
    await over(supervisor)
    assert bench.effects == [SCALE]


async def test_a_ledger_that_is_away_holds_the_run_up_and_changes_nothing() -> None:
    """P8, E30: no intent, no effect; when it is back the run goes on from what it says."""
    bench = RunBench(STEPS, heals="kubectl scale")
    supervisor = supervisor_of(bench)
    bench.ledger.trouble = LedgerUnavailable("the database is away")
    bench.at(60, lambda: setattr(bench.ledger, "trouble", None))
    times = bench.note_times()
    supervisor.start(bench.ledger.record)
    await over(supervisor)
    assert times == {SCALE: pytest.approx(60, abs=6)}
    assert bench.ledger.record.state is IncidentState.RECOVERED


async def test_another_leader_ends_everything_at_once() -> None:
    """P4, C4: nothing more may be done by this one."""
    bench = RunBench(STEPS)
    supervisor = supervisor_of(bench)
    bench.ledger.trouble = StaleEpoch("another daemon leads")
    supervisor.start(bench.ledger.record)
    await over(supervisor)
    assert supervisor.leadership_lost.is_set()
    assert not bench.effects
    assert bench.ledger.record.state is IncidentState.RUNNING


async def test_a_mistake_in_one_run_calls_a_person_and_is_not_acted_through() -> None:
    bench = RunBench(STEPS)
    supervisor = supervisor_of(bench)
    bench.actor.will("prepare", ZeroDivisionError("a bug"))
    supervisor.start(bench.ledger.record)
    await over(supervisor)
    assert bench.ledger.record.state is IncidentState.NEEDS_OPERATOR
    assert bench.ledger.record.reason == "the run cannot continue: ZeroDivisionError: a bug"
    assert not bench.effects


@pytest.mark.parametrize("at_all", [True, False])
async def test_a_run_whose_steps_cannot_be_read_is_closed_with_what_can_be(at_all: bool) -> None:
    """P9: what cannot be read is what made it be given up, and is not needed to give it up: its service must not stay locked."""
    bench = RunBench(STEPS)
    supervisor = supervisor_of(bench)
    done = StepRecord(run="run-1", path="scale#0", state=StepState.DONE, changes=True, text=SCALE)

    async def steps(run: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        if strict or not at_all:
            raise UnreadableRow(f"strict={strict}")
        return (done,)

    bench.ledger.steps = steps  # type: ignore[method-assign]
    await supervisor.resume()
    await over(supervisor)
    assert bench.ledger.record.state is IncidentState.NEEDS_OPERATOR
    first, *rest = bench.ledger.record.reason.splitlines()
    assert first == "the run cannot continue: UnreadableRow: strict=True"
    unknown = "The changes of the run are unknown (UnreadableRow: strict=False)"
    assert rest == ["Done:", f"  {SCALE}"] if at_all else rest[0].startswith(unknown)
    assert not bench.effects


async def test_stopping_waits_for_effects_that_were_begun() -> None:
    """C3: no effect is left in the middle."""
    bench = RunBench(STEPS)
    bench.actor.takes = timedelta(seconds=20)
    supervisor = supervisor_of(bench)
    supervisor.start(bench.ledger.record)
    await asyncio.sleep(5)
    await supervisor.stop()
    assert clock() == 20
    assert bench.step("scale#0").state is StepState.DONE
    assert bench.ledger.record.state is IncidentState.RUNNING


@pytest.mark.parametrize("away", [False, True])
async def test_a_persons_rollback_reaches_the_run_of_its_incident(away: bool) -> None:
    """What a person has said holds through an outage; the run is begun and its first look is yet to come."""
    bench = RunBench("- {id: one, run: kubectl cordon one}", heals="kubectl uncordon", heals_after=timedelta(0))
    supervisor = supervisor_of(bench)
    assert supervisor.roll_back("inc-1", "ada") is False
    if away:
        bench.ledger.trouble = LedgerUnavailable("the database is away")
        bench.at(60, lambda: setattr(bench.ledger, "trouble", None))
    supervisor.start(bench.ledger.record)
    await asyncio.sleep(0 if away else 10)
    assert supervisor.roll_back("inc-2", "ada") is False
    assert supervisor.roll_back("inc-1", "ada") is True
    await over(supervisor)
    assert (IncidentState.ROLLING_BACK, "rollback asked for by ada") in bench.ledger.moves
    assert bench.ledger.record.state is IncidentState.ROLLED_BACK


async def test_an_open_run_without_a_task_is_taken_up_by_the_tick() -> None:
    """D2, P5: a request whose answer was lost leaves no run that nobody carries."""
    bench = RunBench(STEPS, heals="kubectl scale")
    supervisor = supervisor_of(bench)
    finished, bench.ledger.record = (
        bench.ledger.record,
        replace(bench.ledger.record, finished=bench.ledger.record.started),
    )
    await supervisor.resume()
    bench.ledger.record = finished
    await supervisor.reconcile()
    assert supervisor.under_way.runs.keys() == {"web"}
    await supervisor.reconcile()
    await over(supervisor)
    assert bench.effects == [SCALE]
    assert bench.ledger.record.state is IncidentState.RECOVERED


async def test_no_run_is_taken_up_before_the_start_or_after_the_stop() -> None:
    """P6: a start waits until its caches are synced; C3: a stop begins nothing."""
    bench = RunBench(STEPS)
    supervisor = supervisor_of(bench)
    await supervisor.reconcile()
    assert not supervisor.under_way.runs
    await supervisor.resume()
    await asyncio.sleep(0)
    await supervisor.stop()
    assert not bench.ledger.record.state.is_final
    await supervisor.reconcile()
    assert not supervisor.under_way.runs


async def test_a_run_that_is_over_when_it_is_begun_is_told_to_nobody() -> None:
    """The answer of its claim came late; it was taken up meanwhile."""
    bench = RunBench(STEPS)
    supervisor = supervisor_of(bench)
    heard: list[str] = []
    supervisor.on_start(lambda run: heard.append(f"start {run.id}"))
    supervisor.on_end(lambda run, _: heard.append(f"end {run.id}"))
    stale = bench.ledger.record
    bench.ledger.record = replace(stale, state=IncidentState.RECOVERED, finished=stale.started)
    supervisor.start(stale)
    await over(supervisor)
    assert heard == []


async def test_a_run_whose_task_dies_is_counted_and_taken_up_again() -> None:
    """C8: what nobody expected is heard."""
    bench = RunBench(STEPS, heals="kubectl scale")
    ledger = SupervisedLedger(bench.ledger)
    supervisor = supervisor_of(bench, ledger)
    counted: list[FailureScope] = []
    supervisor.containment.on_contained(counted.append)
    bench.actor.will("prepare", ZeroDivisionError("a bug"))
    ledger.refusals = [ValueError("the steps cannot be read")]
    await supervisor.resume()
    await reconciled(supervisor, seconds=60)
    assert counted == [FailureScope.RUN]
    await over(supervisor)
    assert bench.effects == [SCALE]
    assert bench.ledger.record.state is IncidentState.RECOVERED


async def test_a_run_whose_task_dies_again_and_again_is_handed_over() -> None:
    """C8: a mistake in one run is not repeated for ever, and not left to nobody."""
    bench = RunBench(STEPS)
    ledger = SupervisedLedger(bench.ledger)
    supervisor = supervisor_of(bench, ledger)
    counted: list[FailureScope] = []
    supervisor.containment.on_contained(counted.append)
    ends: list[IncidentState] = []
    supervisor.on_end(lambda run, _: ends.append(run.state))
    bench.actor.will("prepare", *[ZeroDivisionError("a bug")] * 9)
    ledger.refusals = [ValueError("the steps cannot be read")] * 4
    await supervisor.resume()
    await reconciled(supervisor, seconds=600)
    assert counted == [FailureScope.RUN] * 4
    assert ends == [IncidentState.NEEDS_OPERATOR]
    assert bench.ledger.record.reason == (
        "the run cannot continue: its task crashed 4 times, last with ValueError: the steps cannot be read"
    )
    assert not bench.effects


async def test_a_listener_that_fails_keeps_no_run_from_its_task_and_no_other_from_hearing() -> None:
    """C8."""
    bench = RunBench(STEPS, heals="kubectl scale")
    supervisor = supervisor_of(bench)
    counted: list[FailureScope] = []
    heard: list[IncidentState] = []

    def fail(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    supervisor.containment.on_contained(counted.append)
    for listen in (supervisor.on_start, supervisor.on_end):
        listen(fail)
    supervisor.on_start(lambda run: heard.append(run.state))
    supervisor.on_end(lambda run, _: heard.append(run.state))
    supervisor.start(bench.ledger.record)
    await over(supervisor)
    assert heard == [IncidentState.RUNNING, IncidentState.RECOVERED]
    assert counted == [FailureScope.LISTENER] * 2
    assert bench.effects == [SCALE]


async def test_a_run_past_its_deadline_that_looks_at_nothing_is_seen_and_gets_a_new_task() -> None:
    """P5: an effect that hangs for two hours; the deadline came after half an hour."""
    bench = RunBench(STEPS, heals="kubectl scale")
    bench.actor.takes = timedelta(hours=2)
    supervisor = supervisor_of(bench)
    begins: list[float] = []
    cares: list[ReconcileAction] = []
    supervisor.on_start(lambda _: begins.append(clock()))
    supervisor.on_reconciled(cares.append)
    await supervisor.resume()
    await reconciled(supervisor, seconds=39 * 60)
    assert cares == []
    await reconciled(supervisor, seconds=60 * 60)
    await over(supervisor)
    assert cares == [ReconcileAction.RESTART, ReconcileAction.TAKE_UP]
    assert begins == [0, pytest.approx(40 * 60, abs=20)]
    assert bench.ledger.record.state.is_final


async def test_a_run_that_is_aborted_ends_also_where_another_process_was_told() -> None:
    """C1: the abort is in the ledger before it takes effect."""
    for told in (True, False):
        bench = RunBench("- {id: wait, expect: 1 == 2, within: 1h}")
        supervisor = supervisor_of(bench)
        abort = Abort(incident="inc-1", who="ada", why="a deploy", requested=moment())
        bench.ledger.aborted = None if told else abort
        supervisor.start(bench.ledger.record)
        await asyncio.sleep(60)
        if told:
            supervisor.abort("inc-2", "aborted by bob: another one")
            supervisor.abort("inc-1", abort.reason)
        await over(supervisor)
        assert bench.ledger.moves == [(IncidentState.CANCELLED, "aborted by ada: a deploy")]
