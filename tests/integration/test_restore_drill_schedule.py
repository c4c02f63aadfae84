"""Drills by the clock, on a real ledger: at their moment, once, whatever restarts in between."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kintsugi.catalog.library import catalog_paths
from kintsugi.catalog.load import load
from kintsugi.decisions.drills import DrillGuardInput
from kintsugi.decisions.guards import Limits
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import IncidentState, RunRecord
from kintsugi.model.rules import Mode
from kintsugi.model.services import DrillTerms, Service
from kintsugi.pipeline.drill_scheduler import DrillScheduler
from kintsugi.telemetry import Containment
from tests.unit.factories import view

pytestmark = pytest.mark.long

SUNDAY = datetime(2026, 5, 3, 4, 0, tzinfo=UTC)
WEEK, MINUTE = timedelta(days=7), timedelta(minutes=1)
SHIPPED = load(catalog_paths(None))


def scheduled(schedule: str = "0 4 * * 0") -> Catalog:
    """Return the shipped files with a schedule."""
    database = replace(SHIPPED.services["database"], drill=DrillTerms(runbook="database-drill", schedule=schedule))
    return replace(SHIPPED, services={"database": database})


@dataclass(kw_only=True)
class Surroundings:
    """The catalog in force, the world and the supervisor of one daemon, as far as drilling asks of them."""

    catalog: Catalog = field(default_factory=scheduled)
    now: datetime = SUNDAY - 2 * MINUTE
    well: bool = True
    mode: Mode = Mode.AUTO
    started: list[RunRecord] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    containment: Containment = field(default_factory=Containment)

    def clock(self) -> datetime:
        """Return the time."""
        return self.now

    def drill(self, service: Service, *, scheduled: bool) -> DrillGuardInput:
        """Return how the service is."""
        seen = view(service, ready=1, desired=1, healthy=self.well)
        return DrillGuardInput(service=service, view=seen, mode=Mode.AUTO, scheduled=scheduled)

    def start(self, run: RunRecord) -> None:
        """Begin a run's task, once."""
        if run.id not in [each.id for each in self.started]:
            self.started.append(run)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", holder="kintsugi-0") as opened:
        await opened.lead(SUNDAY - WEEK)
        yield opened


def daemon(ledger: Ledger, around: Surroundings) -> DrillScheduler:
    """Start a daemon's part that begins drills."""
    return DrillScheduler(ledger, around, around, around)  # type: ignore[arg-type]


async def over(ledger: Ledger, around: Surroundings, state: IncidentState = IncidentState.PASSED) -> None:
    """Let the drill that was begun last end."""
    await ledger.incidents.move_run(around.started[-1].id, state, "it is over", around.now)


async def test_a_drill_begins_at_its_moment_and_not_before_and_not_twice(ledger: Ledger) -> None:
    """P2: whichever process looks."""
    around = Surroundings()
    for minutes, begun in ((0, 0), (1, 0), (2, 1), (3, 1)):
        around.now = SUNDAY - (2 - minutes) * MINUTE
        await daemon(ledger, around).reconcile()
        assert len(around.started) == begun, around.now
    await over(ledger, around)
    for later in (MINUTE, WEEK - MINUTE):
        around.now = SUNDAY + later
        await daemon(ledger, around).reconcile()
    assert len(around.started) == 1
    assert around.started[0].parameters["database"] == "app"
    assert "scheduled for 2026-05-03 04:00 UTC" in around.started[0].reason


async def test_moments_that_were_missed_are_made_up_once(ledger: Ledger) -> None:
    """C1: the daemon was away for a month."""
    around = Surroundings()
    await daemon(ledger, around).reconcile()
    around.now = SUNDAY + 4 * WEEK + MINUTE
    await daemon(ledger, around).reconcile()
    await over(ledger, around)
    await daemon(ledger, around).reconcile()
    assert len(around.started) == 1
    assert (await ledger.good_state.drills())["database"].slot == SUNDAY + 4 * WEEK


async def test_a_drill_that_may_not_begin_is_tried_again_and_told_once(ledger: Ledger) -> None:
    """A refusal that ends is no refusal for good."""
    around, refused = Surroundings(), list[str]()
    drill_scheduler = daemon(ledger, around)
    drill_scheduler.on_refused(refused.append)
    await drill_scheduler.reconcile()
    around.well = False
    for minutes in range(5):
        around.now = SUNDAY + minutes * MINUTE
        await drill_scheduler.reconcile()
    assert (around.started, refused) == ([], ["database"])
    around.well = True
    await drill_scheduler.reconcile()
    assert len(around.started) == 1


async def test_a_schedule_that_is_changed_counts_from_then_on(ledger: Ledger) -> None:
    """Nobody expects a drill at noon because of a moment before the change."""
    around = Surroundings()
    await daemon(ledger, around).reconcile()
    around.now, around.catalog = SUNDAY + timedelta(hours=8), scheduled("0 5 * * *")
    await daemon(ledger, around).reconcile()
    assert around.started == []
    around.now = SUNDAY + timedelta(hours=25)
    await daemon(ledger, around).reconcile()
    assert len(around.started) == 1


async def test_a_service_without_a_schedule_is_never_begun_by_itself(ledger: Ledger) -> None:
    """The shipped files have none."""
    around = Surroundings(catalog=scheduled(""))
    for moment in (SUNDAY - MINUTE, SUNDAY, SUNDAY + WEEK):
        around.now = moment
        await daemon(ledger, around).reconcile()
    assert (around.started, await ledger.good_state.drills()) == ([], {})
