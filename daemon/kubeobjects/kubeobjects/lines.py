"""
Foreign text in ours: one printable line each, and texts of several lines that only `lines` makes.

What a container, a server or an annotation says reaches people only inside a line. So nobody else can begin a section of
a notice, steer a terminal, or turn the direction of a text.
"""

from collections.abc import Iterable
from typing import NewType

LONGEST = 10_000
"""Characters of a line: several foreign sentences with our own around them."""

LONGEST_QUOTE = 600
"""Characters that are quoted of a stranger."""

Line = NewType("Line", str)
"""A text without line breaks and other characters that are not to be seen; only this module makes one."""


class Lines(str):
    """A text of several lines, each of them a `Line`: any other text counts as one line where it is kept or sent."""

    __slots__ = ()


def printable(text: str) -> str:
    """Escape what is not to be seen: line ends, controls of a terminal, marks that turn the direction of text."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def line(text: str, longest: int = LONGEST) -> Line:
    """Return a text in one printable line, cut where it is too long."""
    shown = printable(" ".join(text.splitlines()))
    return Line(shown if len(shown) <= longest else f"{shown[: longest - 1]}…")


def counted(count: int, what: str) -> str:
    """Return a number with its noun, which is in the plural unless it is one."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def quoted(text: str) -> str:
    """Return the words of a stranger between quotation marks, which they cannot end."""
    said = " ".join(text.split()).replace('"', "'")
    return f'"{line(said, LONGEST_QUOTE)}"'


def command(text: str) -> Line:
    """
    Return a command for a shell in one line; a cut one would be another, so one that is too long is only mentioned.

    Characters that are not to be seen stand in single quotes, as `shlex` writes them, and become `$'…'` of the shell.
    """
    shown = "".join(letter if letter.isprintable() else f"'$'{_shell(letter)}''" for letter in text)
    return Line(shown if len(shown) <= LONGEST else f"# a command of {len(shown):,} characters, too long to be shown")


def lines(each: Iterable[Line]) -> Lines:
    """Make a text of several lines."""
    return Lines("\n".join(each))


def _shell(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
