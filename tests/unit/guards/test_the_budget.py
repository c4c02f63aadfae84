"""The blast radius is bounded: changes an hour in a namespace, services at once (P7, S1, S2)."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.guards import Limits
from kintsugi.model.history import History, PastRun
from kintsugi.model.records import IncidentState, Reason, VerdictKind
from tests.unit.factories import NOW, moment, past
from tests.unit.guards.questions import judged

SMALL = Limits(budget=3)


def active(count: int) -> tuple[PastRun, ...]:
    """Give that many runs under way, of other services."""
    return tuple(past(IncidentState.RUNNING, finished=None, service=f"other-{n}") for n in range(count))


@pytest.mark.parametrize(("running", "starts"), [(0, True), (2, True), (3, False), (7, False)])
def test_only_so_many_services_are_recovered_at_once(running: int, starts: bool) -> None:
    verdict = judged(history=History(active=active(running)))
    assert verdict.kind is (VerdictKind.STARTED if starts else VerdictKind.REFUSED)
    if not starts:
        assert (verdict.reason, verdict.until) == (Reason.BUDGET, moment(seconds=30))
        assert verdict.text == f"{running} services are being recovered, 3 at once is the limit"


@pytest.mark.parametrize(
    ("minutes_ago", "until"),
    [
        ([], None),
        ([5, 10], None),
        ([5, 10, 20], moment(minutes=40)),
        ([20, 5, 10], moment(minutes=40)),
        ([5, 10, 61], None),
        ([5, 10, 60], None),
        ([1, 2, 3, 4, 5], moment(minutes=57)),
    ],
    ids=str,
)
def test_a_spent_budget_says_when_there_is_room_again(minutes_ago: list[int], until: datetime | None) -> None:
    history = History(disruptions=tuple(moment(minutes=-each) for each in minutes_ago))
    verdict = judged(history=history, limits=SMALL)
    assert (verdict.reason, verdict.until) == (Reason.BUDGET if until else Reason.MATCHED, until)


moments = st.lists(st.timedeltas(timedelta(0), timedelta(hours=5)), min_size=1, max_size=60)


@given(moments, st.integers(min_value=1, max_value=8))
def test_the_budget_is_never_exceeded_whenever_it_is_asked(delays: list[timedelta], budget: int) -> None:
    """Play claims at any moments, one change each: within no window are there ever more changes than the budget."""
    limits, made = Limits(budget=budget), list[datetime]()
    for delay in sorted(delays):
        now = NOW + delay
        if judged(history=History(disruptions=tuple(made)), limits=limits, now=now).kind is VerdictKind.STARTED:
            made.append(now)
    for first in made:
        assert sum(first <= each < first + limits.budget_window for each in made) <= budget


@given(moments, st.integers(min_value=1, max_value=8))
def test_when_the_named_moment_comes_there_is_room(delays: list[timedelta], budget: int) -> None:
    limits = Limits(budget=budget)
    history = History(disruptions=tuple(NOW - delay for delay in delays))
    verdict = judged(history=history, limits=limits)
    if verdict.until is not None:
        assert judged(history=history, limits=limits, now=verdict.until).kind is VerdictKind.STARTED
        just_before = verdict.until - timedelta(microseconds=1)
        assert judged(history=history, limits=limits, now=just_before).reason is Reason.BUDGET
