"""
Counts the entries of JSON: each value counts as one, whatever its size.

The memory that a text takes once it is decoded grows with the entries, and so does the time of an expression that reads it.
"""

from collections.abc import Mapping

MOST_IN_OBJECT = 32_768
"""Entries of one object that is asked for by name. A Deployment of a hundred containers has about 10,000 with `managedFields`."""

MOST_IN_ANSWER = 65_536
"""Entries of all that one look answers with: of usual pods some 350, of Events 2,500."""

MOST_OBJECTS = 4_096
"""Objects that one look answers with."""

MOST_LINES = 16_384
"""Lines of a program's output, or of all logs together, that one look answers with: of usual lines more than a mebibyte."""

_MARKS = b",[{"


def at_most(text: bytes) -> int:
    """
    Return the most entries that a JSON text can have, in a pass at the speed of C: each but the first follows a mark.
    """
    return 1 + len(text) - len(text.translate(None, _MARKS))


def entries_of(value: object, enough: int) -> int:
    """Return how many entries a value of JSON's own types has; where it is more than `enough`, at least that."""
    count, rest = 1, [value]
    while rest and count <= enough:
        item = rest.pop()
        inner = item.values() if isinstance(item, Mapping) else item if isinstance(item, list | tuple) else ()
        count += len(inner)
        rest += [each for each in inner if isinstance(each, Mapping | list | tuple)]
    return count


def has_more(text: bytes, value: object, most: int) -> bool:
    """Return whether the value that was read from a text has more than `most` entries: each has two bytes at least."""
    return len(text) > 2 * most and entries_of(value, most) > most
