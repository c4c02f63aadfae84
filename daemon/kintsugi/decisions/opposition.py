"""
Detects two rules that pull one object in opposite directions: a change that undoes another rule's recent change.

Pure. The gate asks before every attempt; the run that comes second is handed to a person, and with that neither goes on.
"""

from collections.abc import Iterable
from datetime import datetime

from kintsugi.commands import decode
from kintsugi.commands.registry import definition_of
from kintsugi.errors import CommandError
from kintsugi.model.command import Command
from kintsugi.model.history import MadeChange
from kintsugi.model.manual import MANUAL


def can_oppose(command: Command | None) -> bool:
    """Return whether a change may be one that takes another back: most, a deleted pod or a restart, never are."""
    return command is not None and _aspect(_compared(command)) is not None


def opposition(command: Command | None, changes: Iterable[MadeChange], *, rule: str, run: str) -> str:
    """
    Return that a change would take back one that another rule has made, "" where it would not.

    `changes` are those of late in the same namespace, the oldest first; the newest one of the same object counts. What a
    person has started by hand opposes nothing, and nothing opposes it: that is a person's decision.
    """
    if command is None or rule == MANUAL:
        return ""
    command = _compared(command)
    concerned = ((change, undo) for change in changes for undo in _undone_by(change) if _is_same(command, undo))
    change, undo = max(concerned, key=lambda each: each[0].finished, default=(None, None))
    if (
        change is None
        or undo is None
        or change.run == run
        or change.rule in (rule, MANUAL)
        or not _opposes(command, undo)
    ):
        return ""
    return (
        f"rules {change.rule} and {rule} contradict each other: run {change.run} did `{change.text}` at"
        f" {_clock(change.finished)}, and the new change would undo that change. Neither continues: remove one of the two, or limit their"
        " conditions so that only one of them applies"
    )


def _undone_by(change: MadeChange) -> Iterable[Command]:
    """Return the commands that take a change back; what cannot be read is left out: it is never acted upon here."""
    for document in change.undo.commands if change.undo is not None else ():
        try:
            yield decode(document)
        except CommandError:
            continue


def _is_same(command: Command, undo: Command) -> bool:
    """Return whether a change and the way back from another one are about the same thing of the same object."""
    if type(command) is not type(undo) or not _names(command) & _names(undo):
        return False
    aspect = _aspect(command)
    return aspect is not None and aspect == _aspect(undo)


def _opposes(command: Command, undo: Command) -> bool:
    """Return whether a change goes the way back from another one: as far, or, of replicas, at all in that direction."""
    return definition_of(command).takes_back(command, undo)


def _compared(command: Command) -> Command:
    """Return what a change does first, where that is a change of another verb: a drain cordons."""
    return definition_of(command).compared(command)


def _names(command: Command) -> frozenset[str]:
    return frozenset(map(str, definition_of(command).objects(command)))


def _aspect(command: Command) -> object:
    return definition_of(command).aspect(command)


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}"
