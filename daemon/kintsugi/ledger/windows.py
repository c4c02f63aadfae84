"""The windows of history: the guards read this much of it, and retention keeps it."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """
    `changes`: how far back the disruption budget counts, by default the hour of `guards.budgetWindow`.

    `runs`: how far back finished runs are read, by default more than the longest cooldown (2 h) and the pause after
    failures (1 h) of the default settings.
    """

    changes: timedelta = timedelta(hours=1)
    runs: timedelta = timedelta(hours=3)

    @classmethod
    def covering(cls, *, changes: timedelta, runs: timedelta) -> "Windows":
        """Return windows that reach at least so far back."""
        usual = cls()
        return cls(changes=max(usual.changes, changes), runs=max(usual.runs, runs))

    @property
    def longest(self) -> timedelta:
        """Return the longest of the windows."""
        return max(self.changes, self.runs)
