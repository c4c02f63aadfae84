"""Puts plain CEL in the place of function calls, in the text of an expression that has passed its check."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kintsugi.expressions.function import Function

_TOKEN = re.compile(
    r"""
    [bB]?[rR][bB]?(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')           # a raw string
    | [bB]?(?:\"{3}(?:\\.|.)*?\"{3}|'{3}(?:\\.|.)*?'{3})                      # a string over several lines
    | [bB]?(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')                            # a string
    | //[^\n]* | \s+ | [A-Za-z_]\w* | .
    """,
    re.DOTALL | re.VERBOSE,
)
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


def expand(source: str, functions: Mapping[str, Function]) -> str:
    """Replace every call of one of `functions`, innermost first. The text must be an expression that compiles."""
    return _Expansion(_TOKEN.findall(source), functions).until_closed()


@dataclass
class _Expansion:
    """Walks over the tokens once, from left to right."""

    tokens: list[str]
    functions: Mapping[str, Function]
    at: int = 0

    def until_closed(self) -> str:
        """Return the text up to a bracket that closes or a comma that parts, both left where they are."""
        done: list[str] = []
        before = ""
        while self.at < len(self.tokens):
            piece = self.tokens[self.at]
            if piece in _CLOSING or piece == ",":
                break
            self.at += 1
            if piece in _OPENING:
                done += [piece, *self._inside(), self._closing()]
            elif piece in self.functions and before != "." and self._next() == "(":
                done.append(self._replaced(self.functions[piece]))
            else:
                done.append(piece)
            before = before if piece.isspace() else piece
        return "".join(done)

    def _inside(self) -> Iterator[str]:
        yield self.until_closed()
        while self.at < len(self.tokens) and self.tokens[self.at] == ",":
            self.at += 1
            yield ","
            yield self.until_closed()

    def _closing(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def _next(self) -> str:
        return next((piece for piece in self.tokens[self.at :] if not piece.isspace()), "")

    def _replaced(self, function: Function) -> str:
        self.at = self.tokens.index("(", self.at) + 1
        arguments = [text for text in self._inside() if text != ","]
        self._closing()
        return "(" + function.runs.format(*(f"({argument})" for argument in arguments)) + ")"
