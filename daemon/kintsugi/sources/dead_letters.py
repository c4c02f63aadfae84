"""A dead letter that is sent in again: its payload is read as it was when it came in, by what is known now."""

from datetime import datetime

from kintsugi.errors import ProbeFailed
from kintsugi.model.records import DeadLetter, SignalSource
from kintsugi.sources.alertmanager import Delivery, decode
from kintsugi.sources.alertmanager_api import decode_alerts


def reread(letter: DeadLetter, now: datetime) -> Delivery:
    """Read the payload of a letter as received at `now`; without one there is nothing, and that is said."""
    if letter.payload is None:
        return Delivery(unreadable="it was not stored whole: it is too large, or contains what looks like a secret")
    if letter.source is not SignalSource.POLL:
        return decode(letter.payload, now)
    try:
        alerts, letters = decode_alerts(letter.payload, now)
    except ProbeFailed as error:
        return Delivery(unreadable=str(error))
    return Delivery(
        signals=tuple(alert.signal for alert in alerts if not alert.suppressed), dead_letters=tuple(letters)
    )
