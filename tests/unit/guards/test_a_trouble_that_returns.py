"""A trouble that returns after every recovery is ineffective: its remedy rests, longer each time, and a person is told."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.recurrence import (
    MOST_SHOWN,
    PastRecovery,
    RunRemedies,
    failed_remedies,
    recurrence_summary,
    recurring,
)
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Reason, VerdictKind
from kintsugi.model.remedies import RemedyKind
from kintsugi.model.rules import Mode
from tests.unit.factories import NOW, moment
from tests.unit.guards.questions import guard_context, judged

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
    ],
    ids=str,
)
def test_so_many_recoveries_within_the_window_are_a_trouble_that_returns(
    recoveries: tuple[float, ...], until: float | None
) -> None:
    assert left_alone_until(*recoveries) == (None if until is None else moment(hours=until))


@pytest.mark.parametrize(
    ("recoveries", "until"),
    [
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
def test_the_rest_doubles_each_time_that_the_trouble_returns_once_more(
    recoveries: tuple[float, ...], until: float | None
) -> None:
    """One recovery after a rest is enough to know it again; after a window of quiet it is a new trouble."""
    assert left_alone_until(*recoveries) == (None if until is None else moment(hours=until))


@given(st.lists(st.floats(0, 100), max_size=20).map(sorted))
def test_a_rest_is_never_below_the_window_nor_above_the_longest(hours: list[float]) -> None:
    until = left_alone_until(*hours)
    if until is not None:
        assert WINDOW <= until - moment(hours=hours[-1]) <= LONGEST


RETURNED = History(recoveries=(moment(hours=-3), moment(hours=-2), moment(hours=-1)))


def test_no_run_is_started_until_the_rest_is_over() -> None:
    """The verdict is provisional: the trouble is judged again then."""
    verdict = judged(history=RETURNED)
    assert (verdict.kind, verdict.reason, verdict.until) == (VerdictKind.REFUSED, Reason.INEFFECTIVE, moment(hours=3))
    assert judged(history=RETURNED, now=moment(hours=3)).kind is VerdictKind.STARTED


def test_a_run_that_a_person_has_approved_for_all_that_is_started() -> None:
    asked = judged(guard_context(mode=Mode.APPROVE), RETURNED)
    assert asked.reason is Reason.INEFFECTIVE
    assert judged(guard_context(mode=Mode.APPROVE, approved=True), RETURNED).kind is VerdictKind.STARTED


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
    assert len(failed_remedies(runs)) == tried
