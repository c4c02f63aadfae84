"""
Alertmanager's webhook, version 4: bytes in, signals out.

`server` calls `decode` with a body whose sender is known; what comes out is committed before the answer. One bad alert
costs its group nothing (A12), a body that is no webhook at all is named as such (A11), and neither is an exception: the
answer is a value.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count

import msgspec

from kintsugi.model.identity import encode, new_id
from kintsugi.model.records import DeadLetter, Signal, SignalSource, SignalStatus
from kintsugi.sources.alerts import Alert, Envelope, to_signal
from kintsugi.sources.depth import DEEPEST, is_too_deep
from kintsugi.telemetry import SECRETS

VERSION = "4"

_EXCERPT = 2000
"""Characters of a dead letter that are kept."""

_MOST_LETTERS = 20
"""Dead letters kept of one delivery; the last one says how many more there were."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """
    What one body held.

    `truncated` counts alerts that the sender left out (A7). `unreadable` says why the body as a whole could not be
    read; then there are no signals, and one dead letter.
    """

    signals: tuple[Signal, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    truncated: int = 0
    unreadable: str = ""


class _Webhook(msgspec.Struct, frozen=True, rename="camel"):
    """The body. Alerts are left as bytes and read one by one."""

    version: str
    alerts: list[msgspec.Raw]
    truncated_alerts: int = 0


class _WebhookAlert(Alert, frozen=True, rename="camel", kw_only=True):
    """An alert of the webhook says of itself whether it fires."""

    status: SignalStatus


_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_WEBHOOK = msgspec.json.Decoder(_Webhook)
_ALERT = msgspec.json.Decoder(_WebhookAlert)

# What msgspec raises for malformed text: bad UTF-8 comes as itself, excessive nesting as the interpreter's own error.
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(body: bytes, now: datetime, *, timed: bool = True) -> Delivery:
    """Read one webhook body received at `now`; `timed` says whether that may be compared with the times in it."""
    if is_too_deep(body):
        return _unreadable(body, f"nested deeper than {DEEPEST} levels, or brackets that do not match", now)
    try:
        webhook = _read(body)
    except UNDECODABLE as error:
        return _unreadable(body, f"not a webhook of Alertmanager: {error}", now)
    if webhook.version != VERSION:
        return _unreadable(
            body, f"version {webhook.version[:20]!r}: only version {VERSION!r} of the webhook is known", now
        )
    signals, letters = _read_each(webhook.alerts, Envelope(SignalSource.ALERTMANAGER, now, timed))
    return Delivery(signals=tuple(signals), dead_letters=tuple(letters), truncated=max(0, webhook.truncated_alerts))


def signal_ids(now: datetime) -> Iterator[str]:
    """Give ids for the signals of one delivery: sorted by time, and unique however many come at one moment."""
    batch = new_id("sig", now) + encode(secrets.randbits(40), 8)
    return (f"{batch}-{number}" for number in count(1))


def dead_letter(source: SignalSource, raw: bytes, reason: str, now: datetime) -> DeadLetter:
    """Keep the beginning of what could not be read, without its secrets."""
    excerpt = SECRETS.text(raw[: _EXCERPT * 4].decode("utf-8", "replace"))[:_EXCERPT]
    return DeadLetter(id=new_id("dead", now), source=source, received=now, reason=reason[:500], excerpt=excerpt)


def _read(body: bytes) -> _Webhook:
    """Read the body; when it holds half a surrogate pair, which no text can, read it again with that replaced (A14)."""
    try:
        return _WEBHOOK.decode(body)
    except msgspec.DecodeError:
        mended = _ESCAPE.sub(_whole, body)
        if mended == body:
            raise
        return _WEBHOOK.decode(mended)


def _whole(escape: re.Match[bytes]) -> bytes:
    """Give an escape as it is, or the replacement character for one that is half a pair."""
    return b"\\ufffd" if escape["half"] else escape[0]


def _read_each(alerts: list[msgspec.Raw], envelope: Envelope) -> tuple[list[Signal], list[DeadLetter]]:
    """Read alerts one by one, so that each fails for itself."""
    ids = signal_ids(envelope.received)
    signals: list[Signal] = []
    wrong: list[tuple[bytes, str]] = []
    for raw, signal_id in zip(alerts, ids, strict=False):
        try:
            alert = _ALERT.decode(raw)
            firing = alert.status is SignalStatus.FIRING
            signals.append(
                to_signal(alert, firing=firing, size=len(memoryview(raw)), envelope=envelope, signal_id=signal_id)
            )
        except (*UNDECODABLE, ValueError) as error:
            wrong.append((bytes(raw), f"alert: {error}"))
    return signals, _letters(wrong, envelope.received)


def _letters(wrong: list[tuple[bytes, str]], now: datetime) -> list[DeadLetter]:
    """Make dead letters of bad alerts, a bounded number of them."""
    more = len(wrong) - _MOST_LETTERS
    letters = [dead_letter(SignalSource.ALERTMANAGER, raw, reason, now) for raw, reason in wrong[:_MOST_LETTERS]]
    if more > 0:
        letters.append(dead_letter(SignalSource.ALERTMANAGER, b"", f"{more} more alerts of the same delivery", now))
    return letters


def _unreadable(body: bytes, reason: str, now: datetime) -> Delivery:
    """Say that a whole body could not be read."""
    return Delivery(dead_letters=(dead_letter(SignalSource.ALERTMANAGER, body, reason, now),), unreadable=reason)
