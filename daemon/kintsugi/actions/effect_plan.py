"""
The plan of one effect: the judged command with its intent, its undo, the evidence to keep, and the one write.

The executor commits `command`, `intent` and `undo` as the intent, and only then makes the write. After a crash it builds the
`EffectPlan` from the intent again: that suffices to probe; to make the write, the change must be planned again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from kintsugi.actions.difference import Operation
from kintsugi.commands import encode, render
from kintsugi.model.command import Command
from kintsugi.model.records import UndoRecord

RUN_ANNOTATION = "kintsugi.dev/run"
"""The annotation that says which step of which run changed an object last."""

TEMPLATE_ANNOTATION = "kintsugi.dev/template"
"""The annotation with the digest of the pod template as our last change of the workload left it."""

NOTHING_CHANGED = UndoRecord(note="nothing was changed: the object already had this state")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Text about an object that is kept before it is changed: bounded and redacted."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """The one write of a change; a verb that makes it by itself has a class of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchWrite(Write):
    """A JSON patch; its tests hold the uid and every field that was judged. Or one of an object's `subresource`."""

    operations: tuple[Operation, ...]
    subresource: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteWrite(Write):
    """A delete with the uid as its precondition."""

    grace: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateWrite(Write):
    """The creation of an object with our mark, or of an object's `subresource`; it fails when the name is taken."""

    manifest: Mapping[str, object]
    subresource: str = ""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """
    The facts of a judgement that are committed with its command: plain JSON values, by which a probe determines the outcome.

    `uid` is the object's ("" for one that is still to be created; for a request its mark), `mark` is the mark that a patch or a
    creation leaves on it. `already`: the object is as requested and nothing is written. `then` are changes (encoded) that
    complete this one and follow it, each as its own effect. A verb adds its own fields; the command's type selects them.
    """

    uid: str
    resource_version: str | UnsetType = UNSET
    generation: int | UnsetType = UNSET
    mark: str | UnsetType = UNSET
    already: bool | UnsetType = UNSET
    then: tuple[Mapping[str, object], ...] | UnsetType = UNSET


Remembered = TypeVar("Remembered", bound=Intent)


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectPlan:
    """A judged change of one object; `write` is None where nothing is written, and also after a crash."""

    command: Command
    intent: Intent
    undo: UndoRecord
    evidence: tuple[Evidence, ...] = ()
    write: Write | None = field(default=None, repr=False)

    @property
    def already(self) -> bool:
        """Return whether the object was as requested already, so that nothing is written."""
        return self.intent.already is True

    @property
    def then(self) -> tuple[Mapping[str, object], ...]:
        """Return the changes, encoded, that complete this one."""
        return self.intent.then or ()

    @property
    def facts(self) -> Mapping[str, object]:
        """Return the intent as the ledger keeps it."""
        return msgspec.json.decode(msgspec.json.encode(self.intent), type=dict[str, object])

    def remembered(self, kind: type[Remembered]) -> Remembered:
        """Return the intent with the type that the command's verb declares."""
        assert isinstance(self.intent, kind), self.intent
        return self.intent


class EffectStatus(StrEnum):
    """The outcome of a change whose answer was lost."""

    DONE = "done"
    NOT_DONE = "not-done"
    UNKNOWN = "unknown"


def undone_by(*commands: Command, note: str = "") -> UndoRecord:
    """Return the undo record of commands, in order, as values and as a person would type them."""
    return UndoRecord(
        commands=tuple(encode(command) for command in commands),
        texts=tuple(render(command) for command in commands),
        note=note,
    )


def record_without_undo(why: str) -> UndoRecord:
    """Return the undo record of a change that needs no undo, or cannot have one, with the reason."""
    return UndoRecord(note=why)


class DeleteIntent(Intent, frozen=True, kw_only=True):
    """Of a pod its status, restarts, node and controller; of a claim the name of its volume, "" for none."""

    status: str | UnsetType = UNSET
    restarts: int | UnsetType = UNSET
    node: str | UnsetType | None = UNSET
    controller: str | UnsetType = UNSET
    volume: str | UnsetType = UNSET
