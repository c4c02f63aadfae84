"""
Limits of JSON: how deep it is nested, and how many entries it has.

Depth is measured before JSON is parsed: parsers recurse, this module does not. Each value counts as one entry, whatever its
size: the memory that a text takes once it is decoded grows with the entries, and so does the time of an expression that reads it.
"""

from collections.abc import Mapping

DEEPEST = 32
"""Levels that are let through. A webhook of Alertmanager has 4."""

DEEPEST_ANSWER = 64
"""Levels of an answer. A Kubernetes object has 20 at most, and reading a result back recurses once more a level."""

_SMALL = 16 * 1024
"""Bytes up to which counting the opening brackets is cheaper than finding their places."""

_BRACES = bytes.maketrans(b"[]", b"{}")
_OTHERS = bytes(set(range(256)) - set(b'{}[]"'))

MOST_IN_OBJECT = 32_768
"""Entries of one object that is asked for by name. A Deployment of a hundred containers has about 10,000 with `managedFields`."""

MOST_IN_ANSWER = 65_536
"""Entries of all that one look answers with: of usual pods some 350, of Events 2,500."""

MOST_OBJECTS = 4_096
"""Objects that one look answers with."""

MOST_LINES = 16_384
"""Lines of a program's output, or of all logs together, that one look answers with: of usual lines more than a mebibyte."""

_MARKS = b",[{"


def is_too_deep(text: bytes, deepest: int = DEEPEST) -> bool:
    """
    Return whether JSON is nested deeper than `deepest` levels or its brackets do not match.

    Exact for valid JSON, and made of a few passes at the speed of C, which together cost less than the parse. Of text
    that is no JSON it may say either; that is refused by the parser.
    """
    if len(text) <= _SMALL and text.count(b"{") + text.count(b"[") <= deepest:
        return False
    # Without its pairs a run of backslashes leaves one before a quote exactly where that quote does not end the string.
    unescaped = text.replace(rb"\\", b"").replace(rb"\"", b"")
    # Taking out pairs of neighbouring quotes keeps the parity of those before each bracket, hence who is in a string.
    marks = unescaped.translate(_BRACES, _OTHERS).replace(b'""', b"")
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(deepest):
        if not brackets:
            return False
        # One pass takes exactly the innermost level: what it leaves behind only meets in the next.
        brackets = brackets.replace(b"{}", b"")
    return bool(brackets)


def max_entries(text: bytes) -> int:
    """Return the most entries that a JSON text can have, at the speed of C: each but the first follows a mark."""
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
