"""
The account of a restore, as people hear it: to which moment, how much is lost, what is there, what was passed over.

Pure: it is read from what the steps left in the journal.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from kintsugi.durations import format_duration
from kintsugi.model.records import StepRecord, StepState
from kintsugi.runner.storage import recalled

MOST_TABLES = 20


def account(steps: Iterable[StepRecord], failed: datetime) -> str:
    """Say what a run has restored, "" when it has not; `failed` is when the trouble began."""
    backup: Mapping[str, object] = {}
    restored: Mapping[str, object] = {}
    for step in steps:
        if step.state is StepState.DONE and not step.changes:
            own = recalled(step.result)
            backup, restored = _mapping(own, "backup") or backup, _mapping(own, "restored") or restored
    if not restored:
        return ""
    parts = [_moment(backup.get("taken") or restored.get("taken"), failed), _tables(restored), _skipped(backup)]
    return "; ".join(part for part in parts if part)


def _moment(taken: object, failed: datetime) -> str:
    if not isinstance(taken, datetime):
        return "restored to a moment that its dump does not tell"
    lost = failed - taken
    where = "before" if lost >= timedelta(0) else "after"
    return f"restored to {taken.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {_rough(abs(lost))} {where} the failure"


def _rough(span: timedelta) -> str:
    return format_duration(timedelta(seconds=round(span.total_seconds())))


def _tables(restored: Mapping[str, object]) -> str:
    tables = [each for each in _list(restored, "tables") if isinstance(each, Mapping)]
    shown = [f"{each.get('name')} {each.get('rows')} rows" for each in tables[:MOST_TABLES]]
    more = [f"and {len(tables) - MOST_TABLES} more tables"] if len(tables) > MOST_TABLES else []
    return ", ".join([*shown, *more]) or "no tables"


def _skipped(backup: Mapping[str, object]) -> str:
    skipped = [each for each in _list(backup, "skipped") if isinstance(each, Mapping)]
    return "skipped " + ", ".join(f"{each.get('url')} ({each.get('reason')})" for each in skipped) if skipped else ""


def _mapping(own: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = own.get(name)
    return value if isinstance(value, Mapping) else {}


def _list(own: Mapping[str, object], name: str) -> list[object]:
    value = own.get(name)
    return value if isinstance(value, list) else []
