"""When a run's time is over there is no more waiting: it is said what is so, and a person is called (P5, P6, E19, E31)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from kintsugi.model.views import ServiceView
from kintsugi.watchdog import Call, Progress, after_rollback, end_of, in_the_end
from tests.unit.factories import NOW, deployment, moment, view, web
from tests.unit.watchdog.judging import PATIENCE

DEADLINE = moment(minutes=30)
LATE = moment(minutes=47)
CLEAR = moment(minutes=1)
STUCK = deployment(web(), updated=1)


def progress(*, clear: datetime | None = CLEAR, taken_up: datetime | None = None) -> Progress:
    """Return a run of half an hour whose steps ended after ten minutes."""
    walked = moment(minutes=10)
    return Progress(began=NOW, deadline=DEADLINE, walked=walked, changed=True, clear_since=clear, taken_up=taken_up)


@pytest.mark.parametrize(
    ("taken_up", "end"),
    [
        (None, LATE),
        (moment(minutes=31), LATE),
        (moment(minutes=42), LATE),
        (moment(minutes=45), moment(minutes=50)),
        (moment(hours=9), moment(hours=9, minutes=5)),
    ],
)
def test_a_run_is_over_after_its_deadline_the_lag_and_a_verification(taken_up: datetime | None, end: datetime) -> None:
    """A watchdog that was not there in time has one look more."""
    assert end_of(progress(taken_up=taken_up), PATIENCE) == end


RESTARTING = replace(view(), last_restart=moment(minutes=46, seconds=30), crash_interval=timedelta(minutes=5))

ENDS = {
    "blind": (
        view(fresh=False, healthy=None),
        CLEAR,
        Call.HAND_OVER,
        "web could not be seen well enough to judge until its time was over: nobody knows whether it is well",
    ),
    "without an answer": (
        view(healthy=None),
        None,
        Call.HAND_OVER,
        "web could not be seen well enough to judge until its time was over: nobody knows whether it is well",
    ),
    "failing since a moment": (
        view(healthy=False, since=moment(minutes=46)),
        CLEAR,
        Call.HAND_OVER,
        "web neither stays well nor fails for long: it flaps",
    ),
    "well since a moment": (
        view(since=moment(minutes=46)),
        CLEAR,
        Call.HAND_OVER,
        (
            "web is healthy, but it has not been well for 0:02:00 on end:"
            " all this has been so only since 12:46:00: a person is needed"
        ),
    ),
    "restarting": (
        RESTARTING,
        CLEAR,
        Call.HAND_OVER,
        (
            "web is healthy, but it has not been well for 0:10:00 on end:"
            " a container restarted last at 12:46:30: a person is needed"
        ),
    ),
    "restarting, and it goes on": (
        RESTARTING,
        None,
        Call.INEFFECTIVE,
        (
            "web is healthy, but what started the run goes on; it has not been well for 0:10:00 on end:"
            " a container restarted last at 12:46:30: a person is needed"
        ),
    ),
    "stuck": (
        replace(view(), workload=STUCK),
        CLEAR,
        Call.HAND_OVER,
        (
            "web is healthy, but the rollout of deployment/web is not complete:"
            " 1 of 3 pods are of the new template: a person is needed"
        ),
    ),
}


@pytest.mark.parametrize(("seen", "clear", "call", "reason"), ENDS.values(), ids=ENDS)
def test_it_says_what_it_has_waited_for(seen: ServiceView, clear: datetime | None, call: Call, reason: str) -> None:
    judgement = in_the_end(seen, progress(clear=clear), PATIENCE, now=LATE)
    assert (judgement.call, judgement.reason) == (call, reason)


@pytest.mark.parametrize(
    ("seen", "minutes", "reason"),
    [
        (view(healthy=False, ready=1), 12, "web is not healthy: 1 of 3 ready"),
        (replace(view(healthy=False, ready=1), workload=STUCK), 20, "web is not healthy: 1 of 3 ready"),
        (
            replace(view(), workload=STUCK),
            22,
            "the rollout of deployment/web is not complete: 1 of 3 pods are of the new template",
        ),
        (view(since=moment(minutes=21)), 22, "web has been healthy only since 12:21:00"),
        (view(fresh=False), 20, "web cannot be seen well enough to judge"),
    ],
)
def test_a_rollback_is_waited_for_as_long_as_what_it_waits_for_may_take(
    seen: ServiceView, minutes: float, reason: str
) -> None:
    """Its last change was made after ten minutes."""
    for late, call in ((timedelta(seconds=-1), Call.WAIT), (timedelta(0), Call.HAND_OVER)):
        now = moment(minutes=minutes) + late
        judgement = after_rollback(seen, progress(), PATIENCE, now=now)
        assert (judgement.call, judgement.reason) == (call, reason)


def test_a_rollback_has_helped_when_the_service_has_been_well_by_it_for_long_enough() -> None:
    for minutes, call in ((11.9, Call.WAIT), (12, Call.RECOVERED)):
        judgement = after_rollback(view(), progress(), PATIENCE, now=moment(minutes=minutes))
        assert judgement.call is call
    assert judgement.reason == "web is healthy"
