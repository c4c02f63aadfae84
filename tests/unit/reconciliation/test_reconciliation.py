"""What is owed to an open run and to an incident that no run carries: an owner, or a person with a reason (P5, P9, C8, D2)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from kintsugi.decisions.reconciliation import (
    HEARTBEAT_TIMEOUT,
    MOST_TASK_FAILURES,
    IncidentAction,
    OpenIncident,
    ReconcileAction,
    RunLiveness,
    is_still_asked,
    need_of,
    overdue_hold_notice,
    reconcile_action,
    repeated_question,
)
from kintsugi.model.history import Abort
from kintsugi.model.questions import Answer, Question
from kintsugi.model.records import IncidentState, Reason, Signal, Verdict, VerdictKind
from tests.harness.answers import said
from tests.unit.factories import NOW, incident, moment, run, signal

PAUSE = timedelta(seconds=5)
NEVER_DIED = timedelta(0)


def action_for(
    *,
    since_heartbeat: timedelta | None = None,
    failures: int = 0,
    failed_for: timedelta = NEVER_DIED,
    minutes: float = 0,
) -> ReconcileAction:
    """Decide on a run whose deadline is half an hour after its start."""
    liveness = RunLiveness(since_heartbeat=since_heartbeat, failures=failures, failed_for=failed_for)
    return reconcile_action(run(), liveness, pause=PAUSE, now=moment(minutes=minutes))


@pytest.mark.parametrize("minutes", [0, 29, 31, 600])
def test_a_run_without_a_task_is_taken_up_whether_or_not_it_is_overdue(minutes: float) -> None:
    assert action_for(minutes=minutes) is ReconcileAction.TAKE_UP


def test_a_run_that_looks_is_left_alone_even_past_its_deadline() -> None:
    """A rollback, too, takes place after the deadline."""
    assert action_for(since_heartbeat=timedelta(seconds=1), minutes=45) is ReconcileAction.LEAVE


def test_a_run_that_looks_at_nothing_is_restarted_once_it_is_past_its_deadline() -> None:
    silent = HEARTBEAT_TIMEOUT + timedelta(seconds=1)
    assert action_for(since_heartbeat=silent, minutes=29) is ReconcileAction.LEAVE
    assert action_for(since_heartbeat=silent, minutes=31) is ReconcileAction.RESTART
    assert action_for(since_heartbeat=HEARTBEAT_TIMEOUT, minutes=31) is ReconcileAction.LEAVE


@pytest.mark.parametrize("failures", range(1, MOST_TASK_FAILURES + 1))
def test_a_run_whose_task_died_is_taken_up_again_after_a_pause_that_doubles(failures: int) -> None:
    pause = PAUSE * 2**failures
    assert action_for(failures=failures, failed_for=pause - timedelta(seconds=1)) is ReconcileAction.LEAVE
    assert action_for(failures=failures, failed_for=pause) is ReconcileAction.TAKE_UP


def test_a_run_that_dies_again_and_again_is_handed_over() -> None:
    assert action_for(failures=MOST_TASK_FAILURES + 1, failed_for=timedelta(hours=1)) is ReconcileAction.HAND_OVER


LIMIT = timedelta(minutes=15)


def question(*, answered: datetime | None = None, expires: datetime | None = None, plan: str = "p-1") -> Question:
    """Return a question about the plan, open until half an hour from now."""
    return Question(
        incident="inc-1",
        path="",
        text="Run it?",
        plan=plan,
        asked=NOW,
        expires=expires or moment(minutes=30),
        **(said(Answer.YES, "ana", answered) if answered else {}),
    )


def judged(kind: VerdictKind, *, until: datetime | None = None, ended: bool = False) -> tuple[Signal, Verdict]:
    """Return a signal with its verdict."""
    verdict = Verdict(kind=kind, reason=Reason.UPSTREAM, text="for a reason", until=until)
    return signal(ended=moment() if ended else None), verdict


def standing(
    state: IncidentState,
    *questions: Question,
    signals: tuple[tuple[Signal, Verdict | None], ...] = ((signal(), None),),
    had_run: bool = False,
    clear: bool = False,
) -> OpenIncident:
    """Return what the ledger says of an incident."""
    return OpenIncident(
        incident=incident(state=state), had_run=had_run, clear=clear, signals=signals, questions=questions
    )


CARRIED = (IncidentState.OPEN, IncidentState.RUNNING, IncidentState.VERIFYING, IncidentState.ROLLING_BACK)
WAITING = (IncidentState.HELD, IncidentState.AWAITING_APPROVAL)


@pytest.mark.parametrize(
    ("found", "lacks"),
    [
        *((standing(each), "a run") for each in CARRIED),
        *((standing(each, had_run=True), "a run") for each in WAITING),
        *((standing(each, signals=()), "a signal to re-evaluate") for each in WAITING),
    ],
)
def test_an_incident_that_should_have_a_run_and_has_none_or_that_waits_for_nothing_is_handed_over(
    found: OpenIncident, lacks: str
) -> None:
    need = need_of(found, now=NOW)
    assert (need.action, need.state, need.notify) == (IncidentAction.END, IncidentState.NEEDS_OPERATOR, True)
    assert need.reason == f"the incident was {found.incident.state} without {lacks}; check whether web is healthy"


def test_a_held_incident_recovers_with_its_upstream() -> None:
    need = need_of(standing(IncidentState.HELD, clear=True), now=NOW)
    assert (need.action, need.state, need.notify) == (IncidentAction.END, IncidentState.RECOVERED, False)


@pytest.mark.parametrize(
    ("signals", "action"),
    [
        (((signal(), None),), IncidentAction.WAIT),
        ((judged(VerdictKind.HELD, until=moment(minutes=1)),), IncidentAction.WAIT),
        ((judged(VerdictKind.OBSERVED), judged(VerdictKind.REFUSED, until=moment(minutes=1))), IncidentAction.WAIT),
        ((judged(VerdictKind.OBSERVED),), IncidentAction.EVALUATE),
        ((judged(VerdictKind.ATTACHED), judged(VerdictKind.HELD, until=moment(), ended=True)), IncidentAction.EVALUATE),
    ],
    ids=["unjudged", "provisional", "one-is-provisional", "all-are-final", "what-was-provisional-has-ended"],
)
def test_a_held_incident_whose_signals_are_judged_no_more_is_judged_itself(
    signals: tuple[tuple[Signal, Verdict | None], ...], action: IncidentAction
) -> None:
    assert need_of(standing(IncidentState.HELD, signals=signals), now=NOW).action is action


def test_a_question_that_was_lost_is_asked() -> None:
    assert need_of(standing(IncidentState.AWAITING_APPROVAL), now=NOW).action is IncidentAction.ASK


def test_an_open_question_waits_until_it_expires() -> None:
    waiting = standing(IncidentState.AWAITING_APPROVAL, question())
    assert need_of(waiting, now=moment(minutes=29)).action is IncidentAction.WAIT
    need = need_of(waiting, now=moment(minutes=30))
    assert (need.action, need.state, need.notify) == (IncidentAction.END, IncidentState.CANCELLED, True)
    assert need.reason == "no approval by 12:30:00"


def test_an_answer_is_good_until_the_question_expires_and_asked_anew_then() -> None:
    """E28."""
    yes = question(answered=moment(minutes=5))
    waiting = standing(IncidentState.AWAITING_APPROVAL, yes)
    need = need_of(waiting, now=moment(minutes=29))
    assert (need.action, need.approval) == (IncidentAction.START, yes)
    late = need_of(waiting, now=moment(minutes=30))
    assert (late.action, late.approval) == (IncidentAction.ASK, None)


@pytest.mark.parametrize(
    ("known", "minutes", "notify"),
    [
        (
            question(answered=moment(minutes=5)),
            30,
            "the approval of ana expired at 12:30:00 before the run could start",
        ),
        (question(answered=moment(minutes=5)), 10, "the plan has changed since ana approved it"),
        (question(), 30, "no approval by 12:30:00"),
        (question(), 10, "the plan has changed since it was shown"),
    ],
)
def test_a_person_hears_why_a_question_is_asked_anew(known: Question, minutes: float, notify: str) -> None:
    assert (
        repeated_question([question(plan="older"), known], now=moment(minutes=minutes))
        == f"{notify}; approval is requested again"
    )
    assert repeated_question([], now=moment(minutes=minutes)) == ""


@pytest.mark.parametrize("minutes", [2, 45])
def test_an_incident_whose_plan_was_rejected_is_cancelled_and_no_person_is_notified(minutes: float) -> None:
    """Whoever has answered knows, also where the trigger ends or the question expires before the daemon sees it."""
    no = replace(question(), **said(Answer.NO, "ana", moment(minutes=1), "a deploy"))
    need = need_of(standing(IncidentState.AWAITING_APPROVAL, no, clear=True), now=moment(minutes=minutes))
    assert (need.action, need.state, need.notify) == (IncidentAction.END, IncidentState.CANCELLED, False)
    assert need.reason == "rejected by ana: a deploy"


@pytest.mark.parametrize("state", [IncidentState.HELD, IncidentState.AWAITING_APPROVAL])
def test_an_incident_that_was_aborted_is_cancelled(state: IncidentState) -> None:
    abort = Abort(incident="inc-1", who="ana", why="a deploy", requested=NOW)
    need = need_of(replace(standing(state, question(answered=NOW), clear=True), abort=abort), now=moment(minutes=1))
    assert (need.action, need.state, need.notify) == (IncidentAction.END, IncidentState.CANCELLED, False)
    assert need.reason == "aborted by ana: a deploy"


def test_only_the_newest_question_counts() -> None:
    older = question(answered=moment(minutes=5))
    newer = question(expires=moment(minutes=60))
    assert (
        need_of(standing(IncidentState.AWAITING_APPROVAL, older, newer), now=moment(minutes=10)).action
        is IncidentAction.WAIT
    )


def test_a_question_is_not_asked_again_while_it_or_its_answer_is_good() -> None:
    for known in (question(), question(answered=moment(minutes=5))):
        assert is_still_asked([known], "p-1", now=moment(minutes=29))
        assert not is_still_asked([known], "p-1", now=moment(minutes=30))
        assert not is_still_asked([known], "p-2", now=moment(minutes=29))
    assert not is_still_asked([], "p-1", now=NOW)


def test_a_hold_is_over_at_its_limit_and_always_told_in_the_same_words() -> None:
    held = incident(state=IncidentState.HELD)
    assert overdue_hold_notice(held, LIMIT, now=moment(minutes=14)) == ""
    text = overdue_hold_notice(held, LIMIT, now=moment(minutes=15))
    assert text.startswith(
        "The service is held since 12:00:00 because of an upstream. After 15m, Kintsugi evaluates the service on its own"
    )
    assert overdue_hold_notice(replace(held, reason="another"), LIMIT, now=moment(hours=2)) == text
    assert overdue_hold_notice(replace(held, state=IncidentState.RUNNING), LIMIT, now=moment(hours=2)) == ""
