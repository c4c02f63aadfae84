"""The shape of the grammar's table: a row with its flags, and the parsed command that a row's builder gets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from kintsugi.commands.arg_types import KEY_VALUE, NAME, REFERENCE, TEXT, ArgType
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.tokens import Word
from kintsugi.expressions import Type
from kintsugi.model.command import Command
from kubeobjects.resources import Resource


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """
    One flag as people write it.

    `kind` None is a switch. `key` empty is understood and has no effect here. `refused` is the sentence that says why
    it cannot be used, and what to do instead. `waits` marks how long a command waits: it is scaled as all waits are.
    """

    names: tuple[str, ...]
    key: str = ""
    kind: ArgType | None = None
    many: bool = False
    required: bool = False
    refused: str = ""
    waits: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectArg:
    """A Kubernetes object that fills a `${…}` hole; `group` is that of its API, None where it is not known."""

    kind: str
    group: str | None
    name: str
    namespace: str
    uid: str

    @property
    def word(self) -> str:
        """Return the word for its kind, "" where it is not known."""
        return f"{self.kind}.{self.group}" if self.kind and self.group else self.kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """A positional argument with its values put in. `object` is set when a value was an object; `value` is converted."""

    text: str
    value: object
    kind: ArgType
    object: ObjectArg | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedCommand:
    """
    A line with all its values: what a builder makes a command of.

    `namespace` is where it runs without -n; `allowed_functions` are functions that its SQL may call besides those that all may.
    `sampled` says that its values are only plausible ones.
    """

    spec: "CommandSpec"
    flags: Mapping[str, object]
    arguments: tuple[Argument, ...]
    namespace: str
    allowed_functions: frozenset[str] = frozenset()
    sampled: bool = False

    def on(self, key: str) -> bool:
        """Return whether a switch was given."""
        return key in self.flags

    def text(self, key: str) -> str:
        """Return a flag's text, "" when it was not given."""
        value = self.flags.get(key, "")
        assert isinstance(value, str), f"{key} is not text"
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return all texts of a flag that may be given several times."""
        values = self.flags.get(key, ())
        assert isinstance(values, tuple), f"{key} stands once"
        return values

    def number(self, key: str) -> int | None:
        """Return a flag's number, None when it was not given."""
        value = self.flags.get(key)
        assert value is None or isinstance(value, int), f"{key} is not a number"
        return value

    def duration(self, key: str) -> timedelta | None:
        """Return a flag's duration, None when it was not given."""
        value = self.flags.get(key)
        assert value is None or isinstance(value, timedelta), f"{key} is not a duration"
        return value

    def exactly(self, count: int) -> tuple[Argument, ...]:
        """Return the arguments, if there are that many. Raises CommandProblem with the usage."""
        if len(self.arguments) != count:
            raise self.misused(f"it takes {count} argument{'s' if count > 1 else ''}, not {len(self.arguments)}")
        return self.arguments

    def misused(self, what: str) -> CommandProblem:
        """Make the error that says what is wrong and how the command is written."""
        return CommandProblem(f"{self.spec.verb}: {what}; it is written: {self.spec.usage}")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CommandSpec:
    """
    One command of the grammar.

    `usage` and `example` are for people. `arguments` are the kinds of its places in turn, the last one for all that
    follow; `marks` allows KEY=VALUE (`mark`: of which kind) among them; `passes` says that after `--` its words are
    another program's. `resources` are the kinds of objects it takes, and `only` says why no others; `discovered` says that it
    takes those of the cluster, too, which are not built in: a change only those that may be changed. `bare` is the kind
    that a name without a type means. `result` are the names that an expression sees afterwards; what depends on the
    objects asked for is added by `results.columns`.
    """

    verb: str
    changes: bool
    usage: str
    example: str
    flags: tuple[Flag, ...]
    arguments: tuple[ArgType, ...]
    build: Callable[[ParsedCommand], Command]
    resources: tuple[Resource, ...] = ()
    only: str = ""
    discovered: bool = False
    bare: Resource | None = None
    marks: bool = False
    mark: ArgType = KEY_VALUE
    passes: bool = False
    result: Mapping[str, Type] = field(default_factory=dict)

    def kind_at(self, position: int, word: Word) -> ArgType:
        """Return what an argument's place takes; a TYPE/ or KEY= that is written out decides it."""
        literal = "".join(part for part in word if isinstance(part, str))
        takes_away = isinstance(word[-1], str) and word[-1].endswith("-")  # `web-${each}` is a name that goes on
        if self.marks and position > 0 and ("=" in literal or takes_away):
            return self.mark
        if not self.arguments:
            return TEXT
        kind = self.arguments[min(position, len(self.arguments) - 1)]
        return REFERENCE if kind is NAME and "/" in literal else kind
