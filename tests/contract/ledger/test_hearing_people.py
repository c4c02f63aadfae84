"""Pauses, questions and answers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import RejectRequest
from kintsugi.model.history import History, Rejection
from kintsugi.model.records import Approval, IncidentState, Pause, PauseScope, Reason, Verdict, VerdictKind
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, run_request, signal, verdict


def pause(name: str = "pause-1", *, until: timedelta | None = None) -> Pause:
    """Make a pause of a namespace."""
    return Pause(
        id=name,
        scope=PauseScope.NAMESPACE,
        name="shop",
        who="ann",
        why="a deploy",
        freeze=True,
        since=NOW,
        until=None if until is None else NOW + until,
    )


async def test_a_pause_holds_until_its_end_or_until_it_is_lifted(ledger: Ledger) -> None:
    """A person's stop, with who and why."""
    await ledger.pauses.pause(pause("ends", until=HOUR))
    await ledger.pauses.pause(pause("stays"))
    assert await ledger.pauses.in_force(NOW) == (pause("ends", until=HOUR), pause("stays"))
    assert await ledger.pauses.in_force(NOW + HOUR) == (pause("stays"),)
    assert await ledger.pauses.resume("stays", "bob", "done", NOW) == pause("stays")
    assert await ledger.pauses.in_force(NOW + HOUR) == ()


async def test_a_pause_that_has_held_is_told_with_its_true_end(ledger: Ledger) -> None:
    """A run's clock stood still for as long as a pause has held, whether it was lifted or has run out."""
    for name in ("lifted", "lifted early", "stays"):
        await ledger.pauses.pause(pause(name))
    await ledger.pauses.pause(pause("runs out", until=HOUR))
    await ledger.pauses.pause(pause("lifted before its end", until=9 * HOUR))
    for name in ("lifted", "lifted before its end"):
        await ledger.pauses.resume(name, "bob", "done", NOW + 2 * HOUR)
    await ledger.pauses.resume("lifted early", "bob", "done", NOW + HOUR / 2)

    held = await ledger.pauses.since(NOW + HOUR / 2, NOW + 3 * HOUR)
    ends = {each.id: each.until for each in held}
    assert ends == {
        "lifted": NOW + 2 * HOUR,
        "lifted before its end": NOW + 2 * HOUR,
        "runs out": NOW + HOUR,
        "stays": None,
    }
    assert await ledger.pauses.since(NOW - 2 * HOUR, NOW - HOUR) == (), "they had not begun"


async def test_a_pause_made_or_lifted_twice_is_one(ledger: Ledger) -> None:
    """D2: the answer was lost and the person tries again."""
    for _ in range(2):
        await ledger.pauses.pause(pause())
    assert len(await ledger.pauses.in_force(NOW)) == 1
    for _ in range(2):
        await ledger.pauses.resume("pause-1", "bob", "done", NOW)
    with pytest.raises(NotRecorded, match="no pause pause-9"):
        await ledger.pauses.resume("pause-9", "bob", "done", NOW)


async def test_a_pause_is_seen_by_the_very_next_claim(ledger: Ledger) -> None:
    """P7: read in the claim's transaction, not from a copy."""
    told = signal()
    await ledger.signals.accept([told], NOW)
    seen: list[tuple[Pause, ...]] = []

    def look(history: History) -> Verdict:
        seen.append(history.pauses)
        return verdict(VerdictKind.REFUSED, Reason.PAUSED, NOW + MINUTE)

    await ledger.pauses.pause(pause())
    await ledger.run_requests.request_run(run_request(told), look, NOW)
    assert seen == [(pause(),)]


def question(incident: str, plan: str = "plan-1", *, asked: timedelta = timedelta()) -> Approval:
    """Make a question about a step."""
    return Approval(
        incident=incident,
        path="restore",
        question="Restore the database?",
        plan=plan,
        asked=NOW + asked,
        expires=NOW + asked + 30 * MINUTE,
    )


