"""
Reads a resent dead letter again: its payload is decoded by today's rules, and its content is as old as the letter.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from kintsugi.errors import ProbeFailed
from kintsugi.model.records import DeadLetter, Delivery, SignalSource, SignalStatus
from kintsugi.sources.alertmanager import decode
from kintsugi.sources.poll import decode_alerts

CURRENT_FOR = timedelta(minutes=5)
"""The time for which "it fires" is current: Alertmanager sends a group's changes every `group_interval`, by default 5
minutes (https://prometheus.io/docs/alerting/latest/configuration).
"""


def reread(letter: DeadLetter, now: datetime, *, timed: bool) -> Delivery:
    """
    Read the payload of a letter at `now`; without one there is nothing, and that is said.

    Whether an alert still fires that an old letter says fires is not known: it is left out, and counted in `stale`. What has
    ended has ended. `timed`: whether our clock may be compared with the times in it.
    """
    if letter.payload is None:
        return Delivery(unreadable="it was not stored whole: it is too large, or probably contains a secret")
    try:
        found = _read(letter, letter.payload, now, timed=timed)
    except ProbeFailed as error:
        return Delivery(unreadable=str(error))
    if timed and now - letter.received <= CURRENT_FOR:
        return found
    ended = tuple(each for each in found.signals if each.status is SignalStatus.RESOLVED)
    return replace(found, signals=ended, stale=len(found.signals) - len(ended))


def _read(letter: DeadLetter, payload: bytes, now: datetime, *, timed: bool) -> Delivery:
    """Read a payload as its source does. Raises ProbeFailed for a poll's answer that cannot be read."""
    if letter.source is not SignalSource.POLL:
        return decode(payload, now, timed=timed)
    alerts, letters = decode_alerts(payload, now)
    return Delivery(
        signals=tuple(alert.signal for alert in alerts if not alert.suppressed), dead_letters=tuple(letters)
    )
