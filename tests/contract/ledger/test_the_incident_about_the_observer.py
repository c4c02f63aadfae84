"""The one incident about the observer itself: opened once, told, and in nobody's way (E31)."""

from kintsugi.ledger import Ledger
from kintsugi.model.records import Incident, IncidentState, RunKind, VerdictKind
from kintsugi.model.rules import Mode
from tests.contract.ledger.build import HOUR, NOW, run_request, signal, start

WHY = "nothing is changed while the observed state is in doubt: 1 of 1 nodes do not report"


async def opened(ledger: Ledger, why: str = WHY) -> Incident:
    """Open it."""
    return await ledger.incidents.open_observer_incident(why, Mode.AUTO, NOW)


async def test_the_incident_about_the_observer_is_opened_once_and_told_once(ledger: Ledger) -> None:
    """E31, D2."""
    first = await opened(ledger)
    assert (first.state, first.kind, first.reason) == (IncidentState.OPEN, RunKind.OBSERVER, WHY)
    assert await opened(ledger, "it is another trouble by now") == first
    assert await ledger.incidents.observer_incident() == first
    assert [(each.kind, each.text) for each in await ledger.outbox.due_notices(NOW + HOUR)] == [
        (IncidentState.OPEN, WHY)
    ]


async def test_a_closed_incident_about_the_observer_is_followed_by_another(ledger: Ledger) -> None:
    first = await opened(ledger)
    await ledger.incidents.move_incident(first.id, IncidentState.NO_ACTION, "it sees again", NOW, notify=True)
    assert await ledger.incidents.observer_incident() is None
    assert (await opened(ledger)).id != first.id


async def test_a_service_of_that_name_has_incidents_of_its_own(ledger: Ledger) -> None:
    await opened(ledger)
    notify = signal("the-key")
    await ledger.signals.accept([notify], NOW)
    requested = await ledger.run_requests.request_run(run_request(notify, service="observer"), start, NOW)
    assert requested.verdict.kind is VerdictKind.STARTED
    assert requested.incident is not None
    assert requested.incident.kind is RunKind.RECOVERY