async def test_an_answer_says_who_gave_it_and_when(ledger: Ledger) -> None:
    """Approvals record who."""
    run = await begin(ledger)
    await ledger.approvals.ask(question(run.incident))
    answer = await ledger.approvals.approve(run.incident, "restore", "plan-1", "ann", NOW + MINUTE)
    assert (answer.who, answer.answered) == ("ann", NOW + MINUTE)
    assert await ledger.approvals.of_incident(run.incident) == (answer,)
    assert await ledger.approvals.approve(run.incident, "restore", "plan-1", "bob", NOW + 2 * MINUTE) == answer


async def test_the_questions_of_several_incidents_are_listed_together(ledger: Ledger) -> None:
    web, api, other = [await begin(ledger, service) for service in ("web", "api", "cache")]
    for run in (web, api, other):
        await ledger.approvals.ask(question(run.incident))
    assert await ledger.approvals.of_incidents([web.incident, api.incident]) == (
        question(web.incident),
        question(api.incident),
    )
    assert await ledger.approvals.of_incidents([]) == ()


async def test_an_answer_to_another_plan_is_refused(ledger: Ledger) -> None:
    """An approval holds only for the plan that was shown."""
    run = await begin(ledger)
    await ledger.approvals.ask(question(run.incident, "plan-1"))
    await ledger.approvals.ask(question(run.incident, "plan-2", asked=MINUTE))
    with pytest.raises(WrongState, match="plan has changed"):
        await ledger.approvals.approve(run.incident, "restore", "plan-1", "ann", NOW + 2 * MINUTE)
    await ledger.approvals.approve(run.incident, "restore", "plan-2", "ann", NOW + 2 * MINUTE)


async def test_an_answer_to_another_plan_is_refused_though_there_is_an_answer(ledger: Ledger) -> None:
    """Whoever is told yes must have said it to the plan that is carried out."""
    run = await begin(ledger)
    await ledger.approvals.ask(question(run.incident, "plan-1"))
    given = await ledger.approvals.approve(run.incident, "restore", "plan-1", "ann", NOW + MINUTE)
    with pytest.raises(WrongState, match="plan has changed"):
        await ledger.approvals.approve(run.incident, "restore", "plan-0", "bob", NOW + 2 * MINUTE)
    assert await ledger.approvals.of_incident(run.incident) == (given,)


async def test_an_answer_that_comes_too_late_is_refused(ledger: Ledger) -> None:
    """Approvals expire."""
    run = await begin(ledger)
    await ledger.approvals.ask(question(run.incident))
    with pytest.raises(WrongState, match="expired"):
        await ledger.approvals.approve(run.incident, "restore", "plan-1", "ann", NOW + 30 * MINUTE)
    with pytest.raises(NotRecorded, match="no approval was requested"):
        await ledger.approvals.approve(run.incident, "delete", "plan-1", "ann", NOW)


NO = RejectRequest(path="restore", plan="plan-1", why="the standby has the data")


async def test_a_rejection_says_who_gave_it_when_and_why(ledger: Ledger) -> None:
    run = await begin(ledger)
    await ledger.approvals.ask(question(run.incident))
    no = await ledger.approvals.reject(run.incident, NO, "ann", NOW + MINUTE)
    assert (no.who, no.rejected, no.answered, no.why) == ("ann", NOW + MINUTE, None, "the standby has the data")
    assert await ledger.approvals.of_incident(run.incident) == (no,)
    assert await ledger.approvals.reject(run.incident, NO, "bob", NOW + 2 * MINUTE) == no, "the first one stays"


async def test_a_question_has_one_answer(ledger: Ledger) -> None:
    """Answered in one place is answered everywhere: the second person learns who was first, and when."""
    rejected, approved = [await begin(ledger, service) for service in ("web", "api")]
    for run in (rejected, approved):
        await ledger.approvals.ask(question(run.incident))
    await ledger.approvals.reject(rejected.incident, NO, "ann", NOW + MINUTE)
    with pytest.raises(WrongState, match="at 12:01:00, the plan was rejected by ann: the standby has the data"):
        await ledger.approvals.approve(rejected.incident, "restore", "plan-1", "bob", NOW + 2 * MINUTE)
    await ledger.approvals.approve(approved.incident, "restore", "plan-1", "ann", NOW + MINUTE)
    with pytest.raises(WrongState, match="ann approved the plan at 12:01:00"):
        await ledger.approvals.reject(approved.incident, NO, "bob", NOW + 2 * MINUTE)


