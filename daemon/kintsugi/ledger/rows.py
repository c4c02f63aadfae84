"""Rows from records and records from rows: the columns of a table that a frozen record has fields for."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Column, Table

from kintsugi.model.records import Reason, Signal, SignalStatus, Verdict, VerdictKind

T = TypeVar("T")

_SIGNAL_FIELDS = (
    "id", "source", "kind", "key", "rule", "labels", "annotations", "target", "began", "ended", "received",
)  # fmt: skip


def columns(record: type[object], table: Table) -> Sequence[Column[Any]]:
    """Give the columns of `table` that hold fields of `record`, in the order of the fields."""
    return [table.c[field.name] for field in fields(record) if field.name in table.c]  # type: ignore[arg-type]


def values(record: object) -> dict[str, object]:
    """Give the record's fields as column values."""
    return {field.name: getattr(record, field.name) for field in fields(record)}  # type: ignore[arg-type]


def record(kind: type[T], row: Any) -> T:
    """Build a record from a row that has a column for each field without a default."""
    return kind(**row._mapping)


def signal_columns(table: Table) -> Sequence[Column[Any]]:
    """Give the columns from which `signal` builds."""
    return [table.c[name] for name in (*_SIGNAL_FIELDS, "stale")]


def signal(row: Any) -> Signal:
    """Build a signal; whether it still fires follows from its end."""
    given = {name: getattr(row, name) for name in _SIGNAL_FIELDS}
    return Signal(status=_status(row), **given)


def _status(row: Any) -> SignalStatus:
    if row.ended is None:
        return SignalStatus.FIRING
    return SignalStatus.STALE if row.stale == row.ended else SignalStatus.RESOLVED


def verdict(row: Any) -> Verdict | None:
    """Build the verdict that a signal's row carries, None while there is none."""
    if row.verdict is None:
        return None
    return Verdict(
        kind=VerdictKind(row.verdict),
        reason=Reason(row.reason),
        text=row.text,
        until=row.until,
        rule=row.judged_rule or "",
        incident=row.incident or "",
    )


def verdict_values(judged: Verdict, now: object) -> dict[str, object]:
    """Give the columns of a signal's row that a verdict fills."""
    return {
        "verdict": judged.kind,
        "reason": judged.reason,
        "text": judged.text,
        "until": judged.until,
        "judged": now,
        "judged_rule": judged.rule,
        "incident": judged.incident or None,
    }
