"""How far back the past counts: what the guards are told of, and what retention therefore never deletes."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """
    `changes`: how far back the disruption budget counts, by default the hour of `guards.budget_window`.

    `runs`: how far back finished runs are told, by default more than the longest cooldown (2 h) and the pause after
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
        """How far back anything counts."""
        return max(self.changes, self.runs)
