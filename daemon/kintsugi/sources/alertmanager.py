"""
Alertmanager's webhook, version 4, and the list of its API: bytes in, signals out.

Both write alerts alike, so that the same alert is the same signal from either. An alert is untrusted input: it is a hint
at an object, never an instruction (A20). One bad alert does not affect its group (A12).

`server` calls `decode` with a body whose sender is known; the result is committed before the answer. A body that is no
webhook is reported as such (A11), which is no exception: the result is a value. `poll` calls `decode_alerts`, and a person
has a dead letter read again by `reread`.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple, TypeVar

import msgspec

from kintsugi.errors import ProbeFailed
from kintsugi.json_limits import DEEPEST, is_too_deep
from kintsugi.model.identity import encode, new_id
from kintsugi.model.records import DeadLetter, Delivery, Signal, SignalSource, SignalStatus, Target
from kintsugi.model.rules import RuleSource
from kintsugi.telemetry import SECRETS

T = TypeVar("T")

_NO_END = "0001-01-01T"
"""The prefix of an end that Alertmanager does not know yet."""

_LONGEST = 64 * 1024
"""Bytes of one alert; of a longer one the annotations are cut, for they only explain."""

_LONGEST_ANNOTATION = 1000

LEFT_OUT = "kintsugi.dev/left-out"
"""The annotation that says how many were left out."""

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")

_HINTS = (
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("statefulset", "StatefulSet"),
    ("deployment", "Deployment"),
    ("daemonset", "DaemonSet"),
    ("job_name", "Job"),
    ("pod", "Pod"),
)
"""Labels that name an object, and its kind. `pod` comes last: in alerts about workloads it may name the exporter's own."""

VERSION, GRAFANA_VERSION = "4", "1"
"""The versions of Alertmanager's webhook, and of Grafana's, whose alerts have the same fields."""

_EXCERPT = 2000
"""Characters of a dead letter that people are shown."""

LARGEST_PAYLOAD = 64 * 1024
"""Bytes of one delivery that are kept to be sent in again: what one alert may have, and 64 MiB of the 1,000 letters that
are kept. Each is searched for secrets, which takes 0.1 s for this much of the worst text (measured)."""

_MOST_LETTERS = 20
"""Dead letters kept of one delivery; the last one says how many more there were."""


class AlertOrigin(NamedTuple):
    """The facts for a signal besides its alert. `timed`: whether its end may be compared with our clock."""

    source: SignalSource
    received: datetime
    timed: bool = True


