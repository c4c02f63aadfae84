"""The lost values of a moment: an expression that reads one of them has no answer."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """
    Values that are not what they were: `paths` as expressions read them, the path of a list for its items, too.

    `mark` replaces each lost value, `why` is the reason.
    """

    paths: frozenset[str] = frozenset()
    mark: str = ""
    why: str = ""


NOTHING_LOST = Lost()


def lost_read(reads: Iterable[str], compared: Iterable[str], lost: Lost) -> str:
    """
    Return a lost path that an expression reads, "" for none.

    A read at a lost path, or below it, is lost; above it, a read that is `compared` as a whole.
    """
    read, whole = frozenset(reads), frozenset(compared)
    for path in sorted(lost.paths):
        if any(each == path or each.startswith(f"{path}.") for each in read):
            return path
        if any(path.startswith(f"{each}.") for each in whole):
            return path
    return ""


def holds_lost(value: object, mark: str) -> bool:
    """
    Return whether an answer is a text, or a list of texts, that contains the mark; objects are read further by others.
    """
    if isinstance(value, list):
        return any(isinstance(each, str) and mark in each for each in value)
    return isinstance(value, str) and mark in value
