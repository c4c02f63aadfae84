"""The loop beats while it turns; a thread sees that it stands still."""

import asyncio
import threading
import time

import pytest

from kintsugi.telemetry import LoopHeartbeat, Metrics
from kintsugi.telemetry.loop_lag import BEAT_EVERY
from tests.unit.virtual import play

LONG = 20.0
"""Seconds; only a test that hangs waits for them."""


def deaf(_: float) -> None:
    """Observe nothing."""


def test_how_long_a_loop_has_stood_still_is_told_from_its_last_beat() -> None:
    heartbeat = LoopHeartbeat(deaf, steady=lambda: 100.0)
    assert heartbeat.stood_still_for(100.5) == 0.5
    heartbeat.beat(110.0)
    assert heartbeat.stood_still_for(110.0) == 0
    assert heartbeat.stood_still_for(121.5) == 11.5


def test_a_moment_before_the_last_beat_is_no_negative_standstill() -> None:
    """Whoever asks has read the clock before the loop beat."""
    heartbeat = LoopHeartbeat(deaf, steady=lambda: 100.0)
    assert heartbeat.stood_still_for(99.9) == 0


class LoopTime:
    """The clock of a loop in which waiting takes no time; work is what sets it on at once."""

    def __init__(self) -> None:
        self._worked = 0.0

    def work(self, seconds: float) -> None:
        """Take this long of the loop's time."""
        self._worked += seconds

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self._worked


@pytest.mark.parametrize(
    ("before", "at_work", "lags"),
    [(0, 0, [0.0] * 10), (0, 3, [3.0, *[0.0] * 9]), (30, 0, [0.0] * 10)],
    ids=["a loop that turns four times a second", "work that takes the loop", "the wait for the start of the loop"],
)
def test_work_that_takes_the_loop_is_observed_once_as_lag_and_nothing_else(
    before: float, at_work: float, lags: list[float]
) -> None:
    """The daemon is made long before its loop is asked to beat."""

    async def story() -> list[float]:
        found: list[float] = []
        clock = LoopTime()
        heartbeat = LoopHeartbeat(lambda lag: found.append(round(lag, 3)), steady=clock)
        clock.work(before)
        task = asyncio.create_task(heartbeat.run())
        await asyncio.sleep(0.1)
        clock.work(at_work)
        assert round(heartbeat.stood_still_for(clock()), 3) == 0.1 + at_work
        await asyncio.sleep(10 * BEAT_EVERY)
        assert round(heartbeat.stood_still_for(clock()), 3) == 0.1
        task.cancel()
        return found

    assert play(story()) == lags


async def test_another_thread_sees_that_the_loop_stands_still_and_that_it_turns_again() -> None:
    """E27: on the real clock; while the loop's thread is held, only a thread of its own can say so."""
    metrics = Metrics()
    heartbeat = LoopHeartbeat(metrics.event_loop_lag.observe)
    task = asyncio.create_task(heartbeat.run())
    await asyncio.sleep(0)
    seen = threading.Event()

    def look() -> None:
        until = time.monotonic() + LONG
        while time.monotonic() < until and not seen.is_set():
            if heartbeat.stood_still_for(time.monotonic()) > 2 * BEAT_EVERY:
                seen.set()

    watcher = threading.Thread(target=look)
    watcher.start()
    assert seen.wait(LONG), "nobody saw that the loop stands still"
    watcher.join(LONG)

    async def beats() -> None:
        while heartbeat.stood_still_for(time.monotonic()) > BEAT_EVERY or not lags(metrics):
            await asyncio.sleep(0.01)

    await asyncio.wait_for(beats(), LONG)
    task.cancel()
    assert lags(metrics) >= 1


def lags(metrics: Metrics) -> float:
    """Return how many lags of more than a quarter of a second were observed."""
    values = {
        str(sample.labels.get("le", sample.name.rpartition("_")[2])): sample.value
        for metric in metrics.registry.collect()
        if metric.name == "kintsugi_event_loop_lag_seconds"
        for sample in metric.samples
    }
    return values["+Inf"] - values["0.25"]
