"""
Decides whether this process's time can be trusted: compares the wall clock with the API server's and the steady clock.

Pure: `kube.steady_clock` reads the clocks once a second and at each answer of the API server, and holds the verdict.
Objects of the cluster carry times that others have written, and rows times of an earlier process: with a wall clock that is
wrong a young pod is old, and every deadline has come.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kintsugi.durations import format_duration, format_seconds

TOLERANCE = timedelta(seconds=30)
"""
The allowed difference between two clocks: synchronised hosts are within a second, and no decision depends on less than
this.
"""

AGREE_FOR = timedelta(minutes=1)
"""
The time for which all clocks must agree before time is trusted again: a clock that is being set is set more than once.
"""

LONGEST_EXCHANGE = timedelta(seconds=10)
"""An answer that took longer says too little about when it was written."""

ANSWERS = 5
"""
The number of last answers that are compared. A `Date` from a cache is too old, never too new: a right one outweighs it.
"""

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockReading:
    """Both clocks at one moment: the wall clock, and the steady clock in seconds since an arbitrary start."""

    wall: datetime
    steady: float

    def at(self, steady: float) -> datetime:
        """Return the time at another moment of the steady clock, counted from this one."""
        return self.wall + timedelta(seconds=steady - self.steady)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerDate:
    """The `Date` of one answer, a whole second, and the moments of the steady clock between which it was written."""

    date: datetime
    sent: float
    received: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockState:
    """
    The current verdict on the clocks.

    The time of this process counts from `anchor`. `problem` says why it is not trusted, "" when it is. `agreeing` is the
    reading since which all clocks agree, while that is not yet long enough.
    """

    anchor: ClockReading
    problem: str = ""
    agreeing: ClockReading | None = None


def next_state(state: ClockState, now: ClockReading, answers: Sequence[ServerDate]) -> ClockState:
    """
    Judge the clocks by a reading and the last answers of the API server.

    Trust is lost at once. It comes back when the wall clock has agreed with the API server's and gone as fast as the steady
    one for `AGREE_FOR`; then time counts from the wall clock anew, where it has been set meanwhile.
    """
    apart = _apart_from_server(now, answers)
    if not state.problem:
        problem = "; ".join(each for each in (apart, _jumped(now, state.anchor)) if each)
        return replace(state, problem=problem) if problem else state
    if apart:
        return replace(state, problem=apart, agreeing=None)
    since = state.agreeing
    if since is None or abs(now.wall - since.at(now.steady)) > TOLERANCE:
        since = now
    agreed = timedelta(seconds=now.steady - since.steady)
    if agreed >= AGREE_FOR:
        return ClockState(anchor=now if _jumped(now, state.anchor) else state.anchor)
    problem = f"the clocks agree again, but for less than {format_duration(AGREE_FOR)}"
    return replace(state, problem=problem, agreeing=since)


def _apart_from_server(now: ClockReading, answers: Sequence[ServerDate]) -> str:
    """
    Return how far the wall clock is from the API server's at least; "" when they may agree.

    The server's time lies between its `Date` as of the answer's end and that and a second as of the request's beginning.
    """
    quick = [each for each in answers if each.received - each.sent <= LONGEST_EXCHANGE.total_seconds()]
    spans = [
        (_ago(each.date, each.received, now), _ago(each.date + _SECOND, each.sent, now))  # the earliest, the latest
        for each in quick
    ]
    if not spans:
        return ""
    earliest = max(begin for begin, _ in spans)
    latest = min(end for _, end in spans if end >= earliest)
    if now.wall - latest > TOLERANCE:
        return f"this machine's clock is {format_seconds(now.wall - latest)} ahead of the API server's"
    if earliest - now.wall > TOLERANCE:
        return f"this machine's clock is {format_seconds(earliest - now.wall)} behind the API server's"
    return ""


def _ago(date: datetime, steady: float, now: ClockReading) -> datetime:
    return date + timedelta(seconds=now.steady - steady)


def _jumped(now: ClockReading, anchor: ClockReading) -> str:
    step = now.wall - anchor.at(now.steady)
    if abs(step) <= TOLERANCE:
        return ""
    return f"this machine's clock was set {format_seconds(abs(step))} {'forward' if step > timedelta(0) else 'back'}"
