"""
The report of a drill, from the results of its steps: the backup, the restored data, the checks that held, the duration.

The daemon makes the run's reason from it; the command line shows all of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from kintsugi.durations import format_seconds
from kintsugi.expressions import from_json
from kintsugi.model.drills import DrillCheck, DrillReport
from kintsugi.model.records import Phase, RunRecord, StepRecord, StepState
from kintsugi.model.step_path import StepPath
from kintsugi.model.worker_results import Backup, Restored, Table

LEFT_OUT = StepPath.noted("left-out")
"""The path of a drill's note of the checks that it could not run."""

OUTCOME = StepPath.noted("outcome")
"""The path of a drill's note of its steps' outcome, kept while its changes are undone."""

MOST_TABLES = 20
"""Tables that are named in a reason; the report names all."""

Found = TypeVar("Found")


def report_of(run: RunRecord, steps: Sequence[StepRecord], *, now: datetime) -> DrillReport:
    """Put the report together, of a drill that is over or still goes on."""
    forward = [step for step in steps if step.phase is Phase.FORWARD]
    ends = [step for step in forward if not step.changes and step.state is StepState.DONE]
    restored = _last(ends, "restored", Restored)
    checked = [step for step in forward if _is_inner(step) and not step.changes and not step.step_path.listing]
    over = next((step.finished for step in forward if step.step_path == OUTCOME), None)
    return DrillReport(
        incident=run.incident,
        run=run.id,
        service=run.service,
        state=run.state,
        reason=run.reason,
        started=run.started,
        seconds=((over or run.finished or now) - run.started).total_seconds(),
        backup=_last(ends, "backup", Backup),
        restored=restored,
        checks=tuple(_check(step) for step in checked if step.finished is not None),
        left_out=_texts(next((step for step in forward if step.step_path == LEFT_OUT), None), "checks"),
        notes=tuple(dict.fromkeys(note for step in ends for note in _texts(step, "notes"))),
        stages=tuple((step.name, _seconds(step)) for step in ends if not _is_inner(step) and not step.step_path.note),
    )


def summary_of(report: DrillReport) -> str:
    """Return in one sentence what a good drill has shown."""
    backup, restored = report.backup, report.restored
    if backup is None or restored is None:
        return "nothing was restored"
    age = format_seconds(report.started - backup.taken)
    parts = [
        f"{backup.url}, taken {backup.taken.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({age} before the drill)",
        f"{_tables(restored.tables)} restored",
        f"{_many(len(report.checks), 'check')} passed",
        f"in {format_seconds(timedelta(seconds=report.seconds))}",
    ]
    parts += [f"{_many(len(backup.skipped), 'newer backup')} unusable"] if backup.skipped else []
    parts += [] if backup.proven else ["its checksum was not recorded"]
    parts += [f"not run: {', '.join(report.left_out)}"] if report.left_out else []
    return "; ".join(parts)


def _tables(tables: Sequence[Table]) -> str:
    """Name the tables with their rows, as the account of a real restore does; many of them are counted."""
    shown = [f"{table.name} {_many(table.rows, 'row')}" for table in tables[:MOST_TABLES]]
    more = [f"and {_many(len(tables) - MOST_TABLES, 'more table')}"] if len(tables) > MOST_TABLES else []
    return ", ".join([*shown, *more]) or "no table"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _check(step: StepRecord) -> DrillCheck:
    return DrillCheck(name=step.name or step.path, met=step.met is True, error=step.error, seconds=_seconds(step))


def _is_inner(step: StepRecord) -> bool:
    """Return whether it is about a step inside another one."""
    return len(step.step_path.steps) > 1


def _seconds(step: StepRecord) -> float:
    if step.started is None or step.finished is None:
        return 0.0
    return round((step.finished - step.started).total_seconds(), 3)


def _last(steps: Iterable[StepRecord], name: str, kind: type[Found]) -> Found | None:
    """Read a worker's result from the last step that has one."""
    found = [own[name] for own in map(_own, steps) if name in own]
    try:
        return msgspec.convert(found[-1], kind) if found else None
    except msgspec.ValidationError:
        return None  # written by another version


def _texts(step: StepRecord | None, name: str) -> tuple[str, ...]:
    values = _own(step).get(name) if step is not None else None
    return tuple(map(str, values)) if isinstance(values, list | tuple) else ()


def _own(step: StepRecord) -> Mapping[str, object]:
    own = from_json(step.result) if step.result is not None else {}
    return own if isinstance(own, dict) else {}
