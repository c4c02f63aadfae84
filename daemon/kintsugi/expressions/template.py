"""
Text with `${…}` holes, each an expression.

`$${` is a literal `${`. A template that is a single hole keeps the type of its value: `${params.replicas}` is a number,
`${each}` an object with its uid.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kintsugi.durations import format_duration
from kintsugi.errors import EvaluationError
from kintsugi.expressions.bindings import Bindings
from kintsugi.expressions.expression import Expression, compile_expression
from kintsugi.expressions.problems import ExpressionProblem
from kintsugi.expressions.types import ANY, BOOL, Type
from kubeobjects.predicates import START_UP_ALLOWANCE

_OPENING, _ESCAPED = "${", "$${"


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTemplate:
    """A text (`source`, as written), split into its literal parts and its expressions."""

    source: str
    parts: tuple[str | Expression, ...]

    @property
    def placeholders(self) -> tuple[Expression, ...]:
        """Return the expressions, in the order of the text."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def reads(self) -> frozenset[str]:
        """Return the dotted paths that the holes read."""
        return frozenset[str]().union(*(placeholder.reads for placeholder in self.placeholders))

    @property
    def variables(self) -> frozenset[str]:
        """Return the names whose values the holes read."""
        return frozenset[str]().union(*(placeholder.variables for placeholder in self.placeholders))

    def evaluate(self, names: Mapping[str, object]) -> object:
        """
        Put the values in. One hole and nothing else gives the value itself, anything else a string.

        Raises EvaluationError when a hole has no answer, or one that no text can be made of (a list, null).
        """
        bindings = names if isinstance(names, Bindings) else Bindings(names)
        match self.parts:
            case [Expression() as placeholder]:
                return placeholder.evaluate(bindings)
            case _:
                return "".join(self._text(part, bindings) for part in self.parts)

    @staticmethod
    def _text(part: str | Expression, names: Bindings) -> str:
        if isinstance(part, str):
            return part
        value = part.evaluate(names)
        if isinstance(value, timedelta) and abs(value) >= timedelta(minutes=1):
            value = timedelta(seconds=round(value.total_seconds()))  # nobody reads the fractions of it
        try:
            return format_value(value)
        except ValueError as error:
            raise EvaluationError(f"{part.source}: {error}") from error


def placeholders_in(source: str) -> list[tuple[int, int]]:
    """
    Find where the holes of a text start (at their `$`) and end (behind their `}`).

    Raises ExpressionProblem for a hole that is not closed.
    """
    found: list[tuple[int, int]] = []
    at = 0
    while (start := source.find("$", at)) >= 0:
        if source.startswith(_ESCAPED, start):
            at = start + len(_ESCAPED)
        elif source.startswith(_OPENING, start):
            at = _closing(source, start) + 1
            found.append((start, at))
        else:
            at = start + 1
    return found


def format_value(value: object) -> str:
    """
    Return a value in a text: durations as 1h30m, times in RFC 3339, an object by its name.

    Raises ValueError for a list, null, or a map without a name.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
        case timedelta():
            return ("-" if value < timedelta(0) else "") + format_duration(abs(value))
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case {"metadata": {"name": str(name)}} | {"name": str(name)}:
            return name
        case None:
            raise ValueError("null cannot be put into a text")
        case _:
            raise ValueError(f"a {type(value).__name__} cannot be put into a text")


def _pieces(source: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (offset, text, whether it is a hole) from left to right, without empty texts."""
    at = 0
    for start, end in [*placeholders_in(source), (len(source), len(source))]:
        text = source[at:start].replace(_ESCAPED, _OPENING)
        if text:
            yield at, text, False
        if start < end:
            yield start + len(_OPENING), source[start + len(_OPENING) : end - 1], True
        at = end


def _closing(source: str, start: int) -> int:
    """Find the brace that closes the hole at `start`, past braces and strings of the expression."""
    depth, quote, at = 0, "", start + 1
    while at < len(source):
        letter = source[at]
        if quote:
            at += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "{":
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise ExpressionProblem(
        "`${` is not closed", offset=start, suggestion="close it with }, or write $${ for a plain ${"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """
    Names that the expressions of one place may use; they may leave out the prefix `container`.

    `start_up` is what a pod may take to become ready before it counts as unhealthy.
    """

    names: Mapping[str, Type]
    start_up: timedelta = START_UP_ALLOWANCE
    container: str = ""

    def expression(self, source: str, *, result: Type = BOOL) -> Expression:
        """Compile an expression of this place; raises ExpressionProblem."""
        return compile_expression(
            source, names=self.names, result=result, start_up=self.start_up, container=self.container
        )

    def template(self, source: str) -> TextTemplate:
        """Compile a text with holes; raises ExpressionProblem with an offset into `source`."""
        parts: list[str | Expression] = []
        for offset, text, is_hole in _pieces(source):
            if not is_hole:
                parts.append(text)
                continue
            if not text.strip():
                raise ExpressionProblem("there is nothing between ${ and }", offset=offset)
            try:
                parts.append(self.expression(text, result=ANY))
            except ExpressionProblem as problem:
                raise problem.moved(offset) from problem
        return TextTemplate(source=source, parts=tuple(parts))
