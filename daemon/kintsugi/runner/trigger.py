"""Pure: whether what started a run still goes on."""

from collections.abc import Iterable
from datetime import datetime

from kintsugi.model.documents import RuleSource
from kintsugi.model.records import Incident, Signal, SignalStatus


def clear_since(incident: Incident, signals: Iterable[Signal]) -> datetime | None:
    """
    Give the moment since when none of the incident's signals holds; None while one does.

    Kubernetes Events are hints that never resolve (reliability B20): they do not count. A run without signals was asked
    for by a person, and has nothing to wait for.
    """
    lasting = [signal for signal in signals if signal.kind is not RuleSource.EVENT]
    if any(signal.status is SignalStatus.FIRING for signal in lasting):
        return None
    return max((signal.ended for signal in lasting if signal.ended is not None), default=incident.opened)
