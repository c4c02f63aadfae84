"""
A command as written, with holes for values: checked when a document is loaded, bound to values when its step runs.

The line was split into flags and arguments while its holes were empty, so a value fills exactly one place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from kintsugi.commands.kinds import REFERENCE, TEXT, Kind, Shape
from kintsugi.commands.line import Line
from kintsugi.commands.problem import CommandProblem
from kintsugi.commands.results import columns, object_type
from kintsugi.commands.row import Argument, Bound, Flag, PutObject, Row
from kintsugi.commands.words import Hole, Word, Words
from kintsugi.errors import KintsugiError
from kintsugi.expressions import (
    ANY,
    BOOL,
    DOUBLE,
    DURATION,
    INT,
    STRING,
    TIMESTAMP,
    Expression,
    ExpressionProblem,
    ListOf,
    MapOf,
    Scope,
    Struct,
    Type,
)
from kintsugi.model.command import Command, Curl, Verb

_TEXTS = (STRING, INT, DOUBLE, BOOL, TIMESTAMP, DURATION)
_TAKES: Mapping[Shape, tuple[Type, ...]] = {
    "name": (STRING,),
    "integer": (INT,),
    "duration": (DURATION, STRING),
    "seconds": (DURATION, INT, DOUBLE),
    "url": (STRING,),
    "text": _TEXTS,
}
_SAMPLE_PIECE = "1"
"""A value inside a longer text that every place accepts: a name's end, a port, a label's value, a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One argument's place: its kind, and literal text and expressions in turn."""

    kind: Kind
    parts: tuple[str | Expression, ...]

    @property
    def alone(self) -> bool:
        """Tell whether a single value fills the place."""
        return len(self.parts) == 1 and isinstance(self.parts[0], Expression)

    def fill(self, value_of: Callable[[Expression], object]) -> Argument:
        """Put values in. Raises CommandProblem when one does not fit."""
        text, put = "", None
        for part in self.parts:
            if isinstance(part, str):
                text += part
                continue
            value = value_of(part)
            if isinstance(value, Mapping):
                put = _object(value)
            text += self._text(part, text, value)
        named = put is not None and put.name == text.rpartition("/")[2]  # web-${each} is another object than each
        return Argument(text=text, value=_converted(self.kind, text), kind=self.kind, object=put if named else None)

    def _text(self, part: Expression, before: str, value: object) -> str:
        try:
            return self.kind.put(before, value)
        except (ValueError, TypeError) as error:
            raise CommandProblem(f"${{{part.source}}}: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """
    A command with holes; satisfies `model.documents.CommandTemplate`.

    `waits` scales how long it waits, `vouched` are functions that its SQL may call besides those that all may.
    `sends`: it is a request that changes something, though others of its row only ask.
    """

    source: str
    row: Row
    flags: tuple[tuple[Flag, tuple[Place, ...]], ...]
    arguments: tuple[Place, ...]
    waits: float = 1.0
    vouched: frozenset[str] = frozenset()
    sends: bool = False

    @property
    def verb(self) -> Verb:
        """Give the words that start the command."""
        return self.row.verb

    @property
    def changes(self) -> bool:
        """Tell whether the command changes something (an action), or only looks (a probe)."""
        return self.row.changes or self.sends

    @property
    def reads(self) -> frozenset[str]:
        """Give the dotted paths that the values are read from."""
        places = (*self.arguments, *(place for _, given in self.flags for place in given))
        parts = (part for place in places for part in place.parts if isinstance(part, Expression))
        return frozenset[str]().union(*(part.reads for part in parts))

    def bind(self, names: Mapping[str, object], *, namespace: str) -> Command:
        """Put values in; `namespace` is where it runs without -n. Raises CommandError or EvaluationError."""
        return self._bound(lambda place: place.fill(lambda part: part.evaluate(names)), namespace)

    def sample(self, *, namespace: str = "sample") -> Command:
        """Bind plausible values: what is wrong with the command whatever its values shows at load. Raises CommandProblem."""
        return self._bound(self._filled_with_samples, namespace)

    def columns(self) -> Mapping[str, Type]:
        """Give the names that an expression sees afterwards, with their types."""
        unknown = bool(self.arguments) and self.arguments[0].alone and self.arguments[0].kind is REFERENCE
        return columns(self.sample(), self.row.result, (lambda _: ANY) if unknown else object_type)

    def _filled_with_samples(self, place: Place) -> Argument:
        whole = place.kind.sample
        if place.kind is REFERENCE and self.row.resources:
            whole = f"{self.row.resources[0].singular}/sample"
        return place.fill(lambda _: whole if place.alone else _SAMPLE_PIECE)

    def _bound(self, fill: Callable[[Place], Argument], namespace: str) -> Command:
        flags = {
            flag.key: self._value(flag, tuple(fill(place).value for place in places)) for flag, places in self.flags
        }
        arguments = tuple(fill(place) for place in self.arguments)
        bound = Bound(row=self.row, flags=flags, arguments=arguments, namespace=namespace, vouched=self.vouched)
        return self.row.build(bound)

    def _value(self, flag: Flag, values: tuple[object, ...]) -> object:
        match values:
            case ():
                return True
            case (timedelta() as wait,) if flag.waits:
                return wait * self.waits
            case _:
                return values if flag.many else values[0]


def template(
    words: Words,
    line: Line,
    scope: Scope,
    *,
    source: str,
    waits: float = 1.0,
    vouched: frozenset[str] = frozenset(),
) -> Template:
    """Make a template of a line that was read. Raises CommandProblem or ExpressionProblem, with offsets in the line."""

    def place(kind: Kind, text: str) -> Place:
        word = words.open(text)
        return Place(kind=kind, parts=tuple(_compiled(part, kind, word, scope) for part in word))

    made = Template(
        source=source,
        row=line.row,
        flags=tuple(
            (given.flag, tuple(place(given.flag.kind or TEXT, text) for text in given.texts)) for given in line.flags
        ),
        arguments=tuple(
            place(line.row.kind_at(position, words.open(text)), text) for position, text in enumerate(line.arguments)
        ),
        waits=waits,
        vouched=vouched,
    )
    sample = made.sample()
    return replace(made, sends=isinstance(sample, Curl) and sample.changes)


def _compiled(part: str | Hole, kind: Kind, word: Word, scope: Scope) -> str | Expression:
    if isinstance(part, str):
        return part
    try:
        expression = scope.expression(part.source, result=ANY)
    except ExpressionProblem as problem:
        raise problem.moved(part.offset) from problem
    takes = _TAKES[kind.shape] if len(word) == 1 else _TEXTS
    objects_too = kind.shape == "name"
    given = expression.result
    if given in takes or given == ANY or (objects_too and isinstance(given, Struct | MapOf)):
        return expression
    hint = ": use for_each to do the step for each item" if isinstance(given, ListOf) else ""
    raise CommandProblem(f"${{{part.source}}} gives a {given}, but {kind.word} stands here{hint}", offset=part.offset)


def _converted(kind: Kind, text: str) -> object:
    try:
        return kind.convert(text)
    except (ValueError, KintsugiError) as error:
        raise CommandProblem(str(error)) from error


def _object(value: Mapping[str, object]) -> PutObject:
    metadata = value.get("metadata")
    of = metadata if isinstance(metadata, Mapping) else value
    kind, name, namespace, uid = value.get("kind"), of.get("name"), of.get("namespace"), of.get("uid")
    return PutObject(kind=str(kind or ""), name=str(name or ""), namespace=str(namespace or ""), uid=str(uid or ""))
