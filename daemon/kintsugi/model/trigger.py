"""What an incident goes on for, summed up over all its signals."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """
    Whether what started an incident goes on.

    Kubernetes Events are hints that never resolve (reliability B20): they are neither in `firing` nor in `ended`.
    `ended` is the latest end of those that are over, None when none is; `alerts_only` says that something fires, and
    that all of it, Events included, are alerts.
    """

    firing: bool = False
    ended: datetime | None = None
    alerts_only: bool = False

    @property
    def lasting(self) -> bool:
        """Return whether anything started it that can end: not only Events, and not a person."""
        return self.firing or self.ended is not None
