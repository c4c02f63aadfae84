"""When a run's time is over there is no more waiting: it is said what is so, and a person is called (P5, P6, E19, E31)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from kintsugi.decisions.watchdog import Progress, WatchdogDecision, after_rollback, end_of, in_the_end
from kintsugi.model.views import ServiceView
from tests.unit.factories import NOW, deployment, moment, view, web
from tests.unit.watchdog.judging import TIMEOUT

DEADLINE = moment(minutes=30)
LATE = moment(minutes=47)
CLEAR = moment(minutes=1)
STUCK = deployment(web(), updated=1)


def progress(*, clear: datetime | None = CLEAR, taken_up: datetime | None = None) -> Progress:
    """Return a run of half an hour whose steps ended after ten minutes."""
    ended = moment(minutes=10)
    return Progress(
        began=NOW, deadline=DEADLINE, steps_finished_at=ended, changed=True, clear_since=clear, taken_up=taken_up
    )


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
    assert end_of(progress(taken_up=taken_up), TIMEOUT) == end


RESTARTING = replace(view(), last_restart=moment(minutes=46, seconds=30), crash_interval=timedelta(minutes=5))

ENDS = {
    "blind": (
        view(is_current=False, healthy=None),
        CLEAR,
        WatchdogDecision.HAND_OVER,
        "web could not be observed reliably before its time was over; its health is unknown",
    ),
    "without an answer": (
        view(healthy=None),
        None,
        WatchdogDecision.HAND_OVER,
        "web could not be observed reliably before its time was over; its health is unknown",
    ),
    "failing since a moment": (
        view(healthy=False, since=moment(minutes=46)),
        CLEAR,
        WatchdogDecision.HAND_OVER,
        "web is flapping: its health changes too often for a decision",
    ),
    "well since a moment": (
        view(since=moment(minutes=46)),
        CLEAR,
        WatchdogDecision.HAND_OVER,
        (
            "web is healthy, but the service was not healthy for 2m without interruption:"
            " all conditions are met only since 12:46:00; a person is needed"
        ),
    ),
    "restarting": (
        RESTARTING,
        CLEAR,
        WatchdogDecision.HAND_OVER,
        (
            "web is healthy, but the service was not healthy for 10m without interruption:"
            " the last container restart was at 12:46:30; a person is needed"
        ),
    ),
    "restarting, and it goes on": (
        RESTARTING,
        None,
        WatchdogDecision.INEFFECTIVE,
        (
            "web is healthy, but the trigger persists; the service was not healthy for 10m without interruption:"
            " the last container restart was at 12:46:30; a person is needed"
        ),
    ),
    "stuck": (
        replace(view(), workload=STUCK),
        CLEAR,
        WatchdogDecision.HAND_OVER,
        (
            "web is healthy, but the rollout of deployment/web is not complete:"
            " 1 of 3 pods are of the new template; a person is needed"
        ),
    ),
}


@pytest.mark.parametrize(("seen", "clear", "decision", "reason"), ENDS.values(), ids=ENDS)
def test_the_watchdog_says_what_it_has_waited_for(
    seen: ServiceView, clear: datetime | None, decision: WatchdogDecision, reason: str
) -> None:
    result = in_the_end(seen, progress(clear=clear), TIMEOUT, now=LATE)
    assert (result.decision, result.reason) == (decision, reason)


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
        (view(is_current=False), 20, "web cannot be observed reliably"),
    ],
)
def test_a_rollback_is_waited_for_as_long_as_what_it_waits_for_may_take(
    seen: ServiceView, minutes: float, reason: str
) -> None:
    """Its last change was made after ten minutes."""
    for late, decision in ((timedelta(seconds=-1), WatchdogDecision.WAIT), (timedelta(0), WatchdogDecision.HAND_OVER)):
        now = moment(minutes=minutes) + late
        result = after_rollback(seen, progress(), TIMEOUT, now=now)
        assert (result.decision, result.reason) == (decision, reason)


def test_a_rollback_has_helped_when_the_service_has_been_well_by_it_for_long_enough() -> None:
    for minutes, decision in ((11.9, WatchdogDecision.WAIT), (12, WatchdogDecision.RECOVERED)):
        result = after_rollback(view(), progress(), TIMEOUT, now=moment(minutes=minutes))
        assert result.decision is decision
    assert result.reason == "web is healthy"
