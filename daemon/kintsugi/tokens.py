"""
Reads files of bearer tokens: the tokens, their owners, and the problems of each line.

The settings refuse a wrong file at the start, the server keeps its last tokens while one is wrong, and the command line
finds its own token in one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kintsugi.errors import ProbeFailed

SHORTEST = 16
"""The shortest token in characters: a shorter one can be guessed, or is a forgotten placeholder."""

_NAME = re.compile(r"[a-z0-9._-]{1,100}")
_TOKEN = re.compile(rb"[!-~]+")
_NAMED = "write NAME:TOKEN, the name of lower-case letters, digits and ._- (a token without a name holds no colon)"
_MADE = f"at least {SHORTEST} characters, as `openssl rand -hex 32` makes them"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenLine:
    """One token and the name of its holder, "" where it has no particular one."""

    token: bytes
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenText:
    """All tokens of a file, and a sentence for each thing that is wrong; a sentence never holds a token."""

    lines: tuple[TokenLine, ...]
    problems: tuple[str, ...]


def is_name(text: str) -> bool:
    """Return whether this can be a person's name, in a file of tokens or in a request with a bare token."""
    return _NAME.fullmatch(text) is not None


def read_tokens(content: bytes, *, named: bool) -> TokenText:
    """
    Read a file of tokens, one a line; blank lines and those that begin with `#` say nothing.

    Where `named` allows it the first colon of a line parts a name from its token; else a colon is part of the token.
    """
    found: list[TokenLine] = []
    problems: list[str] = []
    owners: dict[bytes, tuple[str, int]] = {}
    for number, line in spoken_lines(content):
        one = _line(line, named=named)
        problem = _problem(one, owners) if isinstance(one, TokenLine) else one
        if problem:
            problems.append(f"line {number}: {problem}")
        elif isinstance(one, TokenLine):
            owners.setdefault(one.token, (one.name, number))
            found.append(one)
    if not found and not problems:
        problems.append(f"there is no token in it: write one a line, {_MADE}")
    return TokenText(lines=tuple(found), problems=tuple(problems))


def read_bearer(file: Path) -> str:
    """
    Read the one token of a file with which we ask somebody else, as it is now.

    Raises ProbeFailed, with a sentence that does not hold it, for a file that cannot be read or holds anything but one word.
    """
    try:
        token = file.read_bytes().strip()
    except OSError as error:
        raise ProbeFailed(f"the token file {file} cannot be read: {error.strerror or error}") from error
    if not _TOKEN.fullmatch(token):
        raise ProbeFailed(f"{file} does not hold a token: write one word of plain letters, digits and signs into it")
    return token.decode("ascii")


def spoken_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Go through the lines that say something, with their numbers."""
    for number, line in enumerate(content.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(b"#"):
            yield number, stripped


def _line(line: bytes, *, named: bool) -> TokenLine | str:
    """Take one line apart, or say why that cannot be done."""
    name, colon, token = line.partition(b":")
    if not (named and colon):
        return TokenLine(token=line)
    text = name.decode("utf-8", "replace")
    return (
        TokenLine(token=token, name=text) if is_name(text) else f"what stands before the colon is not a name: {_NAMED}"
    )


def _problem(one: TokenLine, owners: dict[bytes, tuple[str, int]]) -> str:
    """Return what is wrong with a token, "" when nothing is."""
    if not one.token:
        return f"the token is empty: write {_MADE}"
    if not _TOKEN.fullmatch(one.token):
        return f"the token holds a blank, or what is no plain letter, digit or sign: write one word of {_MADE}"
    if len(one.token) < SHORTEST:
        return f"the token is too short: write {_MADE}"
    name, number = owners.get(one.token, (one.name, 0))
    return "" if name == one.name else f"the token stands in line {number} under another name: give each their own"