class AlertFields(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of an alert that we read; all others are skipped without being made."""

    labels: dict[str, str]
    starts_at: str
    ends_at: str = ""
    annotations: dict[str, str] | None = None
    fingerprint: str = ""


def to_signal(alert: AlertFields, *, firing: bool, size: int, origin: AlertOrigin, signal_id: str) -> Signal:
    """
    Turn an alert of `size` bytes into a signal. Raises ValueError with what is wrong with it.

    A firing alert whose end is past is a replay and counts as resolved (A21), where the time may be compared. `began` is cut to
    milliseconds, the API's precision: the same episode must not get two beginnings.
    """
    if not alert.labels:
        raise ValueError("labels: empty, so this alert cannot be distinguished from others")
    began = _moment(alert.starts_at, "startsAt")
    has_end = alert.ends_at and not alert.ends_at.startswith(_NO_END)
    end = _moment(alert.ends_at, "endsAt") if has_end else None
    is_over = end is not None and (end <= origin.received if origin.timed else not firing)
    is_resolved = not firing or is_over
    return Signal(
        id=signal_id,
        source=origin.source,
        kind=RuleSource.ALERT,
        key=_key(alert),
        status=SignalStatus.RESOLVED if is_resolved else SignalStatus.FIRING,
        labels=alert.labels,
        annotations=_bounded(alert, size),
        target=_target_hint(alert.labels),
        began=began,
        ended=(end if is_over else origin.received) if is_resolved else None,
        received=origin.received,
    )


def _target_hint(labels: Mapping[str, str]) -> Target | None:
    """Guess the object that an alert is about; it is looked up again in the cluster before anything is believed."""
    namespace = labels.get("namespace", "")
    for label, kind in _HINTS:
        name = labels.get(label)
        if name and namespace:
            return Target(kind=kind, namespace=namespace, name=name)
    node = labels.get("node")
    return Target(kind="Node", namespace="", name=node) if node and not namespace else None


def fingerprint(labels: Mapping[str, str]) -> str:
    """Compute the fingerprint that Prometheus gives to a set of labels: FNV-1a of names and values, each ended by 0xff."""
    digest = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in (
            f"{name}".encode("utf-8", "surrogatepass")
            + b"\xff"
            + labels[name].encode("utf-8", "surrogatepass")
            + b"\xff"
        ):
            digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def _key(alert: AlertFields) -> str:
    """
    Return the alert's fingerprint; an invalid one is replaced by one computed from the labels.

    A key of the watch is RULE/UID: an alert cannot have such a key, and neither ends nor hides a signal of the watch.
    """
    return alert.fingerprint if _FINGERPRINT.fullmatch(alert.fingerprint) else fingerprint(alert.labels)


def _moment(text: str, field: str) -> datetime:
    """Read a time of RFC 3339 with any number of digits of a second, cut to milliseconds, in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{field}: {text[:40]!r} is not a time: write 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None or len(text) < 20:
        raise ValueError(f"{field}: {text[:40]!r} has no time zone: write 2026-01-31T12:00:00Z")
    if moment.microsecond % 1000:
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{field}: {text[:40]!r} is outside of the years 1 to 9999 in UTC") from error


def _bounded(alert: AlertFields, size: int) -> dict[str, str]:
    """Return the annotations, cut where the alert is very large, which they say. Raises ValueError when its labels alone are."""
    annotations = alert.annotations or {}
    if size <= _LONGEST:
        return annotations
    labels = sum(len(name) + len(value) for name, value in alert.labels.items())
    if labels > _LONGEST:
        raise ValueError(f"labels: {labels} characters, at most {_LONGEST} are read")
    first = list(annotations.items())[: _LONGEST // _LONGEST_ANNOTATION]
    read = {_cut(name): _cut(value) for name, value in first}
    left_out = len(annotations) - len(first)
    return {**read, LEFT_OUT: f"{left_out} more annotations"} if left_out else read


def _cut(text: str) -> str:
    """Return a text that is not too long, or its beginning and that it is no more."""
    if len(text) <= _LONGEST_ANNOTATION:
        return text
    return f"{text[:_LONGEST_ANNOTATION]}… (cut off after {_LONGEST_ANNOTATION} of {len(text)} characters)"


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
        letter = dead_letter(SignalSource.ALERTMANAGER, body, str(error), now, payload=body)
        return Delivery(dead_letters=(letter,), unreadable=str(error))
    origin = AlertOrigin(SignalSource.ALERTMANAGER, now, timed)

    def signal_of(raw: msgspec.Raw, signal_id: str) -> Signal:
        alert, size = _ALERT.decode(raw), len(memoryview(raw))
        firing = alert.status is SignalStatus.FIRING
        return to_signal(alert, firing=firing, size=size, origin=origin, signal_id=signal_id)

    signals, wrong = _read_each(webhook.alerts, signal_of, now)
    letters = _letters(wrong, now)
    truncated = min(max(0, webhook.truncated_alerts), _MOST_LEFT_OUT)
    left_out = _left_out(truncated, bytes(webhook.group_key), now) if truncated else None
    return Delivery(signals=tuple(signals), dead_letters=tuple(letters), truncated=truncated, left_out=left_out)


def signal_ids(now: datetime) -> Iterator[str]:
    """Yield ids for the signals of one delivery: sorted by time, and unique however many come at one moment."""
    batch = new_id("sig", now) + encode(secrets.randbits(40), 8)
    return (f"{batch}-{number}" for number in count(1))


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
    if webhook.version not in (VERSION, GRAFANA_VERSION):
        known = f"only {VERSION!r} of Alertmanager and {GRAFANA_VERSION!r} of Grafana are known"
        raise ValueError(f"version {webhook.version[:20]!r} of the webhook: {known}")
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


def _read_each(
    alerts: list[msgspec.Raw], read: Callable[[msgspec.Raw, str], T], now: datetime
) -> tuple[list[T], list[tuple[bytes, str]]]:
    """Read alerts one by one, so that each fails for itself; return the wrong ones with what is wrong with them."""
    found: list[T] = []
    wrong: list[tuple[bytes, str]] = []
    for raw, signal_id in zip(alerts, signal_ids(now), strict=False):
        try:
            found.append(read(raw, signal_id))
        except (*UNDECODABLE, ValueError) as error:
            wrong.append((bytes(raw), f"alert: {error}"))
    return found, wrong


def _letters(wrong: list[tuple[bytes, str]], now: datetime) -> list[DeadLetter]:
    """Make dead letters of bad alerts, a bounded number of them."""
    more, left = len(wrong) - _MOST_LETTERS, LARGEST_PAYLOAD
    letters = []
    for raw, reason in wrong[:_MOST_LETTERS]:
        payload = b'{"version":"4","alerts":[' + raw + b"]}" if len(raw) <= left else None
        left -= len(payload or b"")
        letters.append(dead_letter(SignalSource.ALERTMANAGER, raw, reason, now, payload=payload))
    if more > 0:
        letters.append(dead_letter(SignalSource.ALERTMANAGER, b"", f"{more} more alerts of the same delivery", now))
    return letters


@dataclass(frozen=True, kw_only=True, slots=True)
class PolledAlert:
    """An alert as the API shows it: `suppressed` by a silence, an inhibition or a mute time."""

    signal: Signal
    suppressed: bool = False


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    state: str
    silenced_by: list[str] = []
    inhibited_by: list[str] = []
    muted_by: list[str] = []


class _PolledAlert(AlertFields, frozen=True, rename="camel", kw_only=True):
    status: _Status


_ALERTS = msgspec.json.Decoder(list[msgspec.Raw])
_POLLED = msgspec.json.Decoder(_PolledAlert)


def decode_alerts(body: bytes, now: datetime) -> tuple[list[PolledAlert], list[DeadLetter]]:
    """Read the API's list, each alert for itself. Raises ProbeFailed when it is no list."""
    try:
        listed = _ALERTS.decode(body)
    except UNDECODABLE as error:
        raise ProbeFailed(f"Alertmanager's alerts cannot be read: {error}") from error
    # a listed alert fires, whatever its end: that is its sender's guess, by another clock than ours
    origin = AlertOrigin(SignalSource.POLL, now, timed=False)

    def polled(raw: msgspec.Raw, signal_id: str) -> PolledAlert:
        alert, size = _POLLED.decode(raw), len(memoryview(raw))
        signal = to_signal(alert, firing=True, size=size, origin=origin, signal_id=signal_id)
        return PolledAlert(signal=signal, suppressed=_is_suppressed(alert.status))

    alerts, wrong = _read_each(listed, polled, now)
    return alerts, [_polled_letter(raw, reason, now) for raw, reason in wrong]


def _polled_letter(raw: bytes, reason: str, now: datetime) -> DeadLetter:
    """Make the one dead letter of a bad alert, which comes with every poll for as long as it fires."""
    payload = b"[" + raw + b"]"
    return only_newest(dead_letter(SignalSource.POLL, raw, reason, now, payload=payload), payload)


def _is_suppressed(status: _Status) -> bool:
    """Return whether Alertmanager suppresses the notifications of an alert at present."""
    return status.state == "suppressed" or bool(status.silenced_by or status.inhibited_by or status.muted_by)


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
        found = _reread(letter, letter.payload, now, timed=timed)
    except ProbeFailed as error:
        return Delivery(unreadable=str(error))
    if timed and now - letter.received <= CURRENT_FOR:
        return found
    ended = tuple(each for each in found.signals if each.status is SignalStatus.RESOLVED)
    return replace(found, signals=ended, stale=len(found.signals) - len(ended))


def _reread(letter: DeadLetter, payload: bytes, now: datetime, *, timed: bool) -> Delivery:
    if letter.source is not SignalSource.POLL:
        return decode(payload, now, timed=timed)
    alerts, letters = decode_alerts(payload, now)
    return Delivery(
        signals=tuple(alert.signal for alert in alerts if not alert.suppressed), dead_letters=tuple(letters)
    )
