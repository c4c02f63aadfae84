"""
Splits a statement of SQL into PostgreSQL's own tokens, for the checks of `sql`.

A text that could be read in two ways is refused, so that the checks and the server read the same: a backslash, a `$`, a
prefix of a quotation mark (`E'…'`, `U&"…"`), a character outside of ASCII that is not quoted.
"""

import re
from dataclasses import dataclass

DEEPEST = 32
"""The deepest nesting of brackets: no query needs more, and a parser recurses for each."""
DEEPEST_LISTS = 6
"""So many of them may be square: sqlglot needs three times as long for each more of these (0.3 s at 12)."""

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n\f\v]+)
    | (?P<note>--[^\r\n]*)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    | (?P<mark>::|[-()\[\],.;:+*/<>=~!@\#%^&|?])""",
    re.VERBOSE,
)
_BLOCK = re.compile(r"/\*|\*/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """
    One token. `kind` is the name of its group above.

    `word` is what it means: a name in lower case unless it is quoted, as the server takes it; else its text.
    """

    kind: str
    text: str
    word: str

    def is_mark(self, text: str) -> bool:
        """Return whether the token is this mark."""
        return self.kind == "mark" and self.text == text

    def is_word(self, word: str) -> bool:
        """Return whether the token is this key word, which is never quoted."""
        return self.kind == "name" and self.word == word

    @property
    def is_name(self) -> bool:
        """Return whether the token names something."""
        return self.kind in ("name", "quoted")


def tokens_of(statement: str) -> tuple[Token, ...]:
    """Read the tokens of a statement; comments are blanks. Raises ValueError for what could be read in two ways."""
    found: list[Token] = []
    position = 0
    while position < len(statement):
        if statement.startswith("/*", position):
            position = _end_of_block(statement, position)
            found.append(Token(kind="blank", text=" ", word=" "))
            continue
        match = _TOKEN.match(statement, position)
        if match is None:
            raise ValueError(
                f"{statement[position : position + 20]!r} is not understood in SQL{_advice(statement[position])}"
            )
        found.append(_token(match))
        _check_beside(found)
        position = match.end()
    _check_depth(found)
    return tuple(found)


def _token(match: re.Match[str]) -> Token:
    kind, text = match.lastgroup or "", match.group()
    match kind:
        case "note":
            return Token(kind="blank", text=" ", word=" ")
        case "name":
            return Token(kind=kind, text=text, word=text.lower())
        case "quoted":
            return Token(kind=kind, text=text, word=text[1:-1].replace('""', '"'))
        case _:
            return Token(kind=kind, text=text, word=text)


def _check_beside(found: list[Token]) -> None:
    """Refuse a name that touches a quotation mark or a number: servers of different age read it in different ways."""
    if len(found) < 2:
        return
    before, token = found[-2], found[-1]
    prefix = token.kind in ("text", "quoted") and (before.kind in ("name", "number") or _is_unicode(found))
    if prefix or (token.kind == "name" and before.kind == "number"):
        raise ValueError(
            f"{before.text + token.text!r} is not understood in SQL: write a blank between, without a prefix"
        )


def _is_unicode(found: list[Token]) -> bool:
    """Return whether a quotation mark follows `U&`, after which every character can be written in another way."""
    return len(found) > 2 and found[-2].is_mark("&") and found[-3].is_word("u")


def _check_depth(found: list[Token]) -> None:
    for opening, closing, most in (("(", ")", DEEPEST), ("[", "]", DEEPEST_LISTS)):
        depth = 0
        for token in found:
            depth += token.is_mark(opening) - token.is_mark(closing)
            if depth > most:
                raise ValueError(f"more than {most} brackets {opening}{closing} are nested")


def _end_of_block(statement: str, start: int) -> int:
    """Find the end of a comment; in PostgreSQL comments are nested."""
    depth = 0
    for found in _BLOCK.finditer(statement, start):
        depth += 1 if found.group() == "/*" else -1
        if depth == 0:
            return found.end()
    raise ValueError("a comment (/*) is not closed in SQL")


def _advice(character: str) -> str:
    match character:
        case "\\":
            return ": a backslash (psql's own commands, and escapes) is not executed"
        case "$":
            return ": a dollar sign is allowed only in single quotes"
        case "'" | '"':
            return ": a quotation mark is not closed, or names nothing"
        case _:
            return ": it is allowed only in quotes"
