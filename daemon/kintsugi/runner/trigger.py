"""Pure: whether what started a run still goes on."""

from datetime import datetime

from kintsugi.model.records import Incident
from kintsugi.model.trigger import Trigger


def clear_since(incident: Incident, trigger: Trigger) -> datetime | None:
    """
    Give the moment since when none of the incident's signals holds; None while one does.

    A run without signals that can end was asked for by a person or by an Event, and has nothing to wait for.
    """
    return None if trigger.firing else trigger.ended or incident.opened
