"""
The log of a backup worker: one JSON object a line, with its type as the only key.

The worker writes them, the daemon reads them back from the log of its pod. A log may hold other things too (a runtime's
warning, a line that was cut off): any other line is ignored. Unknown fields are ignored, so that an older daemon can
read a newer worker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from kintsugi.model.restores import Backup, Restored
from kintsugi.model.worker_results import Failed, WorkProgress


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """One sentence for people: what they should know though the work goes on."""

    text: str


WorkLine = WorkProgress | Note | Backup | Restored | Failed
"""The content of one line."""

_MOST_NOTES = 100
_MOST_TABLES = 2000
_WORDS: dict[type, str] = {
    WorkProgress: "progress",
    Backup: "backup",
    Restored: "restored",
    Failed: "failed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """The object of a line: one of these is there."""

    progress: WorkProgress | None = None
    note: str | None = None
    backup: Backup | None = None
    restored: Restored | None = None
    failed: Failed | None = None


_DECODER = msgspec.json.Decoder(_Line)


def encode(line: WorkLine) -> str:
    """Write a line, without its end."""
    if isinstance(line, Note):
        return msgspec.json.encode({"note": line.text}).decode()
    return msgspec.json.encode({_WORDS[type(line)]: line}).decode()


def decode(text: str) -> WorkLine | None:
    """Read a line; None where it is not a worker's."""
    try:
        line = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return None
    if line.note is not None:
        return Note(text=line.note)
    return line.progress or line.backup or line.restored or line.failed


def lines_of(output: bytes) -> list[WorkLine]:
    """Return the lines of a log that are a worker's; JSON may hold what else Python takes for the end of a line."""
    return [line for each in output.decode(errors="replace").split("\n") if each and (line := decode(each)) is not None]


def names_of(lines: Sequence[WorkLine]) -> Mapping[str, object]:
    """Return what an expression sees of a worker's lines: the newest progress, all notes, the result."""
    notes = [line.text for line in lines if isinstance(line, Note)]
    names: dict[str, object] = {"notes": notes[-_MOST_NOTES:]}
    for line in lines:
        match line:
            case WorkProgress():
                names["done"] = _shown(line)
            case Backup():
                names["backup"] = _shown(line)
            case Restored():
                names["restored"] = _shown(_bounded(line))
            case Note() | Failed():
                pass
    return names


def _shown(output: WorkProgress | Backup | Restored) -> Mapping[str, object]:
    """Return what was said as an expression sees it; what is not known is absent."""
    fields = msgspec.to_builtins(output, builtin_types=(datetime,))
    assert isinstance(fields, dict), fields
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items() if value is not None
    }


def _bounded(restored: Restored) -> Restored:
    """Keep the largest tables, so that the result of a step fits the ledger."""
    largest = sorted(restored.tables, key=lambda table: table.rows, reverse=True)[:_MOST_TABLES]
    return replace(restored, tables=tuple(sorted(largest, key=lambda table: table.name)))
