"""What ran out is told to a person, once, in the transaction that it belongs to (E28, P9)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from kintsugi.ledger import Ledger
from kintsugi.model.history import History
from kintsugi.model.records import Approval, Incident, IncidentState, Reason, Verdict, VerdictKind
from tests.contract.ledger.build import HOUR, MINUTE, NOW, hold, run_request, signal, start, verdict

LIMIT = timedelta(minutes=15)
LATER = NOW + LIMIT


def ask_first(_history: History) -> Verdict:
    """Decide to ask a person."""
    return verdict(VerdictKind.AWAITING_APPROVAL, Reason.APPROVAL)


async def opened(ledger: Ledger, decide: Callable[[History], Verdict] = hold) -> Incident:
    """Accept a signal and open an incident for it."""
    told = signal("the-key")
    await ledger.signals.accept([told], NOW)
    incident = (await ledger.run_requests.request_run(run_request(told), decide, NOW)).incident
    assert incident is not None
    return incident


async def said(ledger: Ledger, now: datetime = NOW + HOUR) -> list[tuple[IncidentState, str]]:
    """Return the notices that wait."""
    return [(each.kind, each.text) for each in await ledger.outbox.due_notices(now)]


async def test_the_same_words_are_said_once_of_an_incident(ledger: Ledger) -> None:
    incident = await opened(ledger)
    for text in ("the hold is over\x00", "the hold is over\x00", "another"):
        await ledger.outbox.put_notice_once(incident.id, IncidentState.HELD, text, NOW)
    assert sorted(text for _, text in await said(ledger)) == ["another", "the hold is over\ufffd"]


async def test_a_person_is_told_of_an_end_that_nobody_hears_of_as_a_rule(ledger: Ledger) -> None:
    incident = await opened(ledger)
    await ledger.incidents.move_incident(incident.id, IncidentState.CANCELLED, "no approval", NOW, notify=True)
    assert await said(ledger) == [(IncidentState.CANCELLED, "no approval")]


async def test_a_cancelled_incident_is_told_to_nobody_as_a_rule(ledger: Ledger) -> None:
    incident = await opened(ledger)
    await ledger.incidents.move_incident(incident.id, IncidentState.CANCELLED, "its rule is gone", NOW)
    assert await said(ledger) == []


async def test_a_question_that_is_asked_anew_is_told_with_it(ledger: Ledger) -> None:
    """E28: the state does not move, and yet a person hears of it; asked twice after a lost answer, once (D2)."""
    incident = await opened(ledger, ask_first)
    again = Approval(incident=incident.id, path="", question="Run it?", plan="p-1", asked=LATER, expires=LATER + HOUR)
    for _ in range(2):
        await ledger.approvals.ask(again, notice="approval is requested again")
    assert await said(ledger) == [
        (IncidentState.AWAITING_APPROVAL, "it is awaiting-approval"),
        (IncidentState.AWAITING_APPROVAL, "approval is requested again"),
    ]


async def test_a_claim_that_goes_on_past_a_holds_limit_tells_a_person(ledger: Ledger) -> None:
    incident = await opened(ledger)
    (due,) = await ledger.signals.due(LATER)
    released = replace(run_request(due), hold_limit=LIMIT)
    requested = await ledger.run_requests.request_run(released, start, LATER)
    assert requested.incident is not None
    assert requested.incident.id == incident.id
    ((kind, text),) = await said(ledger)
    assert kind is IncidentState.HELD
    assert text.startswith(
        "The service is held since 12:00:00 because of an upstream. After 15m, Kintsugi evaluates the service on its own"
    )
    await ledger.outbox.put_notice_once(incident.id, IncidentState.HELD, text, LATER)
    assert len(await said(ledger)) == 1, "the tick may have been first, or second"


async def test_a_hold_whose_cause_has_ended_is_told_to_nobody(ledger: Ledger) -> None:
    await opened(ledger)
    (due,) = await ledger.signals.due(NOW + MINUTE)
    await ledger.run_requests.request_run(replace(run_request(due), hold_limit=LIMIT), start, NOW + MINUTE)
    assert await said(ledger) == []


async def test_a_signal_that_goes_on_after_an_approval_ran_out_is_due_again(ledger: Ledger) -> None:
    """P9: a verdict that belongs to an incident holds no longer than that."""
    incident = await opened(ledger, ask_first)
    assert await ledger.signals.rearm(NOW) == 0
    await ledger.incidents.move_incident(incident.id, IncidentState.CANCELLED, "no approval", NOW)
    assert await ledger.signals.rearm(LATER) == 1
    (due,) = await ledger.signals.due(LATER)
    again = await ledger.run_requests.request_run(run_request(due), ask_first, LATER)
    assert again.incident is not None
    assert again.incident.id != incident.id
