"""What a watchdog calls after the last step and before the deadline (E18, E19, E31)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.watchdog import WatchdogDecision, settle_time
from kintsugi.model.views import ServiceView
from tests.unit.factories import NOW, moment, view
from tests.unit.watchdog.judging import TIMEOUT, watched

CLEAR = moment(minutes=1)
LATE = moment(minutes=5)


def test_both_together_are_recovery() -> None:
    result = watched(view(), now=LATE, clear_since=CLEAR)
    assert result.decision is WatchdogDecision.RECOVERED
    assert result.reason == "web is healthy and the trigger has cleared"


def test_health_alone_waits_for_the_trigger() -> None:
    result = watched(view(), now=LATE)
    assert (result.decision, result.reason) == (
        WatchdogDecision.WAIT,
        "everything is healthy; the trigger has not cleared yet",
    )


def test_a_clear_trigger_alone_waits_for_health() -> None:
    result = watched(view(healthy=False, ready=1), now=LATE, clear_since=CLEAR)
    assert (result.decision, result.reason) == (WatchdogDecision.WAIT, "web is not healthy: 1 of 3 ready")


@pytest.mark.parametrize("clear", [None, CLEAR])
@pytest.mark.parametrize("seen", [view(is_current=False), view(healthy=None), view(is_current=False, healthy=None)])
def test_a_blind_watchdog_waits(seen: ServiceView, clear: datetime | None) -> None:
    """P6, E31: resolved through missing data is not health; nor is it a failure."""
    result = watched(seen, now=moment(hours=5), clear_since=clear)
    assert (result.decision, result.reason) == (WatchdogDecision.WAIT, "web cannot be observed reliably")


@pytest.mark.parametrize(
    ("seconds", "decision"),
    [
        (0, WatchdogDecision.WAIT),
        (119, WatchdogDecision.WAIT),
        (120, WatchdogDecision.RECOVERED),
        (3600, WatchdogDecision.RECOVERED),
    ],
)
def test_health_must_last(seconds: float, decision: WatchdogDecision) -> None:
    result = watched(view(), now=moment(seconds=seconds), clear_since=CLEAR)
    assert result.decision is decision
    if decision is WatchdogDecision.WAIT:
        assert result.reason == "web has been healthy since 12:00:00; 2m are required"


def test_health_counts_from_the_last_step() -> None:
    """What was well all along proves nothing about what was done a moment ago."""
    ended = moment(minutes=4)
    assert (
        watched(view(), now=moment(minutes=5), steps_finished_at=ended, clear_since=CLEAR).decision
        is WatchdogDecision.WAIT
    )
    assert (
        watched(view(), now=moment(minutes=6), steps_finished_at=ended, clear_since=CLEAR).decision
        is WatchdogDecision.RECOVERED
    )


def test_a_restart_of_a_container_starts_the_time_anew() -> None:
    seen = replace(view(), last_restart=moment(minutes=4))
    assert watched(seen, now=moment(minutes=5), clear_since=CLEAR).decision is WatchdogDecision.WAIT
    assert watched(seen, now=moment(minutes=6), clear_since=CLEAR).decision is WatchdogDecision.RECOVERED


@pytest.mark.parametrize(
    ("interval", "asked"),
    [
        (timedelta(0), timedelta(minutes=2)),
        (timedelta(minutes=1), timedelta(minutes=2)),
        (timedelta(minutes=3), timedelta(minutes=6)),
    ],
)
def test_a_crash_loop_must_be_outlasted_twice(interval: timedelta, asked: timedelta) -> None:
    seen = replace(view(), crash_interval=interval)
    assert settle_time(seen, TIMEOUT) == asked
    just_before = NOW + asked - timedelta(seconds=1)
    assert watched(seen, now=just_before, clear_since=CLEAR).decision is WatchdogDecision.WAIT
    assert watched(seen, now=NOW + asked, clear_since=CLEAR).decision is WatchdogDecision.RECOVERED


@pytest.mark.parametrize(
    ("minutes", "decision"),
    [
        (2, WatchdogDecision.WAIT),
        (16.9, WatchdogDecision.WAIT),
        (17, WatchdogDecision.INEFFECTIVE),
        (60, WatchdogDecision.INEFFECTIVE),
    ],
)
def test_an_alert_may_lag_but_not_for_ever(minutes: float, decision: WatchdogDecision) -> None:
    """E19: well for the settle time and another quarter of an hour, and still it fires: a person is called."""
    result = watched(view(), now=moment(minutes=minutes))
    assert result.decision is decision
    if decision is WatchdogDecision.INEFFECTIVE:
        assert result.reason == "web is healthy, but the trigger persists; a person is needed"


def test_when_nothing_was_changed_it_is_no_recovery() -> None:
    result = watched(view(), now=LATE, changed=False, clear_since=CLEAR)
    assert (result.decision, result.reason) == (WatchdogDecision.NO_ACTION, "web is healthy; no change was needed")


seconds = st.integers(min_value=0, max_value=7200)
maybe = st.none() | seconds


@given(
    now=seconds,
    healthy=st.sampled_from([True, False, None]),
    since=seconds,
    restart=maybe,
    steps_finished_at=maybe,
    clear=maybe,
)
def test_recovered_is_never_called_without_all_that_it_takes(
    now: int, healthy: bool | None, since: int, restart: int | None, steps_finished_at: int | None, clear: int | None
) -> None:
    def at(second: int | None) -> datetime | None:
        return None if second is None else moment(seconds=second)

    seen = replace(view(healthy=healthy, since=moment(seconds=since)), last_restart=at(restart))
    result = watched(seen, now=moment(seconds=now), steps_finished_at=at(steps_finished_at), clear_since=at(clear))
    latest = max(each for each in (since, restart, steps_finished_at) if each is not None)
    enough = healthy is True and clear is not None and now - latest >= 120
    assert (result.decision is WatchdogDecision.RECOVERED) == enough
    assert result.decision in {WatchdogDecision.RECOVERED, WatchdogDecision.WAIT, WatchdogDecision.INEFFECTIVE}


@pytest.mark.parametrize(
    ("ready", "clear", "minutes", "reason"),
    [
        (1, None, 3, "web is not healthy, and no further action is available"),
        (1, CLEAR, 3, "web is not healthy, and no further action is available"),
        (3, None, 3, "the trigger on web persists, and no further action is available"),
        (1, None, 2, ""),
        (3, CLEAR, 3, ""),
    ],
)
def test_a_person_is_called_soon_where_nothing_is_left_to_try(
    ready: int, clear: datetime | None, minutes: int, reason: str
) -> None:
    """Its steps were not all done, and at its deadline it would only call a person: why wait for hours?"""
    seen = view(healthy=ready == 3, ready=ready)
    result = watched(seen, now=moment(minutes=minutes), steps_finished_at=NOW, clear_since=clear, stuck=True)
    assert (result.decision is WatchdogDecision.HAND_OVER) is bool(reason)
    assert not reason or result.reason == reason
