"""
The log of a backup worker: one JSON object a line, with its type as the only key.

The worker writes them, the daemon reads them back from the log of its pod. A log may hold other things too (a runtime's
warning, a line that was cut off): any other line is ignored. Unknown fields are ignored, so that an older daemon can
read a newer worker.
"""

from dataclasses import dataclass

import msgspec

from kintsugi.model.restores import Backup, Restored
from kintsugi_restore.worker_results import Failed, LastLine, WorkProgress


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """One sentence for people: what they should know though the work goes on."""

    text: str


WorkLine = WorkProgress | Note | Backup | Restored | Failed
"""The content of one line."""

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


def is_last(line: WorkLine) -> bool:
    """Return whether a line says how the work ended."""
    return isinstance(line, LastLine)
