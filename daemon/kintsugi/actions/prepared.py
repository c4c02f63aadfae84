"""
A change that has been judged: on which object, why it may be made, how it is undone, and the one write that makes it.

The executor commits `command`, `facts` and `undo` as the intent, and only then performs it. After a crash it makes a
`Prepared` from the intent again: that is enough to probe; to perform it, it must be prepared anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from kintsugi.actions.difference import Operation
from kintsugi.actions.live import Live
from kintsugi.model.command import Command
from kintsugi.model.records import UndoRecord

MARK = "kintsugi.dev/run"
"""The annotation that says which step of which run changed an object last."""

TEMPLATE = "kintsugi.dev/template"
"""The annotation with the digest of the pod template as our last change of the workload left it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is kept of an object before it is changed: bounded, redacted text."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchWrite:
    """A JSON patch; its tests hold the uid and every field that was judged."""

    operations: tuple[Operation, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteWrite:
    """A delete with the uid as its precondition."""

    grace: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateWrite:
    """The making of an object, with our mark on it; a name that is taken fails it."""

    manifest: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobWrite:
    """
    A worker's Job, and the claim of its room where that is made with it; None for what is there already.

    The claim belongs to the Job and comes second: until it is there the Job's pod only waits.
    """

    job: Live | None
    room: Live | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """
    A judged change of one object.

    `facts` hold at least `uid` (of a Job that is still to be made, its name, see `actions.jobs`); `mark` for a patch; `already` when the object is as asked for and nothing is written
    (`write` is None then, and also after a crash); `then` are changes (encoded) that complete this one and follow it,
    each an effect of its own. They are plain JSON values.
    """

    command: Command
    facts: Mapping[str, object]
    undo: UndoRecord
    evidence: tuple[Evidence, ...] = ()
    write: PatchWrite | DeleteWrite | CreateWrite | JobWrite | None = field(default=None, repr=False)

    @property
    def already(self) -> bool:
        """Tell whether the object was as asked for, so that nothing is written."""
        return self.facts.get("already") is True


class Happened(StrEnum):
    """Whether a change whose answer was lost has been made."""

    DONE = "done"
    NOT_DONE = "not-done"
    UNKNOWN = "unknown"
