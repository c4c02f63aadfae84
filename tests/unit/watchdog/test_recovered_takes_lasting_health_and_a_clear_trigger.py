"""What a watchdog calls after the last step and before the deadline (DESIGN 6, E18, E19, E31)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.watchdog import Call, settle_time
from tests.unit.factories import NOW, moment, view
from tests.unit.watchdog.judging import PATIENCE, watched

CLEAR = moment(minutes=1)
LATE = moment(minutes=5)


def test_both_together_are_recovery() -> None:
    judgement = watched(view(), now=LATE, clear_since=CLEAR)
    assert judgement.call is Call.RECOVERED
    assert judgement.reason == "web is healthy and what started the run is clear"


def test_health_alone_waits_for_the_trigger() -> None:
    judgement = watched(view(), now=LATE)
    assert (judgement.call, judgement.reason) == (Call.WAIT, "all looks well; the trigger has not cleared yet")


def test_a_clear_trigger_alone_waits_for_health() -> None:
    judgement = watched(view(healthy=False, ready=1), now=LATE, clear_since=CLEAR)
    assert (judgement.call, judgement.reason) == (Call.WAIT, "web is not healthy: 1 of 3 ready")


@pytest.mark.parametrize("clear", [None, CLEAR])
@pytest.mark.parametrize("seen", [view(fresh=False), view(healthy=None), view(fresh=False, healthy=None)])
def test_a_blind_watchdog_waits(seen: object, clear: datetime | None) -> None:
    """P6, E31: resolved through missing data is not health; nor is it a failure."""
    judgement = watched(seen, now=moment(hours=5), clear_since=clear)  # type: ignore[arg-type]
    assert (judgement.call, judgement.reason) == (Call.WAIT, "web cannot be seen well enough to judge")


@pytest.mark.parametrize(
    ("seconds", "call"), [(0, Call.WAIT), (119, Call.WAIT), (120, Call.RECOVERED), (3600, Call.RECOVERED)]
)
def test_health_must_last(seconds: float, call: Call) -> None:
    judgement = watched(view(), now=moment(seconds=seconds), clear_since=CLEAR)
    assert judgement.call is call
    if call is Call.WAIT:
        assert judgement.reason == "web has been well since 12:00:00; 0:02:00 are asked for"


def test_health_counts_from_the_last_step() -> None:
    """What was well all along proves nothing about what was done a moment ago."""
    walked = moment(minutes=4)
    assert watched(view(), now=moment(minutes=5), walked=walked, clear_since=CLEAR).call is Call.WAIT
    assert watched(view(), now=moment(minutes=6), walked=walked, clear_since=CLEAR).call is Call.RECOVERED


def test_a_restart_of_a_container_starts_the_time_anew() -> None:
    seen = replace(view(), last_restart=moment(minutes=4))
    assert watched(seen, now=moment(minutes=5), clear_since=CLEAR).call is Call.WAIT
    assert watched(seen, now=moment(minutes=6), clear_since=CLEAR).call is Call.RECOVERED


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
    assert settle_time(seen, PATIENCE) == asked
    just_before = NOW + asked - timedelta(seconds=1)
    assert watched(seen, now=just_before, clear_since=CLEAR).call is Call.WAIT
    assert watched(seen, now=NOW + asked, clear_since=CLEAR).call is Call.RECOVERED


@pytest.mark.parametrize(
    ("minutes", "call"), [(2, Call.WAIT), (16.9, Call.WAIT), (17, Call.INEFFECTIVE), (60, Call.INEFFECTIVE)]
)
def test_an_alert_may_lag_but_not_for_ever(minutes: float, call: Call) -> None:
    """E19: well for the settle time and another quarter of an hour, and still it fires: a person is called."""
    judgement = watched(view(), now=moment(minutes=minutes))
    assert judgement.call is call
    if call is Call.INEFFECTIVE:
        assert judgement.reason == "web looks well, but what started the run goes on: a person is needed"


def test_when_nothing_was_changed_it_is_no_recovery() -> None:
    judgement = watched(view(), now=LATE, changed=False, clear_since=CLEAR)
    assert (judgement.call, judgement.reason) == (Call.NO_ACTION, "web is healthy; nothing had to be changed")


seconds = st.integers(min_value=0, max_value=7200)
maybe = st.none() | seconds


@given(
    now=seconds, healthy=st.sampled_from([True, False, None]), since=seconds, restart=maybe, walked=maybe, clear=maybe
)
def test_recovered_is_never_called_without_all_that_it_takes(
    now: int, healthy: bool | None, since: int, restart: int | None, walked: int | None, clear: int | None
) -> None:
    def at(second: int | None) -> datetime | None:
        return None if second is None else moment(seconds=second)

    seen = replace(view(healthy=healthy, since=moment(seconds=since)), last_restart=at(restart))
    judgement = watched(seen, now=moment(seconds=now), walked=at(walked), clear_since=at(clear))
    latest = max(each for each in (since, restart, walked) if each is not None)
    enough = healthy is True and clear is not None and now - latest >= 120
    assert (judgement.call is Call.RECOVERED) == enough
    assert judgement.call in {Call.RECOVERED, Call.WAIT, Call.INEFFECTIVE}


@pytest.mark.parametrize(
    ("ready", "clear", "minutes", "reason"),
    [
        (1, None, 3, "web is not healthy, and nothing is left to try"),
        (1, CLEAR, 3, "web is not healthy, and nothing is left to try"),
        (3, None, 3, "what started the run on web goes on, and nothing is left to try"),
        (1, None, 2, ""),
        (3, CLEAR, 3, ""),
    ],
)
def test_where_nothing_is_left_to_try_a_person_is_called_soon(
    ready: int, clear: datetime | None, minutes: int, reason: str
) -> None:
    """Its steps were not all done, and at its deadline it would only call a person: why wait for hours?"""
    seen = view(healthy=ready == 3, ready=ready)
    judgement = watched(seen, now=moment(minutes=minutes), walked=NOW, clear_since=clear, stuck=True)
    assert (judgement.call is Call.HAND_OVER) is bool(reason)
    assert not reason or judgement.reason == reason
