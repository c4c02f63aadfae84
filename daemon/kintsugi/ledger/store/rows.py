"""
Converts between rows and records: a frozen record has a field for each of the columns.

A row may have unreadable values (`columns.Unreadable`): another version's word, a damaged text. A record that is acted upon is
read whole or not at all (`read_strictly`); one that is only shown, counted or closed is read as far as possible (`read_leniently`), and names
what is missing. So an unreadable row neither hides the others nor stays open for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Select, Table

from kintsugi.errors import UnreadableRow
from kintsugi.ledger.store.columns import Unreadable
from kintsugi.model.drills import DrillMemory
from kintsugi.model.records import (
    DeadLetter,
    Incident,
    IncidentState,
    Notice,
    Pause,
    PauseScope,
    Phase,
    Reason,
    RunKind,
    RunRecord,
    Signal,
    SignalSource,
    SignalStatus,
    StepRecord,
    StepState,
    Verdict,
    VerdictKind,
)
from kintsugi.model.rules import Mode, RuleSource

T = TypeVar("T")

UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
"""The substitute for a time that is set and cannot be read."""

_SIGNAL_FIELDS = (
    "id", "source", "kind", "key", "rule", "labels", "annotations", "target", "began", "ended", "received",
)  # fmt: skip
_NAMES = ("run", "path", "incident", "rule", "uid", "workload", "template", "service")
"""Columns of text that name a row without an id, as far as it has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Instead:
    """Values in place of unreadable fields of a shown record, and the field whose text says so, "" for none."""

    fields: Mapping[str, object] = field(default_factory=dict)
    error_field: str = ""


_NOT_KNOWN = dict.fromkeys(
    ("steps_finished_at", "taken_up", "workload_found", "workload_left", "workload_decided", "superseded")
)

_INSTEAD: Mapping[type[object], _Instead] = {
    Incident: _Instead(
        fields={"mode": Mode.OBSERVE, "state": IncidentState.OPEN, "kind": RunKind.RECOVERY}, error_field="reason"
    ),
    RunRecord: _Instead(
        fields={"parameters": {}, "state": IncidentState.OPEN, "kind": RunKind.RECOVERY, **_NOT_KNOWN},
        error_field="reason",
    ),
    StepRecord: _Instead(
        fields={
            "phase": Phase.FORWARD,
            "state": StepState.UNKNOWN,  # whether it was done is not known
            "facts": {},
            **dict.fromkeys(("command", "undo", "deadline", "started", "finished", "result")),
        },
        error_field="error",
    ),
    Signal: _Instead(
        fields={
            "source": SignalSource.ALERTMANAGER,
            "kind": RuleSource.ALERT,
            "labels": {},
            "annotations": {},
            "target": None,
        }
    ),
    # A pause whose subject cannot be read is still in force: for everything, until it is lifted.
    Pause: _Instead(fields={"scope": PauseScope.GLOBAL, "until": None}, error_field="why"),
    DrillMemory: _Instead(fields={"slot": None, "passed": None}),
    Notice: _Instead(fields={"kind": IncidentState.NEEDS_OPERATOR}),
    DeadLetter: _Instead(fields={"source": SignalSource.ALERTMANAGER}, error_field="reason"),
}


def columns(record: type[object], table: Table) -> Sequence[ColumnElement[Any]]:
    """Return the columns of `table` that hold fields of `record`, in the order of the fields."""
    found = [table.c[field.name] for field in fields(record) if field.name in table.c]  # type: ignore[arg-type]
    return [each if each.name == each.key else each.label(each.key) for each in found]


def values(record: object) -> dict[str, object]:
    """Return the record's fields as column values."""
    return {field.name: getattr(record, field.name) for field in fields(record)}  # type: ignore[arg-type]


