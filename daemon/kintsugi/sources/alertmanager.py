"""
Alertmanager's webhook, version 4: bytes in, signals out.

`server` calls `decode` with a body whose sender is known; the result is committed before the answer. One bad alert does
not affect its group (A12), a body that is no webhook is reported as such (A11), and neither is an exception: the result
is a value.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count

import msgspec

from kintsugi.json_limits import DEEPEST, is_too_deep
from kintsugi.model.identity import encode, new_id
from kintsugi.model.records import DeadLetter, Signal, SignalSource, SignalStatus
from kintsugi.sources.alerts import AlertFields, AlertOrigin, to_signal
from kintsugi.telemetry import SECRETS

VERSION = "4"

_EXCERPT = 2000
"""Characters of a dead letter that people are shown."""

LARGEST_PAYLOAD = 64 * 1024
"""Bytes of one delivery that are kept to be sent in again: what one alert may have, and 64 MiB of the 1,000 letters that
are kept. Each is searched for secrets, which takes 0.1 s for this much of the worst text (measured)."""

_MOST_LETTERS = 20
"""Dead letters kept of one delivery; the last one says how many more there were."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """
    The content of one body.

    `truncated` counts alerts that the sender left out (A7); `left_out` is a dead letter that says so, for where no poll
    fetches them. `unreadable` says why the body as a whole could not be read; then there are no signals, and one dead
    letter. `stale` counts alerts of a dead letter that were left out, because they fired when it came in.
    """

    signals: tuple[Signal, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    truncated: int = 0
    left_out: DeadLetter | None = None
    unreadable: str = ""
    stale: int = 0


_MOST_LEFT_OUT = 1_000_000_000
"""The largest count of left-out alerts that is used: JSON allows numbers that no metric can hold."""


class _Webhook(msgspec.Struct, frozen=True, rename="camel"):
    """The body. Alerts are left as bytes and read one by one."""

    version: str
    alerts: list[msgspec.Raw]
    truncated_alerts: int = 0
    group_key: msgspec.Raw = msgspec.Raw(b'""')


class _WebhookAlert(AlertFields, frozen=True, rename="camel", kw_only=True):
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
    try:
        webhook = _webhook(body)
    except ValueError as error:
        return _unreadable(body, str(error), now)
    signals, wrong = _read_each(webhook.alerts, AlertOrigin(SignalSource.ALERTMANAGER, now, timed))
    letters = _letters(wrong, now)
    truncated = min(max(0, webhook.truncated_alerts), _MOST_LEFT_OUT)
    left_out = _left_out(truncated, bytes(webhook.group_key), now) if truncated else None
    return Delivery(signals=tuple(signals), dead_letters=tuple(letters), truncated=truncated, left_out=left_out)


def signal_ids(now: datetime) -> Iterator[str]:
    """Yield ids for the signals of one delivery: sorted by time, and unique however many come at one moment."""
    batch = new_id("sig", now) + encode(secrets.randbits(40), 8)
    return (f"{batch}-{number}" for number in count(1))


def of_alert(raw: bytes) -> bytes:
    """Return the body of a webhook that brings nothing but this alert."""
    return b'{"version":"4","alerts":[' + raw + b"]}"


def dead_letter(
    source: SignalSource, raw: bytes, reason: str, now: datetime, *, payload: bytes | None = None
) -> DeadLetter:
    """
    Keep the beginning of what could not be read, without its secrets, and what `payload` could be sent in again.

    A payload that is larger than `LARGEST_PAYLOAD`, or holds what looks like a secret, is not kept: cut or masked it
    would be something else.
    """
    excerpt = SECRETS.text(raw[: _EXCERPT * 4].decode("utf-8", "replace"))[:_EXCERPT]
    return DeadLetter(
        id=new_id("dead", now),
        source=source,
        received=now,
        reason=reason[:500],
        excerpt=excerpt,
        payload=payload if payload and _may_be_kept(payload) else None,
    )


def _may_be_kept(payload: bytes) -> bool:
    """Return whether a payload is small enough to be kept, and has no secret in it."""
    if len(payload) > LARGEST_PAYLOAD:
        return False
    text = payload.decode("utf-8", "replace")
    return SECRETS.text(text) == text


def _left_out(alerts: int, group: bytes, now: datetime) -> DeadLetter:
    """
    Make the dead letter of the alerts that were left out of a group: one a group, the newest, since it is sent again
    and again.
    """
    reason = (
        f"Alertmanager left {alerts} alerts out of this group, and nothing polls it, so they are not known here: "
        "take `max_alerts` out of its webhook_config, or set alertmanager.url"
    )
    return only_newest(dead_letter(SignalSource.ALERTMANAGER, group, reason, now), group)


def only_newest(letter: DeadLetter, about: bytes) -> DeadLetter:
    """Return the letter under an id derived from `about`: the newest letter with one `about` replaces the others."""
    return replace(letter, id=f"dead-{hashlib.sha256(about).hexdigest()[:19]}")


def _webhook(body: bytes) -> _Webhook:
    """Read the body but for its alerts. Raises ValueError saying why it is no webhook that is known."""
    if is_too_deep(body):
        raise ValueError(f"nested deeper than {DEEPEST} levels, or brackets that do not match")
    try:
        webhook = _read(body)
    except UNDECODABLE as error:
        raise ValueError(f"not a webhook of Alertmanager: {error}") from error
    if webhook.version != VERSION:
        raise ValueError(f"version {webhook.version[:20]!r}: only version {VERSION!r} of the webhook is known")
    return webhook


def _read(body: bytes) -> _Webhook:
    """Read the body; when it holds half a surrogate pair, which no text can, read it again with that replaced (A14)."""
    try:
        return _WEBHOOK.decode(body)
    except msgspec.DecodeError:
        repaired = _ESCAPE.sub(_whole, body)
        if repaired == body:
            raise
        return _WEBHOOK.decode(repaired)


def _whole(escape: re.Match[bytes]) -> bytes:
    """Return an escape as it is, or the replacement character for one that is half a pair."""
    return b"\\ufffd" if escape["half"] else escape[0]


def _read_each(alerts: list[msgspec.Raw], origin: AlertOrigin) -> tuple[list[Signal], list[tuple[bytes, str]]]:
    """Read alerts one by one, so that each fails for itself; return the wrong ones with what is wrong with them."""
    ids = signal_ids(origin.received)
    signals: list[Signal] = []
    wrong: list[tuple[bytes, str]] = []
    for raw, signal_id in zip(alerts, ids, strict=False):
        try:
            alert = _ALERT.decode(raw)
            firing = alert.status is SignalStatus.FIRING
            signals.append(
                to_signal(alert, firing=firing, size=len(memoryview(raw)), origin=origin, signal_id=signal_id)
            )
        except (*UNDECODABLE, ValueError) as error:
            wrong.append((bytes(raw), f"alert: {error}"))
    return signals, wrong


def _letters(wrong: list[tuple[bytes, str]], now: datetime) -> list[DeadLetter]:
    """Make dead letters of bad alerts, a bounded number of them."""
    more, left = len(wrong) - _MOST_LETTERS, LARGEST_PAYLOAD
    letters = []
    for raw, reason in wrong[:_MOST_LETTERS]:
        payload = of_alert(raw) if len(raw) <= left else None
        left -= len(payload or b"")
        letters.append(dead_letter(SignalSource.ALERTMANAGER, raw, reason, now, payload=payload))
    if more > 0:
        letters.append(dead_letter(SignalSource.ALERTMANAGER, b"", f"{more} more alerts of the same delivery", now))
    return letters


def _unreadable(body: bytes, reason: str, now: datetime) -> Delivery:
    """Return the answer that a whole body could not be read."""
    letter = dead_letter(SignalSource.ALERTMANAGER, body, reason, now, payload=body)
    return Delivery(dead_letters=(letter,), unreadable=reason)
