"""The trigger of an incident, summarised over all of its signals."""

from dataclasses import dataclass
from datetime import datetime

from kintsugi.model.records import Incident


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """
    The state of an incident's trigger.

    Kubernetes Events are hints that never resolve (reliability B20): they are neither in `firing` nor in `ended`.
    `firing`: a signal fires. `ended` is the latest end of those that are over, None when none is over; `alerts_only`:
    something fires, and all of it, Events included, are alerts.
    """

    firing: bool = False
    ended: datetime | None = None
    alerts_only: bool = False

    @property
    def lasting(self) -> bool:
        """Return whether anything started it that can end: not only Events, and not a person."""
        return self.firing or self.ended is not None


def clear_since(incident: Incident, trigger: Trigger) -> datetime | None:
    """
    Return the moment since when none of the incident's signals holds; None while one does.

    A run without signals that can end was asked for by a person or by an Event, and has nothing to wait for.
    """
    return None if trigger.firing else trigger.ended or incident.opened
