"""What was about one fault of a service does not hold back the next: a hand-over, a cooldown; a streak and a budget do (P11)."""

from dataclasses import replace

import pytest

from kintsugi.model.history import History, PastRun
from kintsugi.model.outages import Fault, KnownFaults, Superseded
from kintsugi.model.records import IncidentState, Reason, Verdict, VerdictKind
from kubediagnosis.causes import CauseKind
from tests.unit.factories import moment, past
from tests.unit.guards.questions import guard_context, judged

DISK = Fault(template="a", kind=CauseKind.VOLUME, object="persistentvolumeclaim/data")
IMAGE = Fault(template="a", kind=CauseKind.IMAGE_PULL, object="deployment/web", field="containers[web].image")
HANDED_OVER = History(
    recent=(past(IncidentState.NEEDS_OPERATOR, finished=moment(minutes=-30)),),
    last_faults=KnownFaults(templates=frozenset({"a"}), causes=frozenset({replace(DISK, template="")})),
)


def at(fault: Fault | None, *, well: tuple[float, float] | None = None) -> Verdict:
    """Judge a request half an hour after a hand-over about the disk; `well` are the minutes of the last health."""
    span = (moment(minutes=well[0]), moment(minutes=well[1])) if well is not None else None
    return judged(replace(guard_context(), fault=fault, well=span), HANDED_OVER)


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
    history = replace(HANDED_OVER, recent=(past(IncidentState.INEFFECTIVE, finished=moment(minutes=-1)),))
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


def test_a_person_is_needed_after_two_runs_in_a_row_that_another_problem_has_ended() -> None:
    both = (superseded(minutes=-1), superseded(minutes=-4))
    verdict = judged(history=History(recent=both))
    assert (verdict.reason, verdict.until) == (Reason.FAILURES, moment(minutes=59))
    assert verdict.text.startswith(
        "2 runs in a row were ended by another problem while they verified; no run starts before"
    )
    assert judged(history=History(recent=(both[0], superseded(minutes=-90, by=None)))).kind is VerdictKind.STARTED
    long_ago = tuple(superseded(minutes=minutes) for minutes in (-61, -64))
    assert judged(history=History(recent=long_ago)).kind is VerdictKind.STARTED


def test_the_hand_over_of_a_daemon_without_a_diagnosis_is_kept_to_whatever_the_cause() -> None:
    history = replace(HANDED_OVER, last_faults=KnownFaults())
    assert judged(replace(guard_context(), fault=IMAGE), history).reason is Reason.HUMAN
