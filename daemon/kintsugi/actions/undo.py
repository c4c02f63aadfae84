"""How a change is taken back: other commands, written down before the change is made (P8)."""

from collections.abc import Sequence

import orjson

from kintsugi.actions import live
from kintsugi.actions.difference import difference
from kintsugi.actions.live import Live
from kintsugi.commands import encode, render
from kintsugi.model.command import Command, ObjectName, Patch
from kintsugi.model.records import UndoRecord

NOTHING_CHANGED = UndoRecord(note="nothing was changed: it was so already")


def undone_by(*commands: Command, note: str = "") -> UndoRecord:
    """Keep the commands that take a change back, in order, as values and as a person would type them."""
    return UndoRecord(
        commands=tuple(encode(command) for command in commands),
        texts=tuple(render(command) for command in commands),
        note=note,
    )


def not_undone(why: str) -> UndoRecord:
    """Say why a change needs no undo, or cannot have one."""
    return UndoRecord(note=why)


def put_back(asked: ObjectName, namespace: str, before: Live, after: Live) -> Patch:
    """
    Make the patch that puts former values back; it tests that they are still what we made them (E17).

    Annotations are compared one by one, because our own mark stands among them, too; so are labels, as long as there
    are any: the API keeps no empty map.
    """
    kinds = ["annotations", *(["labels"] if live.labels(after) else [])]
    operations = difference(_apart(after, kinds), _apart(before, kinds))
    return Patch(object=asked, namespace=namespace, patch=orjson.dumps(operations).decode(), kind="json")


def _apart(obj: Live, kinds: Sequence[str]) -> Live:
    """Make the maps that are compared key by key, and leave out an empty map of labels otherwise."""
    if not live.labels(obj):
        obj = live.without(obj, "metadata", "labels")
    for kind in kinds:
        obj = live.put(obj, "metadata", kind, value=live.mapping(obj, "metadata", kind))
    return obj
