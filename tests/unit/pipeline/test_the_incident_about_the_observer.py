"""What is seen is in doubt: one incident says so while it lasts (E31)."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from kintsugi.ledger import Ledger
from kintsugi.ledger.incidents import IncidentRepository
from kintsugi.model.records import Incident, IncidentState
from kintsugi.model.rules import Mode
from kintsugi.pipeline.observer_incident import ObserverIncident
from tests.unit.factories import NOW, moment
from tests.unit.pipeline.business import PipelineBench

pytestmark = pytest.mark.looptime

TIMEOUT = timedelta(minutes=2)


class ClosedByOther(IncidentRepository):
    """Incidents of which the one about the observer is closed by somebody else, as soon as it was read."""

    async def observer_incident(self) -> Incident | None:
        """Return it, and close it."""
        found = await super().observer_incident()
        if found is not None:
            await self.move_incident(found.id, IncidentState.CANCELLED, "by hand", NOW)
        return found


@dataclass
class ObserverChecks:
    """An observer that is in doubt for as long as `why` says so, and who looks once a second."""

    ledger: Ledger
    business: PipelineBench = field(default_factory=PipelineBench)
    why: str = ""

    def __post_init__(self) -> None:
        self.business.observed.names = lambda: self.why
        self.observer = ObserverIncident(self.ledger, self.business.observed, notify_after=TIMEOUT)

    async def told(self) -> tuple[tuple[IncidentState, str], ...]:
        """List the incidents about the observer: how each stands, and why."""
        return tuple((each.state, each.reason) for each in await self.ledger.incidents.newest())

    async def look_for(self, lasting: timedelta, why: str) -> None:
        """Look for so long while it is so."""
        self.why = why
        for _ in range(int(lasting.total_seconds())):
            await self.observer.step()
            await asyncio.sleep(1)


OPENED = (
    IncidentState.OPEN,
    (
        "nothing is changed while the observed state is in doubt: the observer is suspected first: "
        "Kintsugi's own name server does not answer (it is away)"
    ),
)


async def test_a_doubt_that_lasts_is_one_incident_which_ends_with_it(ledger: Ledger) -> None:
    looks = ObserverChecks(ledger=ledger)
    await looks.look_for(TIMEOUT * 2, "")
    await looks.look_for(TIMEOUT, "it is away")
    assert await looks.told() == (), "not yet"
    await looks.look_for(TIMEOUT, "it is away")
    assert await looks.told() == (OPENED,)
    await looks.look_for(TIMEOUT * 2, "")
    ((state, reason),) = await looks.told()
    assert state is IncidentState.NO_ACTION
    assert reason.startswith("the observed state can be trusted again; it was in doubt since ")
    notices = [notice.kind for notice in await ledger.outbox.due_notices(moment(hours=1))]
    assert notices == [IncidentState.OPEN, IncidentState.NO_ACTION], "a person hears of both"


async def test_an_observer_that_comes_and_goes_is_one_incident(ledger: Ledger) -> None:
    looks = ObserverChecks(ledger=ledger)
    await looks.look_for(TIMEOUT * 2, "it is away")
    for _ in range(5):
        await looks.look_for(TIMEOUT / 2, "")
        await looks.look_for(TIMEOUT / 2, "it is away")
    assert await looks.told() == (OPENED,)


async def test_an_incident_that_an_earlier_life_has_opened_is_closed_once_all_is_well(ledger: Ledger) -> None:
    await ledger.incidents.open_observer_incident("it was away", Mode.AUTO, NOW)
    looks = ObserverChecks(ledger=ledger)
    await looks.look_for(TIMEOUT * 2, "")
    assert [state for state, _ in await looks.told()] == [IncidentState.NO_ACTION]


async def test_an_incident_that_somebody_else_has_closed_is_closed(ledger: Ledger) -> None:
    await ledger.incidents.open_observer_incident("it was away", Mode.AUTO, NOW)
    ledger.incidents = ClosedByOther(ledger._store)
    looks = ObserverChecks(ledger=ledger)
    await looks.look_for(TIMEOUT * 2, "")
    assert await looks.told() == ((IncidentState.CANCELLED, "by hand"),)


async def test_the_look_after_waiting_incidents_leaves_the_observer_s_alone(ledger: Ledger) -> None:
    opened = await ledger.incidents.open_observer_incident("it is away", Mode.AUTO, NOW)
    await PipelineBench(ledger=ledger).pending_incidents.tend()
    assert await ledger.incidents.observer_incident() == opened
