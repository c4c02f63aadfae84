"""
One alert as Alertmanager writes it, turned into a signal.

The webhook and the API write alerts alike; both use this module, so that the same alert is the same signal from either.
An alert is untrusted input: it is a hint at an object, never an instruction (A20).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from kintsugi.model.records import Signal, SignalSource, SignalStatus, Target
from kintsugi.model.rules import RuleSource

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
        target=target_hint(alert.labels),
        began=began,
        ended=(end if is_over else origin.received) if is_resolved else None,
        received=origin.received,
    )


def target_hint(labels: Mapping[str, str]) -> Target | None:
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
