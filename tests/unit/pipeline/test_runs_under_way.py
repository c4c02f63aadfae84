"""The tasks of runs: one each, taken up again, ended by another leader, held up by a ledger that is away."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from kintsugi.errors import LedgerUnavailable, StaleEpoch, UnreadableRow
from kintsugi.guards import Limits
from kintsugi.model.records import Incident, IncidentState, RunRecord, StepRecord, StepState
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.roster import Roster, Terms
from kintsugi.reconciliation import Care
from kintsugi.telemetry import Border
from tests.unit.factories import pod
from tests.unit.pipeline.business import MemoryInbox
from tests.unit.runner.bench import PATIENCE, SCALE, Bench, clock
from tests.unit.runner.fakes import RunLedger

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[EventDict]]:
    """Return what is logged; a traceback takes longer to write for a person than the rest of a test."""
    with capture_logs() as captured:
        yield captured


STEPS = "- {id: scale, run: kubectl scale deployment/web --replicas=5}"


def roster_of(bench: Bench, ledger: "Asked | None" = None) -> Roster:
    """Make a roster over the bench's ledger; web is ill."""
    bench.world.show(ready=1, pods=(pod("web-1"), pod("web-2", ready=False)))
    bench.ledger.record = replace(bench.ledger.record, catalog=bench.catalog.digest)
    ledger = ledger or Asked(bench.ledger)
    keeper = InForce(bench.catalog, MemoryInbox(), lambda _: bench.catalog)
    terms = Terms(
        patience=PATIENCE, limits=Limits(), approval_expiry=timedelta(minutes=30), retry_after=timedelta(seconds=5)
    )
    return Roster(bench.tools(), ledger, keeper, terms)  # type: ignore[arg-type]


class Asked:
    """The bench's ledger with what a roster asks besides; `refusals` are what it raises when a run is handed over."""

    def __init__(self, ledger: RunLedger) -> None:
        self._ledger = ledger
        self.refusals: list[Exception] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def incident(self, _: str) -> Incident:
        """Give the incident."""
        return self._ledger.incident

    async def open_runs(self) -> tuple[RunRecord, ...]:
        """List the runs that are not over."""
        record = self._ledger.record
        return () if record.finished else (record,)

    async def move_run(
        self, run: str, state: IncidentState, reason: str, now: datetime, **more: datetime | None
    ) -> RunRecord:
        """Move the run, unless this is refused."""
        if state is IncidentState.NEEDS_OPERATOR and self.refusals:
            raise self.refusals.pop(0)
        return await self._ledger.move_run(run, state, reason, now, **more)


