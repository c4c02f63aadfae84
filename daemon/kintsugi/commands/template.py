"""
A command as written, with holes for values: checked when a document is loaded, bound to values when its step runs.

The line was split into flags and arguments while its holes were empty, so a value fills exactly one place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from kintsugi.commands.arg_types import REFERENCE, TEXT, ArgType, Shape
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import Argument, CommandSpec, Flag, ObjectArg, ParsedCommand
from kintsugi.commands.line import read
from kintsugi.commands.registry import definition_of
from kintsugi.commands.results import ObjectType, object_type
from kintsugi.commands.tokens import Placeholder, Tokens, Word, split
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
from kintsugi.model.command import Command

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
class ArgTemplate:
    """One argument's place: its kind, and literal text and expressions in turn."""

    kind: ArgType
    parts: tuple[str | Expression, ...]

    @property
    def alone(self) -> bool:
        """Return whether a single value fills the place."""
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
class ParsedTemplate:
    """
    A command with holes; satisfies `model.runbooks.CommandTemplate`.

    `waits` scales how long it waits, `allowed_functions` are functions that its SQL may call besides those that all may.
    `sends`: it is a request that changes something, though others of its row only ask. `removes`, `starts`, `replaces_data`: it makes
    objects go, starts what is scaled to 0, puts other data in the place of a service's. `changed_by` returns the command that takes
    the place of the one that was written.
    """

    source: str
    spec: CommandSpec
    flags: tuple[tuple[Flag, tuple[ArgTemplate, ...]], ...]
    arguments: tuple[ArgTemplate, ...]
    waits: float = 1.0
    allowed_functions: frozenset[str] = frozenset()
    sends: bool = False
    removes: bool = False
    starts: bool = False
    replaces_data: bool = False
    changed_by: Callable[[Command], Command] = lambda command: command

    @property
    def verb(self) -> str:
        """Return the words that start the command."""
        return self.spec.verb

    @property
    def changes(self) -> bool:
        """Return whether the command changes something (an action), or only looks (a probe)."""
        return self.spec.changes or self.sends

    @property
    def reads(self) -> frozenset[str]:
        """Return the dotted paths that the values are read from."""
        return frozenset[str]().union(*(part.reads for part in self._expressions()))

    @property
    def variables(self) -> frozenset[str]:
        """Return the names whose values are read."""
        return frozenset[str]().union(*(part.variables for part in self._expressions()))

    def bind(self, names: Mapping[str, object], *, namespace: str) -> Command:
        """Put values in; `namespace` is where it runs without -n. Raises CommandError or EvaluationError."""
        return self._bound(lambda place: place.fill(lambda part: part.evaluate(names)), namespace)

    def sample(self, *, namespace: str = "sample") -> Command:
        """Bind plausible values: what is wrong with the command whatever its values shows at load. Raises CommandProblem."""
        return self._bound(self._filled_with_samples, namespace, sampled=True)

    def then(self, change: Callable[[Command], Command]) -> "ParsedTemplate":
        """Return a template by which `change` is made to each command once its values are put in."""
        return replace(self, changed_by=change)

    def columns(self) -> Mapping[str, Type]:
        """Return the names that an expression sees afterwards, with their types."""
        unknown = bool(self.arguments) and self.arguments[0].alone and self.arguments[0].kind is REFERENCE
        type_of: ObjectType = (lambda _: ANY) if unknown else object_type
        sample = self.sample()
        return {**self.spec.result, **definition_of(sample).columns(sample, type_of)}

    def _expressions(self) -> Iterator[Expression]:
        places = (*self.arguments, *(place for _, given in self.flags for place in given))
        return (part for place in places for part in place.parts if isinstance(part, Expression))

    def _filled_with_samples(self, place: ArgTemplate) -> Argument:
        whole = place.kind.sample
        if place.kind is REFERENCE and self.spec.resources:
            whole = f"{self.spec.resources[0].singular}/sample"
        return place.fill(lambda _: whole if place.alone else _SAMPLE_PIECE)

    def _bound(self, fill: Callable[[ArgTemplate], Argument], namespace: str, *, sampled: bool = False) -> Command:
        flags = {
            flag.key: self._value(flag, tuple(fill(place).value for place in places)) for flag, places in self.flags
        }
        arguments = tuple(fill(place) for place in self.arguments)
        parsed = ParsedCommand(
            spec=self.spec,
            flags=flags,
            arguments=arguments,
            namespace=namespace,
            allowed_functions=self.allowed_functions,
            sampled=sampled and bool(self.variables),
        )
        return self.changed_by(self.spec.build(parsed))

    def _value(self, flag: Flag, values: tuple[object, ...]) -> object:
        match values:
            case ():
                return True
            case (timedelta() as wait,) if flag.waits:
                return wait * self.waits
            case _:
                return values if flag.many else values[0]


