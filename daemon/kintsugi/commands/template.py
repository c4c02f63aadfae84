"""
A command as written, with holes for values: checked when a document is loaded, bound to values when its step runs.

The line was split into flags and arguments while its holes were empty, so a value fills exactly one place.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from kintsugi.commands.arg_types import NAME, REFERENCE, TEXT, ArgType, Shape
from kintsugi.commands.command_problem import CommandProblem, NoCommandProblem
from kintsugi.commands.command_spec import Argument, CommandSpec, Flag, ObjectArg, ParsedCommand
from kintsugi.commands.left_open import OF_A_SHELL, LeftOpen, LeftOpenProblem, parameter_name, phrase, pieces, type_for
from kintsugi.commands.line import check_verb, read
from kintsugi.commands.registry import definition_of
from kintsugi.commands.results import ObjectType, object_type
from kintsugi.commands.tokens import Placeholder, ShellProblem, Tokens, Word, split
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
from kubeobjects.discovery import find_any

_TEXTS = (STRING, INT, DOUBLE, BOOL, TIMESTAMP, DURATION)
_TAKES: Mapping[Shape, tuple[Type, ...]] = {
    "name": (STRING,),
    "integer": (INT,),
    "duration": (DURATION, STRING),
    "seconds": (DURATION, INT, DOUBLE),
    "url": (STRING,),
    "text": _TEXTS,
}
_DESCRIPTOR = re.compile(r"(?<=\s)[\d&]$")
_OPEN = Scope(names={"params": ANY})
_SAMPLE_PIECE = "1"
"""A value inside a longer text that every place accepts: a name's end, a port, a label's value, a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArgTemplate:
    """One argument's place: where it is, its kind, and literal text and expressions in turn."""

    place: str
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
        return Argument(text=text, value=self._converted(text), kind=self.kind, object=put if named else None)

    def sampled(self, spec: CommandSpec | None) -> Argument:
        """Put plausible values in. Raises CommandProblem."""
        whole = self.kind.sample
        if self.kind is REFERENCE and spec is not None and spec.resources:
            whole = f"{spec.resources[0].singular}/sample"
        return self.fill(lambda _: whole if self.alone else _SAMPLE_PIECE)

    def _text(self, part: Expression, before: str, value: object) -> str:
        try:
            return self.kind.put(before, value)
        except (ValueError, TypeError) as error:
            raise CommandProblem(f"{self.place}: ${{{part.source}}}: {error}") from error

    def _converted(self, text: str) -> object:
        try:
            return self.kind.convert(text)
        except (ValueError, KintsugiError) as error:
            raise CommandProblem(f"{self.place}: {error}") from error


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
        return self._bound(lambda place: place.sampled(self.spec), namespace, sampled=True)

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
    tokens: Tokens,
    scope: Scope,
    *,
    source: str,
    waits: float = 1.0,
    allowed_functions: frozenset[str] = frozenset(),
    takes_parameters: bool = True,
) -> ParsedTemplate:
    places = _Places(tokens=tokens, scope=scope, source=source, takes_parameters=takes_parameters)
    try:
        line = read(tokens)
        places.spec, places.several = line.spec, sum("=" not in each for each in line.arguments) > 1
        made = ParsedTemplate(
            source=source,
            spec=line.spec,
            flags=tuple(
                (flag, tuple(places.take(flag.kind or TEXT, text, flag.names[-1]) for text in texts))
                for flag, texts in line.flags
            ),
            arguments=tuple(
                places.take(line.spec.kind_at(at, tokens.open(text)), text, f"argument {at + 1}", at)
                for at, text in enumerate(line.arguments)
            ),
            waits=waits,
            allowed_functions=allowed_functions,
        )
        places.unread = False
        if line.problem is not None:
            raise line.problem
        sample = made.sample()
    except (CommandProblem, ExpressionProblem) as problem:
        raise places.with_left_open(problem) from problem
    places.unread = True
    if left := places.left_open():
        raise LeftOpenProblem(f"{line.spec.verb}: {places.phrase()}", left)
    verb = definition_of(sample)
    return replace(
        made,
        sends=verb.sends(sample),
        removes=verb.removes,
        starts=verb.starts(sample),
        replaces_data=verb.replaces_data(sample),
    )