async def reconciled(roster: Roster, *, seconds: int) -> None:
    """Let the tick come every five seconds for that long."""
    for _ in range(seconds // 5):
        await roster.reconcile()
        await asyncio.sleep(5)


async def over(roster: Roster) -> None:
    """Wait until no run is under way."""
    async with asyncio.timeout(7200):
        while roster.recovering:
            await asyncio.sleep(1)


async def test_a_run_is_carried_to_its_end_and_told() -> None:
    bench = Bench(STEPS, heals="kubectl scale")
    roster = roster_of(bench)
    ends: list[IncidentState] = []
    begins: list[str] = []
    roster.on_start(lambda run: begins.append(run.id))
    roster.on_end(lambda run, steps: ends.append(run.state) if steps else None)
    roster.start(bench.ledger.record)
    assert roster.recovering == {"web"}
    assert roster.run_of("web") is not None
    await over(roster)
    assert (begins, ends) == (["run-1"], [IncidentState.RECOVERED])
    assert bench.effects == [SCALE]
    assert roster.run_of("web") is None


async def test_a_run_is_begun_only_once() -> None:
    """P2."""
    bench = Bench(STEPS, heals="kubectl scale")
    roster = roster_of(bench)
    for _ in range(3):
        roster.start(bench.ledger.record)
    await roster.resume()
    await over(roster)
    assert bench.effects == [SCALE]


async def test_open_runs_are_taken_up_again() -> None:
    bench = Bench(STEPS, heals="kubectl scale")
    roster = roster_of(bench)
    await roster.resume()
    await over(roster)
    assert bench.ledger.record.state is IncidentState.RECOVERED


async def test_a_ledger_that_is_away_holds_the_run_up_and_changes_nothing() -> None:
    """P8, E30: no intent, no effect; when it is back the run goes on from what it says."""
    bench = Bench(STEPS, heals="kubectl scale")
    roster = roster_of(bench)
    bench.ledger.trouble = LedgerUnavailable("the database is away")
    bench.at(60, lambda: setattr(bench.ledger, "trouble", None))
    times = bench.note_times()
    roster.start(bench.ledger.record)
    await over(roster)
    assert times == {SCALE: pytest.approx(60, abs=6)}
    assert bench.ledger.record.state is IncidentState.RECOVERED


async def test_another_leader_ends_everything_at_once() -> None:
    """P4, C4: nothing more may be done by this one."""
    bench = Bench(STEPS)
    roster = roster_of(bench)
    bench.ledger.trouble = StaleEpoch("another daemon leads")
    roster.start(bench.ledger.record)
    await over(roster)
    assert roster.dethroned.is_set()
    assert not bench.effects
    assert bench.ledger.record.state is IncidentState.RUNNING


async def test_a_mistake_in_one_run_calls_a_person_and_is_not_acted_through() -> None:
    bench = Bench(STEPS)
    roster = roster_of(bench)
    bench.actor.will("prepare", ZeroDivisionError("a bug"))
    roster.start(bench.ledger.record)
    await over(roster)
    assert bench.ledger.record.state is IncidentState.NEEDS_OPERATOR
    assert bench.ledger.record.reason == "the run cannot go on: ZeroDivisionError: a bug"
    assert not bench.effects


async def test_a_run_whose_steps_cannot_be_read_is_closed_with_what_can_be() -> None:
    """P9: what cannot be read is what made it be given up, and is not needed to give it up."""
    bench = Bench(STEPS)
    roster = roster_of(bench)
    done = StepRecord(run="run-1", path="scale#0", state=StepState.DONE, changes=True, text=SCALE)

    async def steps(_: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        if strict:
            raise UnreadableRow("StepRecord run-1 look cannot be read: result: no JSON")
        return (done,)

    bench.ledger.steps = steps  # type: ignore[method-assign]
    await roster.resume()
    await over(roster)
    assert bench.ledger.record.state is IncidentState.NEEDS_OPERATOR
    assert bench.ledger.record.reason.splitlines() == [
        "the run cannot go on: UnreadableRow: StepRecord run-1 look cannot be read: result: no JSON",
        "Done:",
        f"  {SCALE}",
    ]
    assert not bench.effects


async def test_a_run_of_whose_steps_nothing_can_be_told_is_closed_all_the_same() -> None:
    """P9: its service must not stay locked for ever."""
    bench = Bench(STEPS)
    roster = roster_of(bench)

    async def steps(_: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        raise ValueError(f"strict={strict}")

    bench.ledger.steps = steps  # type: ignore[method-assign]
    await roster.resume()
    await over(roster)
    assert bench.ledger.record.state is IncidentState.NEEDS_OPERATOR
    assert (
        "ValueError: strict=True\nWhat it did cannot be told (ValueError: strict=False)" in bench.ledger.record.reason
    )
    assert not bench.effects


async def test_stopping_waits_for_effects_that_were_begun() -> None:
    """C3: no effect is left in the middle."""
    bench = Bench(STEPS)
    bench.actor.takes = timedelta(seconds=20)
    roster = roster_of(bench)
    roster.start(bench.ledger.record)
    await asyncio.sleep(5)
    await roster.stop()
    assert clock() == 20
    assert bench.step("scale#0").state is StepState.DONE
    assert bench.ledger.record.state is IncidentState.RUNNING


async def test_a_persons_rollback_reaches_the_run_of_its_incident() -> None:
    bench = Bench("- {id: one, run: kubectl cordon one}", heals="kubectl uncordon", heals_after=timedelta(0))
    roster = roster_of(bench)
    assert roster.roll_back("inc-1", "ada") is False
    roster.start(bench.ledger.record)
    await asyncio.sleep(10)
    assert roster.roll_back("inc-2", "ada") is False
    assert roster.roll_back("inc-1", "ada") is True
    await over(roster)
    assert bench.ledger.record.state is IncidentState.ROLLED_BACK


async def test_a_persons_rollback_is_not_forgotten_before_the_run_is_carried_or_while_the_ledger_is_away() -> None:
    """What a person has said holds through an outage; the run is begun and its first look is yet to come."""
    bench = Bench("- {id: one, run: kubectl cordon one}", heals="kubectl uncordon", heals_after=timedelta(0))
    roster = roster_of(bench)
    bench.ledger.trouble = LedgerUnavailable("the database is away")
    roster.start(bench.ledger.record)
    assert roster.roll_back("inc-1", "ada") is True
    bench.at(60, lambda: setattr(bench.ledger, "trouble", None))
    await over(roster)
    assert bench.ledger.moves[0] == (IncidentState.ROLLING_BACK, "rollback asked for by ada")
    assert bench.ledger.record.state is IncidentState.ROLLED_BACK


async def test_an_open_run_without_a_task_is_taken_up_by_the_tick() -> None:
    """D2, P5: a claim whose answer was lost leaves no run that nobody carries."""
    bench = Bench(STEPS, heals="kubectl scale")
    roster = roster_of(bench)
    finished, bench.ledger.record = (
        bench.ledger.record,
        replace(bench.ledger.record, finished=bench.ledger.record.started),
    )
    await roster.resume()
    bench.ledger.record = finished
    await roster.reconcile()
    assert roster.recovering == {"web"}
    await roster.reconcile()
    await over(roster)
    assert bench.effects == [SCALE]
    assert bench.ledger.record.state is IncidentState.RECOVERED


async def test_nothing_is_taken_up_before_the_start_or_after_the_stop() -> None:
    """P6: a start waits until its caches are synced; C3: a stop begins nothing."""
    bench = Bench(STEPS)
    roster = roster_of(bench)
    await roster.reconcile()
    assert not roster.recovering
    await roster.resume()
    await asyncio.sleep(0)
    await roster.stop()
    assert not bench.ledger.record.state.is_final
    await roster.reconcile()
    assert not roster.recovering


async def test_a_run_that_is_over_when_it_is_begun_is_told_to_nobody() -> None:
    """The answer of its claim came late; it was taken up meanwhile."""
    bench = Bench(STEPS)
    roster = roster_of(bench)
    heard: list[str] = []
    roster.on_start(lambda run: heard.append(f"start {run.id}"))
    roster.on_end(lambda run, _: heard.append(f"end {run.id}"))
    stale = bench.ledger.record
    bench.ledger.record = replace(stale, state=IncidentState.RECOVERED, finished=stale.started)
    roster.start(stale)
    await over(roster)
    assert heard == []


async def test_a_run_whose_task_dies_is_counted_and_taken_up_again() -> None:
    """C8: what nobody expected is heard."""
    bench = Bench(STEPS, heals="kubectl scale")
    ledger = Asked(bench.ledger)
    roster, counted = roster_of(bench, ledger), []
    roster.containment.on_contained(counted.append)
    bench.actor.will("prepare", ZeroDivisionError("a bug"))
    ledger.refusals = [ValueError("the steps cannot be read")]
    await roster.resume()
    await reconciled(roster, seconds=60)
    assert counted == [Border.RUN]
    await over(roster)
    assert bench.effects == [SCALE]
    assert bench.ledger.record.state is IncidentState.RECOVERED


async def test_a_run_whose_task_dies_again_and_again_is_handed_over() -> None:
    """C8: a mistake in one run is not repeated for ever, and not left to nobody."""
    bench = Bench(STEPS)
    ledger = Asked(bench.ledger)
    roster, counted = roster_of(bench, ledger), []
    roster.containment.on_contained(counted.append)
    ends: list[IncidentState] = []
    roster.on_end(lambda run, _: ends.append(run.state))
    bench.actor.will("prepare", *[ZeroDivisionError("a bug")] * 9)
    ledger.refusals = [ValueError("the steps cannot be read")] * 4
    await roster.resume()
    await reconciled(roster, seconds=600)
    assert counted == [Border.RUN] * 4
    assert ends == [IncidentState.NEEDS_OPERATOR]
    assert bench.ledger.record.reason == (
        "the run cannot go on: its task has died 4 times, the last time of ValueError: the steps cannot be read"
    )
    assert not bench.effects


async def test_a_listener_that_fails_keeps_no_run_from_its_task_and_no_other_from_hearing() -> None:
    """C8."""
    bench = Bench(STEPS, heals="kubectl scale")
    roster, counted, heard = roster_of(bench), [], []

    def fail(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    roster.containment.on_contained(counted.append)
    for listen in (roster.on_start, roster.on_end):
        listen(fail)  # type: ignore[operator]
    roster.on_start(lambda run: heard.append(run.state))
    roster.on_end(lambda run, _: heard.append(run.state))
    roster.start(bench.ledger.record)
    await over(roster)
    assert heard == [IncidentState.RUNNING, IncidentState.RECOVERED]
    assert counted == [Border.LISTENER] * 2
    assert bench.effects == [SCALE]


async def test_a_run_past_its_deadline_that_looks_at_nothing_is_seen_and_gets_a_new_task() -> None:
    """P5: an effect that hangs for two hours; the deadline came after half an hour."""
    bench = Bench(STEPS, heals="kubectl scale")
    bench.actor.takes = timedelta(hours=2)
    roster = roster_of(bench)
    begins: list[float] = []
    cares: list[Care] = []
    roster.on_start(lambda _: begins.append(clock()))
    roster.on_care(cares.append)
    await roster.resume()
    await reconciled(roster, seconds=39 * 60)
    assert cares == []
    await reconciled(roster, seconds=60 * 60)
    await over(roster)
    assert cares == [Care.RESTART, Care.TAKE_UP]
    assert begins == [0, pytest.approx(40 * 60, abs=20)]
    assert bench.ledger.record.state.is_final