def _template(
    tokens: Tokens, scope: Scope, *, source: str, waits: float = 1.0, allowed_functions: frozenset[str] = frozenset()
) -> ParsedTemplate:
    line = read(tokens)

    def place(kind: ArgType, text: str) -> ArgTemplate:
        word = tokens.open(text)
        return ArgTemplate(kind=kind, parts=tuple(_compiled(part, kind, word, scope) for part in word))

    made = ParsedTemplate(
        source=source,
        spec=line.spec,
        flags=tuple((flag, tuple(place(flag.kind or TEXT, text) for text in texts)) for flag, texts in line.flags),
        arguments=tuple(
            place(line.spec.kind_at(position, tokens.open(text)), text) for position, text in enumerate(line.arguments)
        ),
        waits=waits,
        allowed_functions=allowed_functions,
    )
    sample = made.sample()
    verb = definition_of(sample)
    return replace(
        made,
        sends=verb.sends(sample),
        removes=verb.removes,
        starts=verb.starts(sample),
        replaces_data=verb.replaces_data(sample),
    )


def _compiled(part: str | Placeholder, kind: ArgType, word: Word, scope: Scope) -> str | Expression:
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
    hint = ": use forEach to do the step for each item" if isinstance(given, ListOf) else ""
    raise CommandProblem(
        f"${{{part.source}}} gives a {given}, but {kind.word} is required here{hint}", offset=part.offset
    )


def _converted(kind: ArgType, text: str) -> object:
    try:
        return kind.convert(text)
    except (ValueError, KintsugiError) as error:
        raise CommandProblem(str(error)) from error


def _object(value: Mapping[str, object]) -> ObjectArg:
    metadata = value.get("metadata")
    of = metadata if isinstance(metadata, Mapping) else value
    kind, name, namespace, uid = value.get("kind"), of.get("name"), of.get("namespace"), of.get("uid")
    group = str(version).rpartition("/")[0] if (version := value.get("apiVersion")) else None
    return ObjectArg(
        kind=str(kind or ""), group=group, name=str(name or ""), namespace=str(namespace or ""), uid=str(uid or "")
    )


def parse(line: str, *, namespace: str = "") -> Command:
    """Parse a command without holes; `namespace` is where it runs without -n. Raises CommandError."""
    return _without_values(line, split(line), namespace)


def parse_argv(argv: Sequence[str], *, namespace: str = "") -> Command:
    """Parse a command whose words are apart already: nothing in them is syntax. Raises CommandError."""
    if not argv:
        raise CommandProblem("the command is empty")
    return _without_values(" ".join(argv), Tokens(texts=tuple(argv), placeholders=()), namespace)


def parse_template(
    line: str, scope: Scope, *, waits: float = 1.0, allowed_functions: frozenset[str] = frozenset()
) -> ParsedTemplate:
    """
    Parse a command with `${…}` holes, as a runbook has it, in the scope of its step.

    `waits` scales how long it waits (`--timeout`); `allowed_functions` are functions that its SQL may call besides those that all
    may. Raises CommandProblem or ExpressionProblem; their offsets count from the start of the line.
    """
    return _template(split(line), scope, source=line, waits=waits, allowed_functions=allowed_functions)


def _without_values(line: str, tokens: Tokens, namespace: str) -> Command:
    if tokens.placeholders:
        raise CommandProblem("there are no values to put in here", offset=tokens.placeholders[0].offset)
    return _template(tokens, Scope(names={}), source=line).bind({}, namespace=namespace)
