"""Time to take effect, more of it after each run that did not help; a stop after several, and for a trouble that returns; another fault begins anew."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.recurrence import (
    MOST_SHOWN,
    PastRecovery,
    failed_remedies,
    recurrence_summary,
    recurring,
    tried_since,
)
from kintsugi.model.history import History, PastRun, RunRemedies
from kintsugi.model.outages import Fault, KnownFaults, Superseded
from kintsugi.model.records import IncidentState, Reason, Verdict, VerdictKind
from kintsugi.model.remedies import RemedyKind
from kubediagnosis.causes import CauseKind
from tests.unit.factories import NOW, moment, past, rule
from tests.unit.guards.cases import guard_context, judged

MANY = Limits(failures=1000)
"""Limits under which only the cooldown speaks."""

SAYS_NOTHING = frozenset({IncidentState.CANCELLED, IncidentState.NO_ACTION})
HANDED_OVER = (IncidentState.FAILED, IncidentState.NEEDS_OPERATOR)
OURS = (IncidentState.INEFFECTIVE, IncidentState.ROLLED_BACK)
"""Useless ends after which we may try again by ourselves: what was handed over to a person is left to them first."""


def ended(states: list[IncidentState]) -> tuple[PastRun, ...]:
    """Return runs that ended so, the newest first, the last one now and each an hour before the next."""
    return tuple(past(state, finished=moment(hours=-n)) for n, state in enumerate(states))


@pytest.mark.parametrize(
    ("streak", "minutes"), [(0, 10), (1, 20), (2, 40), (3, 80), (4, 120), (5, 120), (10, 120), (90, 120)]
)
def test_the_cooldown_doubles_and_is_capped(streak: int, minutes: int) -> None:
    states = [IncidentState.INEFFECTIVE] * streak + [IncidentState.RECOVERED]
    verdict = judged(history=History(recent=ended(states)), limits=MANY)
    assert (verdict.reason, verdict.until) == (Reason.COOLDOWN, moment(minutes=minutes))


def test_a_rule_that_asks_for_more_than_the_cap_has_it() -> None:
    context = guard_context(rule=rule(cooldown=timedelta(hours=6)))
    verdict = judged(context, History(recent=ended([IncidentState.INEFFECTIVE])), limits=MANY)
    assert verdict.until == moment(hours=6)


def test_a_rule_without_a_cooldown_has_none_however_often_it_was_useless() -> None:
    context = guard_context(rule=rule(cooldown=timedelta(0)))
    assert (
        judged(context, History(recent=ended([IncidentState.INEFFECTIVE] * 90)), limits=MANY).kind
        is VerdictKind.STARTED
    )


@pytest.mark.parametrize("other", [past(rule="web-alerts"), past(service="api")], ids=["rule", "service"])
def test_the_cooldown_of_another_rule_or_service_is_not_this_ones(other: PastRun) -> None:
    assert judged(history=History(recent=(other,))).kind is VerdictKind.STARTED


@pytest.mark.parametrize("state", OURS)
def test_a_useless_end_doubles_the_cooldown_and_counts_as_a_failure(state: IncidentState) -> None:
    """E19: what goes on firing after a run that looked like a success counts against the remedy."""
    assert judged(history=History(recent=ended([state]))).until == moment(minutes=20)
    assert judged(history=History(recent=ended([state] * 3))).reason is Reason.FAILURES


@pytest.mark.parametrize("state", [IncidentState.RECOVERED, IncidentState.PASSED])
def test_only_a_run_that_helped_ends_the_streaks(state: IncidentState) -> None:
    states = [state] + [IncidentState.INEFFECTIVE] * 5
    verdict = judged(history=History(recent=ended(states)))
    assert (verdict.reason, verdict.until) == (Reason.COOLDOWN, moment(minutes=10))


def test_the_order_in_which_history_lists_runs_does_not_matter() -> None:
    runs = ended(
        [IncidentState.RECOVERED, IncidentState.INEFFECTIVE, IncidentState.INEFFECTIVE, IncidentState.INEFFECTIVE]
    )
    assert judged(history=History(recent=tuple(reversed(runs)))).reason is Reason.COOLDOWN


@pytest.mark.parametrize("state", sorted(SAYS_NOTHING))
def test_a_run_that_changed_nothing_neither_lengthens_a_streak_nor_ends_it(state: IncidentState) -> None:
    """Alerts that flap, or are fired and resolved at once, must not keep a useless remedy going."""
    failed = [IncidentState.INEFFECTIVE, IncidentState.INEFFECTIVE, IncidentState.ROLLED_BACK]
    between = [each for end in failed for each in (state, state, end)]
    quick = tuple(past(each, finished=moment(minutes=-n)) for n, each in enumerate(between, 11))
    assert judged(history=History(recent=quick)).reason is Reason.FAILURES
    assert judged(history=History(recent=quick[:-1])).reason is Reason.COOLDOWN


@pytest.mark.parametrize("state", sorted(SAYS_NOTHING))
def test_a_run_that_changed_nothing_rests_as_long_as_the_rule_says_and_no_longer(state: IncidentState) -> None:
    """The doubled time is counted from the run that did not help."""
    nothing, failed = past(state, finished=moment()), past(IncidentState.INEFFECTIVE, finished=moment(minutes=-5))
    verdict = judged(history=History(recent=(nothing, failed)))
    assert (verdict.reason, verdict.until) == (Reason.COOLDOWN, moment(minutes=15))
    assert "after a run that ended ineffective" in verdict.text
    failed = past(IncidentState.INEFFECTIVE, finished=moment(minutes=-15))
    verdict = judged(history=History(recent=(nothing, failed)))
    assert verdict.until == moment(minutes=10)
    assert f"after a run that ended {state}" in verdict.text


@pytest.mark.parametrize("state", HANDED_OVER)
def test_a_service_that_was_handed_over_is_left_to_the_person_whatever_the_rule(state: IncidentState) -> None:
    """E15, E17: a run of another rule would undo under their hands what they do, and be refused as the last one; an hour later it is ours again."""
    handed = past(state, rule="web-alerts")
    verdict = judged(history=History(recent=(handed,)))
    assert (verdict.reason, verdict.until) == (Reason.HUMAN, moment(hours=1))
    later = past(state, rule="web-alerts", finished=moment(hours=-1))
    assert judged(history=History(recent=(later,))).kind is VerdictKind.STARTED


WINDOW = timedelta(hours=4)
LONGEST = timedelta(hours=24)


def left_alone_until(*hours: float) -> datetime | None:
    """Return until when the trouble is left to a person, of recoveries so many hours after NOW."""
    found = recurring(tuple(moment(hours=each) for each in hours), most=3, window=WINDOW, longest=LONGEST)
    return None if found is None else found.until


@pytest.mark.parametrize(
    ("recoveries", "until"),
    [
        ((), None),
        ((0, 1), None),
        ((0, 1, 2), 6),
        ((0, 2, 4), 8),
        ((0, 2, 4.1), None),
        ((0, 3, 6, 9), None),
        ((0, 3, 6, 6.5), 10.5),
        ((0, 1, 2, 6.5), 6.5 + 8),
        ((0, 1, 2, 10), 18),
        ((0, 1, 2, 10.1), None),
        ((0, 1, 2, 6.5, 15), 15 + 16),
        ((0, 1, 2, 6.5, 15, 32), 32 + 24),
        ((0, 1, 2, 6.5, 15, 32, 57), 57 + 24),
        ((0, 1, 2, 10.1, 10.2, 10.3), 14.3),
    ],
    ids=str,
)
def test_so_many_recoveries_within_the_window_are_a_trouble_that_returns_and_rests_longer_each_time(
    recoveries: tuple[float, ...], until: float | None
) -> None:
    """One recovery after a rest is enough to know it again; after a window of quiet it is a new trouble."""
    assert left_alone_until(*recoveries) == (None if until is None else moment(hours=until))


def test_the_figures_are_those_of_the_limits() -> None:
    limits = Limits(recoveries=2, recoveries_window=timedelta(minutes=30), recoveries_pause_max=timedelta(minutes=45))
    history = History(recoveries=(moment(minutes=-60), moment(minutes=-40), moment(minutes=-5)))
    verdict = judged(history=history, limits=limits)
    assert verdict.until == moment(minutes=40)
    assert "3 times" in verdict.text


def test_the_account_says_when_each_run_was_what_it_did_and_how_it_ended() -> None:
    one = PastRecovery(
        run="run-1",
        started=NOW,
        finished=moment(minutes=4),
        state=IncidentState.RECOVERED,
        did=("kubectl delete pod a",),
    )
    many = PastRecovery(
        run="run-2",
        started=moment(hours=1),
        finished=moment(hours=2),
        state=IncidentState.FAILED,
        did=tuple(f"kubectl delete pod {n}" for n in range(MOST_SHOWN + 3)),
    )
    told = recurrence_summary("It has returned.", (one, many)).splitlines()
    assert told[:2] == ["It has returned.", "What was done so far:"]
    assert told[2] == f"  {NOW:%Y-%m-%d %H:%M:%S} run-1: kubectl delete pod a: recovered at 12:04:00"
    assert told[3].endswith("kubectl delete pod 4; and 3 more: failed at 14:00:00")


@pytest.mark.parametrize(
    ("states", "tried"),
    [
        ((), 0),
        (("needs-operator", "failed", "rolled-back"), 3),
        (("ineffective", "recovered", "failed"), 1),
        (("cancelled", "failed", "no-action", "failed"), 2),
        (("recovered", "failed"), 0),
    ],
    ids=str,
)
def test_remedies_count_back_to_the_first_run_that_helped(states: tuple[str, ...], tried: int) -> None:
    words = tuple(RemedyKind)
    runs = [
        RunRemedies(state=IncidentState(state), remedies=frozenset({word}))
        for state, word in zip(states, words, strict=False)
    ]
    assert len(failed_remedies(runs, None)) == tried


DISK = Fault(template="a", kind=CauseKind.VOLUME, object="persistentvolumeclaim/data")
IMAGE = Fault(template="a", kind=CauseKind.IMAGE_PULL, object="deployment/web", field="containers[web].image")
ABOUT_DISK = KnownFaults(templates=frozenset({"a"}), causes=frozenset({replace(DISK, template="")}))


def test_a_remedy_counts_only_against_the_fault_that_it_was_tried_for() -> None:
    runs = [RunRemedies(state=IncidentState.FAILED, remedies=frozenset({RemedyKind.RESTART}), faults=ABOUT_DISK)]
    assert failed_remedies(runs, DISK) == failed_remedies(runs, None) == {RemedyKind.RESTART}
    assert failed_remedies(runs, IMAGE) == frozenset()


@pytest.mark.parametrize(
    ("well", "since"),
    [
        (None, moment(minutes=-1440)),
        ((moment(minutes=-30), moment(minutes=-21)), moment(minutes=-1440)),
        ((moment(minutes=-30), moment(minutes=-20)), moment(minutes=-30)),
        ((moment(minutes=-2000), moment()), moment(minutes=-1440)),
    ],
    ids=["not seen", "for a short time", "long enough", "for days"],
)
def test_what_was_tried_before_the_service_was_well_for_long_enough_was_tried_for_another_problem(
    well: tuple[datetime, datetime] | None, since: datetime
) -> None:
    assert tried_since(well, good_after=timedelta(minutes=10), now=moment()) == since


def about_disk(state: IncidentState, *, minutes: float) -> PastRun:
    """Return a run about the disk that ended at a time."""
    return replace(past(state, finished=moment(minutes=minutes)), faults=ABOUT_DISK)


LEFT = History(recent=(about_disk(IncidentState.NEEDS_OPERATOR, minutes=-30),))


def at(fault: Fault | None, *, well: tuple[float, float] | None = None) -> Verdict:
    """Judge a request half an hour after a hand-over about the disk; `well` are the minutes of the last health."""
    span = (moment(minutes=well[0]), moment(minutes=well[1])) if well is not None else None
    return judged(replace(guard_context(), fault=fault, well=span), LEFT)


@pytest.mark.parametrize(
    "fault",
    [None, DISK, Fault(template="b"), replace(DISK, template="b")],
    ids=["not known yet", "the same", "without a cause", "under another template, which may be the person's"],
)
def test_a_service_is_left_to_the_person_while_its_fault_may_be_the_one_that_was_handed_over(
    fault: Fault | None,
) -> None:
    assert at(fault).reason is Reason.HUMAN


def test_another_cause_than_the_one_that_was_handed_over_is_kintsugi_s() -> None:
    assert at(IMAGE).kind is VerdictKind.STARTED


@pytest.mark.parametrize(
    ("well", "starts"), [((-29, -10), True), ((-60, -21), False), ((-60, -19), True), ((-12, -3), False)]
)
def test_a_hand_over_is_over_once_the_service_has_been_well_since(well: tuple[float, float], starts: bool) -> None:
    """For ten minutes without interruption, counted from the hand-over at the earliest."""
    assert (at(DISK, well=well).kind is VerdictKind.STARTED) is starts


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(DISK, Reason.COOLDOWN), (IMAGE, Reason.MATCHED), (replace(DISK, template="b"), Reason.MATCHED)],
)
def test_a_cooldown_holds_back_no_other_fault(fault: Fault, reason: Reason) -> None:
    history = History(recent=(about_disk(IncidentState.INEFFECTIVE, minutes=-1),))
    assert judged(replace(guard_context(), fault=fault), history).reason is reason


def test_runs_before_a_person_resumed_the_service_hold_it_back_no_more() -> None:
    """Neither the hand-over nor a streak of failures nor a cooldown."""
    handed, *before = (past(IncidentState.NEEDS_OPERATOR, finished=moment(minutes=-each)) for each in (1, 2, 3))
    resumed = replace(handed, resumed=moment(seconds=-1))
    assert judged(history=History(recent=(handed, *before))).reason is Reason.HUMAN
    assert judged(history=History(recent=(resumed, *before))).kind is VerdictKind.STARTED
    again = past(IncidentState.NEEDS_OPERATOR)
    assert judged(history=History(recent=(again, resumed, *before))).reason is Reason.HUMAN


def superseded(*, minutes: float, by: Superseded | None = Superseded.OTHER_FAULT) -> PastRun:
    """Return a run that has recovered its service and was ended by another problem."""
    return replace(past(IncidentState.RECOVERED, finished=moment(minutes=minutes)), superseded=by)


@pytest.mark.parametrize("by", [*Superseded, None])
def test_the_cooldown_of_a_run_that_another_problem_has_ended_holds_nothing_back(by: Superseded | None) -> None:
    verdict = judged(history=History(recent=(superseded(minutes=-1, by=by),)))
    assert (verdict.reason is Reason.COOLDOWN) is (by is None)


@pytest.mark.parametrize("fault", [IMAGE, replace(DISK, template="b")], ids=["another cause", "another template"])
def test_runs_in_a_row_that_did_not_help_hold_back_only_the_fault_that_they_were_about(fault: Fault) -> None:
    """In whatever order the faults come: a fault between two of them takes nothing away from either."""
    failed = [about_disk(IncidentState.ROLLED_BACK, minutes=-minutes) for minutes in (2, 4, 6)]
    about_image = KnownFaults(templates=frozenset({"a"}), causes=frozenset({replace(IMAGE, template="")}))
    between = replace(failed[0], finished=moment(minutes=-1), state=IncidentState.RECOVERED, faults=about_image)
    history = History(recent=(*failed, between))
    limits = Limits(cooldown_max=timedelta())
    assert judged(replace(guard_context(), fault=DISK), history, limits=limits).reason is Reason.FAILURES
    assert judged(replace(guard_context(), fault=fault), history, limits=limits).reason is not Reason.FAILURES


def test_the_hand_over_of_a_daemon_without_a_diagnosis_is_kept_to_whatever_the_cause() -> None:
    history = History(recent=(past(IncidentState.NEEDS_OPERATOR, finished=moment(minutes=-30)),))
    assert judged(replace(guard_context(), fault=IMAGE), history).reason is Reason.HUMAN
