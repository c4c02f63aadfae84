"""
The liveness of the open runs in this process: when each last looked, and how often its task has died.

By the event loop's steady clock: a wall clock that jumps makes no run silent.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.decisions.reconciliation import RunLiveness


class HeartbeatClock:
    """The clock that a run reads at every look, so that a run that no longer looks is noticed."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._asked = _steady()

    def __call__(self) -> datetime:
        """Return the time."""
        self._asked = _steady()
        return self._clock()

    @property
    def since_heartbeat(self) -> timedelta:
        """Return the time since the run's last look."""
        return timedelta(seconds=_steady() - self._asked)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFailure:
    """The deaths of a run's task: their number, the time of the last one on the steady clock, and its error."""

    times: int
    at: float
    of: str


class LivenessTracker:
    """Keeps the heartbeats of the runs that have a task, and the failures of those whose task has died."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._heartbeats: dict[str, HeartbeatClock] = {}
        self._failures: dict[str, TaskFailure] = {}

    def begins(self, run: str) -> None:
        """Note that a run has a task now."""
        self._heartbeats[run] = HeartbeatClock(self._clock)

    def heartbeat(self, run: str) -> HeartbeatClock:
        """Return the clock of a run that has a task."""
        return self._heartbeats[run]

    def record_failure(self, run: str, error: Exception) -> None:
        """Note that a run's task has died, with the error."""
        known = self._failures.get(run)
        of = f"{type(error).__name__}: {error}"
        self._failures[run] = TaskFailure(times=known.times + 1 if known is not None else 1, at=_steady(), of=of)

    def ends(self, run: str) -> None:
        """Note that a run's task has ended."""
        self._heartbeats.pop(run, None)

    def failure(self, run: str) -> TaskFailure:
        """Return the failure of a run whose task has died."""
        return self._failures[run]

    def forget_all_but(self, runs: Collection[str]) -> None:
        """Forget the failures of runs that are over."""
        self._failures = {run: failure for run, failure in self._failures.items() if run in runs}

    def of(self, run: str) -> RunLiveness:
        """Return the liveness of a run."""
        heartbeat, failure = self._heartbeats.get(run), self._failures.get(run)
        return RunLiveness(
            since_heartbeat=heartbeat.since_heartbeat if heartbeat is not None else None,
            failures=failure.times if failure is not None else 0,
            failed_for=timedelta(seconds=_steady() - failure.at) if failure is not None else timedelta(0),
        )


def _steady() -> float:
    return asyncio.get_running_loop().time()
