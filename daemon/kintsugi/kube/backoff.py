"""The backoff of a reflector: exponential, with jitter, and reset after a watch that lasted."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchTiming:
    """
    The clock of a reflector. The figures are client-go's, where it has them.

    `opening`: longest wait for the begin of an answer. `silence`: longest wait for a byte; a watch that is silent for
    as long is opened anew. It is no failure: bookmarks come each minute, but none of a kind without a change since the
    API server started, and none of Events. `catch_up`: how long the changes of a gap may come after the watch is open
    again. `shortest_watch`, `longest_watch`: a watch ends by itself at a random moment between them. `first_wait`
    doubles up to `longest_wait`, and starts over after a watch that lived for `healthy_after`.
    """

    opening: timedelta = timedelta(seconds=30)
    silence: timedelta = timedelta(seconds=150)
    catch_up: timedelta = timedelta(seconds=2)
    shortest_watch: timedelta = timedelta(minutes=5)
    longest_watch: timedelta = timedelta(minutes=10)
    first_wait: timedelta = timedelta(seconds=0.8)
    longest_wait: timedelta = timedelta(seconds=30)
    healthy_after: timedelta = timedelta(minutes=2)


USUAL = WatchTiming()


class Backoff:
    """The waits of one reflector."""

    def __init__(self, timing: WatchTiming, random: Random) -> None:
        self._timing = timing
        self._random = random
        self._next = timing.first_wait

    def after(self, uptime: timedelta, *, expected: bool) -> timedelta:
        """
        Return the wait after a watch that lived so long.

        One that ended as it should (`expected`) after a healthy life is followed at once. Otherwise the wait is up
        to twice the current step (jitter), so that the reflectors of a restarted API server do not come together.
        """
        if uptime >= self._timing.healthy_after:
            self._next = self._timing.first_wait
            if expected:
                return timedelta()
        wait = self._next * (1 + self._random.random())
        self._next = min(self._next * 2, self._timing.longest_wait)
        return min(wait, self._timing.longest_wait)
