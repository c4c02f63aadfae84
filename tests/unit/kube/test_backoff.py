"""Waits between watches: they double, stay within their bounds, and start over after health."""

from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from kintsugi.kube.reflector import USUAL, Backoff

SHORT = timedelta(seconds=1)
HEALTHY = USUAL.healthy_after


@given(st.integers(0, 1000), st.lists(st.tuples(st.floats(0, 119), st.booleans()), min_size=1, max_size=12))
def test_waits_double_and_stay_within_their_bounds(seed: int, rounds: list[tuple[float, bool]]) -> None:
    """B6: from 0.8 s to 30 s, each up to twice its step by jitter, however the short watches ended."""
    backoff = Backoff(USUAL, Random(seed))
    for number, (seconds, expected) in enumerate(rounds):
        step = min(USUAL.first_wait * 2**number, USUAL.longest_wait)
        wait = backoff.after(timedelta(seconds=seconds), expected=expected)
        assert step <= wait <= min(step * 2, USUAL.longest_wait)


def test_a_watch_that_ended_in_order_is_followed_at_once() -> None:
    """Watches end by themselves every five to ten minutes; nothing is missed meanwhile."""
    backoff = Backoff(USUAL, Random(1))
    assert backoff.after(HEALTHY, expected=True) == timedelta()


def test_a_healthy_watch_that_broke_is_followed_after_the_first_wait() -> None:
    """B6: when an API server restarts, all its watches break at the same moment."""
    backoff = Backoff(USUAL, Random(1))
    for _ in range(5):
        backoff.after(SHORT, expected=False)
    assert backoff.after(HEALTHY, expected=False) <= USUAL.first_wait * 2


def test_reflectors_do_not_come_back_in_step() -> None:
    """B6: jitter tells them apart."""
    waits = {Backoff(USUAL, Random(seed)).after(SHORT, expected=False) for seed in range(50)}
    assert len(waits) > 40
