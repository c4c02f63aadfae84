"""What of the values of a moment is not what it was, and whether an expression asks for it: then it has no answer."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """
    Values that are not what they were: `paths` as expressions read them, the path of a list for its items, too.

    `mark` stands in the place of what is lost, `why` says how that came.
    """

    paths: frozenset[str] = frozenset()
    mark: str = ""
    why: str = ""


NOTHING_LOST = Lost()


def lost_read(reads: Iterable[str], compared: Iterable[str], lost: Lost) -> str:
    """
    Return a path that an expression asks for and that is lost, "" when there is none.

    Whatever is read at such a path, or below it, is lost; above it, what is `compared` as a whole.
    """
    read, whole = frozenset(reads), frozenset(compared)
    for path in sorted(lost.paths):
        if any(each == path or each.startswith(f"{path}.") for each in read):
            return path
        if any(path.startswith(f"{each}.") for each in whole):
            return path
    return ""


def holds_lost(value: object, mark: str) -> bool:
    """Return whether an answer is a text, or a list of texts, in which the mark stands; objects are read further by others."""
    if isinstance(value, list):
        return any(isinstance(each, str) and mark in each for each in value)
    return isinstance(value, str) and mark in value