@dataclass(kw_only=True, slots=True)
class _Places:
    """
    Makes the templates of a line's places, and collects what is left open in them: the line is read on, as with values.

    `several`: there are several arguments, of which the first may be a type. `unread`: some places may not be known yet.
    """

    tokens: Tokens
    scope: Scope
    source: str
    takes_parameters: bool
    spec: CommandSpec | None = None
    several: bool = False
    unread: bool = True
    found: list[LeftOpen] = field(default_factory=list)

    def take(self, kind: ArgType, text: str, place: str, position: int = -1) -> ArgTemplate:
        """Make the template of one place. Raises CommandProblem or ExpressionProblem."""
        word = self.tokens.open(text)
        parts = tuple(self._compiled(part, kind, word, place) for part in word)
        where = f"{self.spec.verb}: {place}" if self.spec else place
        literal = ArgTemplate(place=where, kind=kind, parts=parts)
        if len(word) > 1 or not isinstance(word[0], str) or not self._refused(literal, word[0], position):
            return literal
        split = tuple(pieces(word[0]))
        if not any(name for _, name in split):
            return literal
        opened = tuple(_OPEN.expression(f"params.{name}", result=ANY) if name else piece for piece, name in split)
        made = replace(literal, parts=opened)
        if self._refused(made, "", position):
            return literal
        for piece, name in split:
            if name:
                opening = LeftOpen(written=piece, name=name, offset=max(self.source.find(piece), 0))
                self._note(opening, kind, place, alone=made.alone)
        return made

    def _refused(self, template: ArgTemplate, text: str, position: int) -> bool:
        """Return whether a text is refused at its place; a whole type of objects is written like a name."""
        try:
            filled = template.sampled(self.spec)
        except CommandProblem:
            return True
        if template.kind.shape != "name" or not text:
            return False
        is_type = position == 0 and "/" not in text and (self.spec is None or self.spec.bare is None)
        if is_type:
            return all(find_any(word) is None for word in text.split(","))
        try:
            NAME.convert(filled.text.rpartition("/")[2])
        except ValueError:
            return True
        return False

    def _compiled(self, part: str | Placeholder, kind: ArgType, word: Word, place: str) -> str | Expression:
        if isinstance(part, str):
            return part
        opened = part.open
        try:
            expression = (self.scope if opened is None else _OPEN).expression(part.source, result=ANY)
        except ExpressionProblem as problem:
            name = OF_A_SHELL.fullmatch(part.source)
            if name is None or (problem.suggestion and name[1].islower()):
                raise problem.moved(part.offset) from problem
            opened = LeftOpen(written=f"${{{part.source}}}", name=parameter_name(name[1]), offset=part.offset - 2)
            expression = _OPEN.expression(f"params.{opened.name}", result=ANY)
        if opened is not None:
            self._note(opened, kind, place, alone=len(word) == 1)
        takes = _TAKES[kind.shape] if len(word) == 1 else _TEXTS
        objects_too = kind.shape == "name"
        given = expression.result
        if given in takes or given == ANY or (objects_too and isinstance(given, Struct | MapOf)):
            return expression
        hint = ": use forEach to do the step for each item" if isinstance(given, ListOf) else ""
        raise CommandProblem(
            f"${{{part.source}}} gives a {given}, but {kind.word} is required here{hint}", offset=part.offset
        )

    def _note(self, opened: LeftOpen, kind: ArgType, place: str, *, alone: bool) -> None:
        assert self.spec is not None, "a place is one of a command"
        if not self.spec.arguments and place.startswith("argument"):
            return  # no argument belongs there, whatever it is
        word = "string" if kind is REFERENCE else type_for(kind.shape, alone=alone)
        if kind is REFERENCE and alone and self.several and self.spec.bare is None and place == "argument 1":
            word = ""
        self.found.append(replace(opened, place=place, type=word))

    def left_open(self) -> list[LeftOpen]:
        """Return what is left open, each with its place as far as it is known."""
        placed = {each.offset for each in self.found}
        others = (each.open for each in self.tokens.placeholders if each.open and self.unread)
        return [*self.found, *(each for each in others if each.offset not in placed)]

    def phrase(self) -> str:
        """Return the sentence about what is left open, "" where nothing is."""
        found = self.left_open()
        return phrase(found, self.scope.names if self.takes_parameters else None) if found else ""

    def with_left_open(self, problem: CommandProblem | ExpressionProblem) -> CommandProblem | ExpressionProblem:
        """Return a problem with what is left open beside it; a person reads that on the page."""
        if isinstance(problem, NoCommandProblem) or not (more := self.phrase()):
            return problem
        if not all(each.type for each in self.found):
            return CommandProblem(
                f"{self.spec.verb}: {more}" if self.spec else more
            )  # without its type, a line means nothing
        return CommandProblem(f"{problem}; and {more}", offset=problem.offset)


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
    line: str,
    scope: Scope,
    *,
    waits: float = 1.0,
    allowed_functions: frozenset[str] = frozenset(),
    takes_parameters: bool = True,
) -> ParsedTemplate:
    """
    Parse a command with `${…}` holes, as a runbook has it, in the scope of its step.

    `waits` scales how long it waits (`--timeout`); `allowed_functions` are functions that its SQL may call besides those that all
    may; `takes_parameters` says that its document may declare parameters. Raises CommandProblem or ExpressionProblem; their offsets
    count from the start of the line.
    """
    parsed = partial(
        _template, scope=scope, waits=waits, allowed_functions=allowed_functions, takes_parameters=takes_parameters
    )
    try:
        tokens = split(line)
    except ShellProblem as problem:
        raise _with_what_stands_before(problem, line, parsed) from problem
    return parsed(tokens, source=line)


def _with_what_stands_before(
    problem: ShellProblem, line: str, parsed: Callable[..., ParsedTemplate]
) -> CommandProblem | ExpressionProblem:
    """Return the problem of a shell's part of a line together with the one of the command before it, if that has one."""
    before = line[: problem.offset]
    try:
        if not problem.ends:
            check_verb(before.split())
            return problem
        source = _DESCRIPTOR.sub("", before).rstrip()
        names = parsed(split(source), source=source).columns()
    except NoCommandProblem as no_command:
        return no_command
    except (CommandProblem, ExpressionProblem) as other:
        return CommandProblem(f"{problem}; and before it, {other}", offset=problem.offset)
    return problem.with_result(names)


def _without_values(line: str, tokens: Tokens, namespace: str) -> Command:
    if given := [each for each in tokens.placeholders if each.open is None]:
        raise CommandProblem("there are no values to put in here", offset=given[0].offset)
    return _template(tokens, Scope(names={}), source=line).bind({}, namespace=namespace)
