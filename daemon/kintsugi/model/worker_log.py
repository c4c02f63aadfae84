"""
A backup worker's log: one JSON object a line, the word that names it as its one key.

The worker writes them, the daemon reads them back from the log of its pod. A log may hold other things too (a runtime's
warning, a line that was cut off): what is not such an object says nothing. Fields that are not known are passed over,
so that a newer worker can be read by an older daemon.
"""

from dataclasses import dataclass

import msgspec

from kintsugi.model.worker_results import Backup, Dropped, Failed, LastLine, Restored, WorkProgress


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """One sentence for people: what they should know though the work goes on."""

    text: str


WorkLine = WorkProgress | Note | Backup | Restored | Dropped | Failed
"""What one line says."""

_WORDS: dict[type, str] = {
    WorkProgress: "progress",
    Backup: "backup",
    Restored: "restored",
    Dropped: "dropped",
    Failed: "failed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """The object of a line: one of these is there."""

    progress: WorkProgress | None = None
    note: str | None = None
    backup: Backup | None = None
    restored: Restored | None = None
    dropped: Dropped | None = None
    failed: Failed | None = None


_DECODER = msgspec.json.Decoder(_Line)


def encode(line: WorkLine) -> str:
    """Write a line, without its end."""
    if isinstance(line, Note):
        return msgspec.json.encode({"note": line.text}).decode()
    return msgspec.json.encode({_WORDS[type(line)]: line}).decode()


def decode(text: str) -> WorkLine | None:
    """Read a line; None where it is none of a worker's."""
    try:
        line = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return None
    if line.note is not None:
        return Note(text=line.note)
    return line.progress or line.backup or line.restored or line.dropped or line.failed


def is_last(line: WorkLine) -> bool:
    """Return whether a line says how the work ended."""
    return isinstance(line, LastLine)
