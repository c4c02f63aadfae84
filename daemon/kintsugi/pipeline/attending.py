"""
How the open runs are attended in this process: when each last looked, and how often its task has died.

By the event loop's steady clock: a wall clock that jumps makes no run silent.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.reconciliation import Attendance


class Pulse:
    """A run's own clock. A run asks it at every look, so that one which looks at nothing any more is seen by its silence."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._asked = _steady()

    def __call__(self) -> datetime:
        """Return the time."""
        self._asked = _steady()
        return self._clock()

    @property
    def silent_for(self) -> timedelta:
        """Return how long the run has looked at nothing."""
        return timedelta(seconds=_steady() - self._asked)


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """How often a run's task has died, when it last did, and of what."""

    times: int
    at: float
    of: str


class Attending:
    """Keep the pulses of the runs that have a task, and the deaths of those whose task has died."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._pulses: dict[str, Pulse] = {}
        self._deaths: dict[str, Death] = {}

    def begins(self, run: str) -> None:
        """Note that a run has a task now."""
        self._pulses[run] = Pulse(self._clock)

    def pulse(self, run: str) -> Pulse:
        """Return the clock of a run that has a task."""
        return self._pulses[run]

    def has_died(self, run: str, error: Exception) -> None:
        """Note that a run's task has died, and of what."""
        known = self._deaths.get(run)
        of = f"{type(error).__name__}: {error}"
        self._deaths[run] = Death(times=known.times + 1 if known is not None else 1, at=_steady(), of=of)

    def ends(self, run: str) -> None:
        """Note that a run's task has ended, in whatever way."""
        self._pulses.pop(run, None)

    def death(self, run: str) -> Death:
        """Return what is known of a run whose task has died."""
        return self._deaths[run]

    def forget_all_but(self, runs: Collection[str]) -> None:
        """Forget the deaths of runs that are over."""
        self._deaths = {run: death for run, death in self._deaths.items() if run in runs}

    def of(self, run: str) -> Attendance:
        """Return how a run is attended."""
        pulse, death = self._pulses.get(run), self._deaths.get(run)
        return Attendance(
            silent_for=pulse.silent_for if pulse is not None else None,
            deaths=death.times if death is not None else 0,
            dead_for=timedelta(seconds=_steady() - death.at) if death is not None else timedelta(0),
        )


def _steady() -> float:
    return asyncio.get_running_loop().time()
