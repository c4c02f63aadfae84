"""
Regular expressions that take time in proportion to the text, whatever it is: RE2's, as in Alertmanager and in CEL.

The only place that speaks to RE2. It has no backreferences and no lookaround, and never goes back.
"""

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Any

import re2

MOST_CHARACTERS = 1000
"""The longest expression."""

MOST_INSTRUCTIONS = 2500
"""
Of one compiled expression. Each character of a text may cost as many steps: at this size the worst text of 64 KiB took a
quarter of a second, an ordinary expression less than a hundredth of that.
"""

_BACKREFERENCES = tuple(f"invalid escape sequence: \\{digit}" for digit in "123456789")
_NOT_THERE = {
    "invalid perl operator: (?=": "RE2 does not look ahead",
    "invalid perl operator: (?!": "RE2 does not look ahead",
    "invalid perl operator: (?<": "RE2 does not look behind",
    "invalid perl operator: (?P": "RE2 refers back to no group",
    "invalid escape sequence: \\Z": r"the end of the text is \z",
    **dict.fromkeys(_BACKREFERENCES, "RE2 refers back to no group"),
}
"""RE2's messages about features of other dialects, by their beginnings, each with our explanation."""


class Regex:
    """One compiled expression. Raises ValueError, which says what is wrong, when RE2 cannot take it."""

    __slots__ = ("_compiled",)

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MOST_CHARACTERS:
            raise ValueError(f"the regular expression has {len(pattern)} characters, more than {MOST_CHARACTERS}")
        self._compiled = _compile(pattern)
        size = self._compiled.programsize
        if size > MOST_INSTRUCTIONS:
            raise ValueError(
                f"{pattern!r} is too large: written out, its repetitions take {size} steps, more than {MOST_INSTRUCTIONS}"
            )

    def searches(self, text: str) -> bool:
        """Return whether the expression matches somewhere in the text."""
        return self._compiled.search(_encoded(text)) is not None

    def matches(self, text: str) -> bool:
        """Return whether the expression matches the whole text."""
        return self._compiled.fullmatch(_encoded(text)) is not None


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Regex:
    """Compile an expression once. Raises ValueError as `Regex` does."""
    return Regex(pattern)


class AnyOf:
    """
    Asks in one go whether one of several expressions, each of which is good for itself, matches somewhere in a text.

    Where they are too large together, every text may match.
    """

    __slots__ = ("_compiled",)

    def __init__(self, patterns: Iterable[str]) -> None:
        try:
            self._compiled = _compile("|".join(f"(?:{pattern})" for pattern in patterns))
        except ValueError:
            self._compiled = None

    def may_search(self, text: str) -> bool:
        """Return False when none of the expressions matches anywhere in the text."""
        return self._compiled is None or self._compiled.search(_encoded(text)) is not None


class Substitutions:
    """
    Replaces what expressions match, one expression after the other.

    Each is a pair of expression and replacement, in which `\\1` to `\\9` are groups. The expressions are ours: their
    length and size are not limited. They are compiled for the first text, which raises ValueError when RE2 cannot take one.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = tuple(pairs)

    @cached_property
    def _each(self) -> tuple[tuple[Any, tuple[bytes | int, ...]], ...]:
        return tuple((_compile(pattern, capture=True), _parts(replacement)) for pattern, replacement in self._pairs)

    @cached_property
    def _any(self) -> AnyOf:
        return AnyOf(pattern for pattern, _ in self._pairs)

    def may_apply(self, text: str) -> bool:
        """Return False when nothing in a text would be replaced."""
        return self._any.may_search(text)

    def apply(self, text: str) -> str:
        """Return the text with everything replaced; where nothing is, the very same."""
        if not self._any.may_search(text):
            return text
        before = after = _encoded(text)
        for compiled, parts in self._each:
            after = _replaced(compiled, parts, after)
        return text if after is before else after.decode()


def _parts(replacement: str) -> tuple[bytes | int, ...]:
    """Split a replacement into texts and the numbers of groups."""
    pieces = re.split(r"\\([1-9])", replacement)
    return tuple(int(piece) if place % 2 else piece.encode() for place, piece in enumerate(pieces) if piece)


def _replaced(compiled: Any, parts: Iterable[bytes | int], text: bytes) -> bytes:
    """Replace every match; without one, return the same bytes."""
    kept: list[bytes] = []
    end = 0
    for match in compiled.finditer(text):
        kept.append(text[end : match.start()])
        kept += (part if isinstance(part, bytes) else match[part] or b"" for part in parts)
        end = match.end()
    return b"".join([*kept, text[end:]]) if kept else text


def literally(text: str) -> str:
    """Return the expression that matches this text and no other."""
    escaped: str = re2.escape(text)
    return escaped


def _compile(pattern: str, *, capture: bool = False) -> Any:
    options = re2.Options()
    options.never_capture = not capture
    options.log_errors = False  # it would write them to stderr
    try:
        return re2.compile(pattern, options)
    except UnicodeEncodeError as error:
        raise ValueError(f"{pattern!r} is not a regular expression: it holds half a surrogate pair") from error
    except re2.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression (RE2): {_in_words(error)}") from error


def _encoded(text: str) -> bytes:
    """Encode for RE2; half a surrogate pair, which is no character, becomes a question mark."""
    return text.encode("utf-8", "replace")


def _in_words(error: Exception) -> str:
    """Return what RE2 says, and what it does not have where that is why."""
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    why = next((why for start, why in _NOT_THERE.items() if text.startswith(start)), "")
    return f"{text}; {why}" if why else text
