"""
Measures how late the event loop is, and whether it is blocked.

The loop has a heartbeat; any thread may ask for the time since the last beat, also while the loop is blocked.
"""

import asyncio
import time
from collections.abc import Callable

BEAT_EVERY = 0.25
"""Seconds between two beats: a fortieth of the standstill after which the daemon counts as dead."""


class LoopHeartbeat:
    """
    The pulse of one event loop.

    `observe` is called with the seconds by which each beat was late. `steady` is the clock, in seconds, of the moments
    given to `beat` and `stood_still_for`. Before the first beat the loop counts as blocked since the object was made.
    """

    def __init__(self, observe: Callable[[float], object], *, steady: Callable[[], float] = time.monotonic) -> None:
        self._observe = observe
        self._steady = steady
        self._last = steady()

    def beat(self, now: float) -> None:
        """Note that the loop is alive now."""
        self._last = now

    def stood_still_for(self, now: float) -> float:
        """Return for how many seconds the loop has not beaten; from any thread."""
        return max(0.0, now - self._last)

    async def run(self) -> None:
        """Beat every `BEAT_EVERY` seconds and observe how late each beat was, until cancelled."""
        self.beat(asked := self._steady())
        while True:
            await asyncio.sleep(BEAT_EVERY)
            now = self._steady()
            self._observe(max(0.0, now - asked - BEAT_EVERY))
            self.beat(now)
            asked = now
