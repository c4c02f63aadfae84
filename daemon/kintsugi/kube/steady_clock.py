"""
The time of one life of the daemon: the wall clock as it was at the start, carried on by the steady clock.

A wall clock that is set while the daemon runs moves no wait and no deadline; it is noticed (`clock_skew`), and time is
trusted only while the wall clock, the steady clock and the API server's `Date` agree.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from kintsugi.decisions.clock_skew import ANSWERS, ClockReading, ClockState, ServerDate, next_state
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

POLL_INTERVAL = timedelta(seconds=1)

_NO_CLOCK = 9000
"""A year that leaves room to count on from."""

Listener = Callable[[timedelta], None]


def wall_clock() -> datetime:
    """Read the wall clock, aware."""
    return datetime.now(UTC)


class SteadyClock:
    """
    Returns the time, and whether it can be trusted.

    `wall` and `steady` (seconds) are the clocks it reads. Before the first answer of the API server nothing is `compared`.
    """

    def __init__(self, wall: Callable[[], datetime] = wall_clock, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._state = ClockState(anchor=self._read())
        self._answers: deque[ServerDate] = deque(maxlen=ANSWERS)
        self._changed = asyncio.Event()
        self._listeners: list[Listener] = []
        self.compared = False

    def now(self) -> datetime:
        """Return the time of this process, aware."""
        return self._state.anchor.at(self._steady())

    @property
    def problem(self) -> str:
        """Return why time cannot be trusted now; "" when nothing speaks against it."""
        return self._state.problem

    @property
    def trusted(self) -> bool:
        """Return whether time was compared with the API server's, and nothing speaks against it."""
        return self.compared and not self.problem

    def on_trusted(self, listener: Listener) -> None:
        """Call `listener` each time when time is trusted again: by how much it was set."""
        self._listeners.append(listener)

    def observe(self, date: str, sent: float, received: float) -> None:
        """
        Take in the `Date` of an answer, and the moments of the steady clock when it was asked for and began to come.

        One that cannot be read, and "" of an answer without one, says only that the server answers.
        """
        moment = moment_of(date)
        if moment is not None:
            self._answers.append(ServerDate(date=moment, sent=sent, received=received))
        self.compared = True
        self.check()

    def check(self) -> None:
        """Judge the clocks as they are now, and say what has changed."""
        before, now = self._state, self._read()
        self._state = next_state(before, now, self._answers)
        if self.problem and not before.problem:
            log.error("clock not trusted", why=self.problem)
        elif before.problem and not self.problem:
            set_by = self._state.anchor.at(now.steady) - before.anchor.at(now.steady)
            log.warning("clock trusted again", set_by=set_by.total_seconds())
            for listener in self._listeners:
                listener(set_by)
        self._changed.set()

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            self.check()
            await asyncio.sleep(POLL_INTERVAL.total_seconds())

    async def wait_trusted(self) -> None:
        """Wait until time is trusted."""
        while not self.trusted:
            self._changed.clear()
            await self._changed.wait()

    def _read(self) -> ClockReading:
        return ClockReading(wall=self._wall(), steady=self._steady())


def moment_of(date: str) -> datetime | None:
    """Read an HTTP date; None for another text, or for an impossible time."""
    try:
        moment = parsedate_to_datetime(date)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC) if moment.year < _NO_CLOCK else None
    except (ValueError, OverflowError):
        return None