async def test_a_rejection_without_an_open_question_is_refused_with_the_state(ledger: Ledger) -> None:
    run = await begin(ledger)
    with pytest.raises(WrongState, match="is running and asks for no approval of restore"):
        await ledger.approvals.reject(run.incident, NO, "ann", NOW)
    await ledger.approvals.ask(question(run.incident))
    with pytest.raises(WrongState, match="the plan has changed"):
        await ledger.approvals.reject(run.incident, replace(NO, plan="plan-0"), "ann", NOW)
    with pytest.raises(WrongState, match="expired"):
        await ledger.approvals.reject(run.incident, NO, "ann", NOW + 30 * MINUTE)
    await ledger.runs.move_run(run.id, IncidentState.RECOVERED, "it is well", NOW)
    with pytest.raises(WrongState, match="is recovered and asks for no approval"):
        await ledger.approvals.reject(run.incident, NO, "ann", NOW)
    with pytest.raises(WrongState, match="is recovered and asks for no approval"):
        await ledger.approvals.approve(run.incident, "restore", "plan-1", "ann", NOW)
    with pytest.raises(NotRecorded, match="no incident inc-9"):
        await ledger.approvals.reject("inc-9", NO, "ann", NOW)


async def test_the_plans_that_people_have_rejected_are_in_the_history_of_their_service(ledger: Ledger) -> None:
    """P7: read in the claim's transaction. The question of a step is about no plan of a run."""
    for service in ("web", "api"):
        run = await begin(ledger, service)
        await ledger.approvals.ask(question(run.incident))
        await ledger.approvals.ask(replace(question(run.incident), path="", plan=f"plan of {service}"))
        await ledger.approvals.reject(run.incident, NO, "ann", NOW)
        whole = RejectRequest(plan=f"plan of {service}", why="not now")
        await ledger.approvals.reject(run.incident, whole, "ann", NOW + MINUTE)
    history = await ledger.run_requests.history("web", "shop", NOW + HOUR)
    text = "the plan was rejected by ann: not now"
    assert history.rejections == (Rejection(rule="web-down", plan="plan of web", text=text, rejected=NOW + MINUTE),)
    assert (await ledger.run_requests.history("web", "shop", NOW + 4 * HOUR)).rejections == ()


async def test_a_question_asked_twice_is_one(ledger: Ledger) -> None:
    """D2."""
    run = await begin(ledger)
    for _ in range(2):
        await ledger.approvals.ask(question(run.incident))
    assert len(await ledger.approvals.of_incident(run.incident)) == 1


async def test_a_notice_waits_until_it_is_sent(ledger: Ledger) -> None:
    """The outbox: retried with growing pauses, never lost."""
    run = await begin(ledger)
    await ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, "help", NOW)
    (notice,) = await ledger.outbox.due_notices(NOW)
    for _ in range(2):  # the same failure told twice counts once
        await ledger.outbox.notice_failed(notice.id, NOW + MINUTE)
    assert await ledger.outbox.due_notices(NOW) == ()
    (again,) = await ledger.outbox.due_notices(NOW + MINUTE)
    assert (again.id, again.attempts) == (notice.id, 1)
    await ledger.outbox.notice_sent(notice.id)
    assert await ledger.outbox.due_notices(NOW + HOUR) == ()


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
    await ledger.runs.move_run(run.id, state, "so it is", NOW)
    told = state in {
        IncidentState.NEEDS_OPERATOR,
        IncidentState.AWAITING_APPROVAL,
        IncidentState.ROLLED_BACK,
        IncidentState.RECOVERED,
        IncidentState.INEFFECTIVE,
        IncidentState.FAILED,
    }
    assert [notice.kind for notice in await ledger.outbox.due_notices(NOW)] == [state] * told