def unreadable(kind: type[object], row: Any) -> UnreadableRow | None:
    """Return the unreadable values of a row; None when it has none."""
    if not any(type(value) is Unreadable for value in row):
        return None
    given: Mapping[str, object] = row._mapping
    name = given.get("id") or " ".join(str(given[each]) for each in _NAMES if given.get(each))
    wrong = [f"{column}: {value.why[:200]}" for column, value in given.items() if isinstance(value, Unreadable)]
    return UnreadableRow(f"{kind.__name__} {name} cannot be read: {'; '.join(wrong)}")


def read_strictly(kind: type[T], row: Any) -> T:
    """Build a record from a row that has a column for each field without a default. Raises UnreadableRow."""
    error = unreadable(kind, row)
    if error is not None:
        raise error
    return kind(**row._mapping)


def read_leniently(kind: type[T], row: Any) -> T:
    """Build a record as far as it can be read, to be shown, counted or closed; never to be acted upon."""
    error = unreadable(kind, row)
    return kind(**(row._mapping if error is None else _as_far_as_known(kind, row._mapping, error)))


def read_one(
    connection: Connection,
    kind: type[T],
    query: Select[Any],
    given: Mapping[str, object] | None = None,
    *,
    strict: bool = True,
) -> T | None:
    """Read the record of a query, with the parameters `given`, for at most one row. Raises UnreadableRow where it is `strict`."""
    row = connection.execute(query, given).one_or_none()
    if row is None:
        return None
    return read_strictly(kind, row) if strict else read_leniently(kind, row)


def readable(kind: type[T], rows: Sequence[Any]) -> tuple[T, ...]:
    """Build the records of the rows that can be read whole; the others are left out."""
    return tuple(kind(**row._mapping) for row in rows if unreadable(kind, row) is None)


def signal_columns(table: Table) -> Sequence[Column[Any]]:
    """Return the columns from which `signal` builds."""
    return [table.c[name] for name in (*_SIGNAL_FIELDS, "stale")]


def signal(row: Any) -> Signal:
    """
    Build a signal as far as it can be read; whether it still fires follows from its end.

    What is judged must be read whole: `unreadable` says whether it is.
    """
    given = {name: getattr(row, name) for name in _SIGNAL_FIELDS}
    if any(type(value) is Unreadable for value in given.values()):
        given = _as_far_as_known(Signal, given, None)
    return Signal(status=_status(row), **given)


def _status(row: Any) -> SignalStatus:
    if row.ended is None:
        return SignalStatus.FIRING
    return SignalStatus.STALE if row.stale == row.ended else SignalStatus.RESOLVED


def verdict(row: Any) -> Verdict | None:
    """Build the verdict in a signal's row, None before the verdict; an unreadable one is a DEAD_LETTER that says so."""
    if row.verdict is None:
        return None
    kind, reason = row.verdict, row.reason
    known = isinstance(kind, VerdictKind) and isinstance(reason, Reason)
    return Verdict(
        kind=kind if known else VerdictKind.DEAD_LETTER,
        reason=reason if known else Reason.MALFORMED,
        text=row.text or "",
        until=moment(row.until),
        rule=row.judged_rule or "",
        incident=row.incident or "",
    )


def moment(value: object) -> datetime | None:
    """Return a time, `UNKNOWN_TIME` for one that cannot be read, None for none."""
    return UNKNOWN_TIME if isinstance(value, Unreadable) else value  # type: ignore[return-value]


def verdict_values(verdict: Verdict, now: object) -> dict[str, object]:
    """Return the columns of a signal's row that a verdict fills."""
    return {
        "verdict": verdict.kind,
        "reason": verdict.reason,
        "text": verdict.text,
        "until": verdict.until,
        "judged": now,
        "judged_rule": verdict.rule,
        "incident": verdict.incident or None,
    }


def _as_far_as_known(kind: type[object], given: Mapping[str, object], error: UnreadableRow | None) -> dict[str, object]:
    instead = _INSTEAD.get(kind, _Instead())
    found = {
        name: instead.fields.get(name, UNKNOWN_TIME) if isinstance(value, Unreadable) else value
        for name, value in given.items()
    }
    if instead.error_field and error is not None:
        found[instead.error_field] = f"{found[instead.error_field]} ({error})".strip()
    return found
