"""Whom a notice tells of what, once, in the transaction that it belongs to, until it is sent (E28, E31, P9)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.history import History
from kintsugi.model.notices import IncidentMessage, NoticeSubject
from kintsugi.model.records import Incident, IncidentState, Reason, RunKind, Verdict, VerdictKind
from kintsugi.model.rules import Mode
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    accepted,
    begin,
    hold,
    incident_of,
    question,
    request,
    resolve,
    run_request,
    start,
    started,
    verdict,
)

LIMIT = timedelta(minutes=15)
LATER = NOW + LIMIT


async def test_a_notice_waits_until_it_is_sent(ledger: Ledger) -> None:
    """The outbox: retried with growing pauses, never lost."""
    run = await begin(ledger)
    await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, "help", NOW)
    (notice,) = await ledger.outbox.due_notices(NOW)
    for _ in range(2):  # the same failure told twice counts once
        await ledger.outbox.notice_postponed(notice.id, NOW + MINUTE)
    assert await ledger.outbox.due_notices(NOW) == ()
    (again,) = await ledger.outbox.due_notices(NOW + MINUTE)
    assert (again.id, again.attempts) == (notice.id, 1)
    await ledger.outbox.notice_sent(notice.id)
    assert await ledger.outbox.due_notices(NOW + HOUR) == ()


async def test_each_end_of_an_incident_has_a_notice_if_a_person_was_notified_of_it_before(ledger: Ledger) -> None:
    for notified in (False, True):
        run = await begin(ledger, service=f"service-{notified}")
        if notified:
            await ledger.outbox.put_notice_once(run.incident, IncidentState.HELD, "it is held", NOW)
        await ledger.incidents.move_run(run.id, IncidentState.CANCELLED, "aborted", NOW)
        found = {each.kind for each in await ledger.outbox.due_notices(NOW) if each.incident == run.incident}
        assert found == ({IncidentState.HELD, IncidentState.CANCELLED} if notified else set())


async def test_a_page_can_be_closed_once_its_incident_has_ended_well_or_nothing_fires_any_more(ledger: Ledger) -> None:
    states = {"web": IncidentState.RECOVERED, "db": IncidentState.NEEDS_OPERATOR, "open": None}
    runs = dict[str, str]()
    for service, state in states.items():
        run = await begin(ledger, service=service)
        runs[service] = run.incident
        for _ in range(2):  # the same page is opened once
            await ledger.outbox.page_opened("pager", run.incident, NOW)
        if state is not None:
            await ledger.incidents.move_run(run.id, state, "why", NOW)
    closable = await ledger.outbox.pages_of_closed_incidents()
    assert [(page.service, page.state) for page in closable] == [("web", IncidentState.RECOVERED)]
    await ledger.outbox.page_closed(closable[0])
    assert await ledger.outbox.pages_of_closed_incidents() == ()
    for incident in runs.values():
        await resolve(ledger, incident)
    assert [page.service for page in await ledger.outbox.pages_of_closed_incidents()] == ["db"]


async def test_the_message_of_an_incident_is_current_until_it_shows_the_end_and_goes_with_its_incident(
    ledger: Ledger,
) -> None:
    run = await begin(ledger)
    posted = IncidentMessage(
        route="on-call", incident=run.incident, channel="C1", message="1.1", digest="first", posted=NOW
    )
    for each in (posted, replace(posted, route="other"), replace(posted, digest="second")):
        await ledger.outbox.put_message(each)
    assert await ledger.outbox.message_of("on-call", run.incident) == replace(posted, digest="second")
    assert len(await ledger.outbox.current_messages()) == 2
    await ledger.outbox.put_message(replace(posted, final=True))
    assert [each.route for each in await ledger.outbox.current_messages()] == ["other"]
    assert await ledger.outbox.message_of("on-call", "inc-none") is None


async def test_the_subject_of_a_notice_is_its_incident_s_service_with_the_labels_of_its_signals(ledger: Ledger) -> None:
    run = await begin(ledger)
    labels = tuple(each.labels for each, _ in await ledger.signals.of_incident(run.incident, limit=10))
    assert labels
    assert await ledger.outbox.subject_of(run.incident) == NoticeSubject(service=run.service, labels=labels)
    assert await ledger.outbox.subject_of("") == NoticeSubject()


async def test_a_notice_of_the_daemon_itself_is_left_once_an_hour_for_the_same_words(ledger: Ledger) -> None:
    """A daemon that starts every minute, or DNS that comes and goes, calls nobody every minute."""
    for minutes in (0, 30, 61):
        await ledger.outbox.put_daemon_notice("names do not resolve", NOW + minutes * MINUTE)
    await ledger.outbox.put_daemon_notice("something else", NOW)
    told = [(each.incident, each.kind, each.text) for each in await ledger.outbox.due_notices(NOW + 2 * HOUR)]
    of_daemon = (None, IncidentState.NEEDS_OPERATOR)
    assert sorted(told, key=str) == [
        (*of_daemon, "names do not resolve"),
        (*of_daemon, "names do not resolve"),
        (*of_daemon, "something else"),
    ]


@pytest.mark.parametrize("state", IncidentState)
async def test_people_are_told_of_the_states_that_concern_them(ledger: Ledger, state: IncidentState) -> None:
    """Needs operator, awaiting approval, rolled back, recovered, ineffective, failed; nothing else."""
    run = await begin(ledger)
    await ledger.incidents.move_run(run.id, state, "so it is", NOW)
    told = state in {
        IncidentState.NEEDS_OPERATOR,
        IncidentState.AWAITING_APPROVAL,
        IncidentState.ROLLED_BACK,
        IncidentState.RECOVERED,
        IncidentState.INEFFECTIVE,
        IncidentState.FAILED,
    }
    assert [notice.kind for notice in await ledger.outbox.due_notices(NOW)] == [state] * told


def ask_first(_history: History) -> Verdict:
    """Decide to ask a person."""
    return verdict(VerdictKind.AWAITING_APPROVAL, Reason.APPROVAL)


async def opened(ledger: Ledger, decide: Callable[[History], Verdict] = hold) -> Incident:
    """Accept a signal and open an incident for it."""
    return incident_of(await request(ledger, await accepted(ledger), decide))


async def said(ledger: Ledger, now: datetime = NOW + HOUR) -> list[tuple[IncidentState, str]]:
    """Return the notices that wait."""
    return [(each.kind, each.text) for each in await ledger.outbox.due_notices(now)]


async def test_the_same_words_are_said_once_of_an_incident(ledger: Ledger) -> None:
    incident = await opened(ledger)
    for text in ("the hold is over\x00", "the hold is over\x00", "another"):
        await ledger.outbox.put_notice_once(incident.id, IncidentState.HELD, text, NOW)
    assert sorted(text for _, text in await said(ledger)) == ["another", "the hold is over\ufffd"]


@pytest.mark.parametrize("notify", [True, False])
async def test_a_cancelled_incident_is_told_only_where_that_is_asked_for(ledger: Ledger, notify: bool) -> None:
    incident = await opened(ledger)
    await ledger.incidents.move_incident(incident.id, IncidentState.CANCELLED, "no approval", NOW, notify=notify)
    assert await said(ledger) == [(IncidentState.CANCELLED, "no approval")] * notify


async def test_a_question_that_is_asked_anew_is_told_with_it(ledger: Ledger) -> None:
    """E28: the state does not move, and yet a person hears of it; asked twice after a lost answer, once (D2)."""
    incident = await opened(ledger, ask_first)
    for _ in range(2):
        await ledger.people.ask(question(incident.id, path="", asked=LATER), notice="approval is requested again")
    assert await said(ledger) == [
        (IncidentState.AWAITING_APPROVAL, "it is awaiting-approval"),
        (IncidentState.AWAITING_APPROVAL, "approval is requested again"),
    ]


async def test_a_claim_that_goes_on_past_a_holds_limit_tells_a_person(ledger: Ledger) -> None:
    incident = await opened(ledger)
    (due,) = await ledger.signals.due(LATER)
    released = replace(run_request(due), hold_limit=LIMIT)
    requested = await ledger.incidents.request_run(released, start, LATER)
    assert incident_of(requested).id == incident.id
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
    await ledger.incidents.request_run(replace(run_request(due), hold_limit=LIMIT), start, NOW + MINUTE)
    assert await said(ledger) == []


async def test_a_signal_that_goes_on_after_an_approval_ran_out_is_due_again(ledger: Ledger) -> None:
    """P9: a verdict that belongs to an incident holds no longer than that."""
    incident = await opened(ledger, ask_first)
    assert await ledger.signals.rearm(NOW) == 0
    await ledger.incidents.move_incident(incident.id, IncidentState.CANCELLED, "no approval", NOW)
    assert await ledger.signals.rearm(LATER) == 1
    (due,) = await ledger.signals.due(LATER)
    assert incident_of(await request(ledger, due, ask_first, LATER)).id != incident.id


async def test_the_incident_about_the_observer_is_one_at_a_time_and_in_nobody_s_way(ledger: Ledger) -> None:
    """E31, D2: opened once, told, and followed by another one when it is closed; a service may have its name."""
    why = "nothing is changed while the observed state is in doubt: 1 of 1 nodes do not report"
    first = await ledger.incidents.open_observer_incident(why, Mode.AUTO, NOW)
    assert (first.state, first.kind, first.reason) == (IncidentState.OPEN, RunKind.OBSERVER, why)
    assert await ledger.incidents.open_observer_incident("another trouble", Mode.AUTO, NOW) == first
    assert await ledger.incidents.observer_incident() == first
    assert await said(ledger) == [(IncidentState.OPEN, why)]
    assert started(await request(ledger, await accepted(ledger), service="observer")).kind is RunKind.RECOVERY
    await ledger.incidents.move_incident(first.id, IncidentState.NO_ACTION, "it sees again", NOW, notify=True)
    assert await ledger.incidents.observer_incident() is None
    assert (await ledger.incidents.open_observer_incident(why, Mode.AUTO, NOW)).id != first.id
