"""
The builder of a document whose shape is valid: it compiles and checks the document's texts.

Each problem is noted with its place, and the work continues, so that all problems are reported together.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

from kintsugi.catalog.problems import Problem, did_you_mean
from kintsugi.catalog.schema import DocumentShape, RunbookShape
from kintsugi.catalog.source import Document, Path
from kintsugi.commands import CommandProblem, parse_template
from kintsugi.commands import ParsedTemplate as CommandTemplate
from kintsugi.expressions import BOOL, Expression, ExpressionProblem, Scope, TextTemplate, Type
from kintsugi.model.runbooks import Patterns
from kintsugi.model.source_position import SourcePosition
from kubeobjects.predicates import START_UP_ALLOWANCE

Compiled = TypeVar("Compiled")
ShapeT_co = TypeVar("ShapeT_co", bound=DocumentShape, covariant=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class NameIndex:
    """
    The index of the other documents: their names, and the needed parts of them; None for a document with mistakes.

    `allowed_functions` are the functions that each service's SQL may call besides those that all may.
    """

    services: tuple[str, ...]
    runbooks: tuple[str, ...]
    patterns: Mapping[str, Patterns | None]
    checks: dict[str, tuple[str, ...]]
    allowed_functions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    durations: float = 1.0
    deadlines: float = 1.0

    @property
    def start_up(self) -> timedelta:
        """Return the time that a pod may take to become ready, scaled as all durations are."""
        return START_UP_ALLOWANCE * self.durations


@dataclass(kw_only=True, slots=True)
class DocumentBuilder(Generic[ShapeT_co]):
    """
    One document with its shape, its surroundings and its problems.

    `unclear` are the names of expressions of which nothing is known, as `steps.ID` of a step whose command is wrong: what
    reads them is not wrong for that, so that a mistake is reported once.
    """

    document: Document
    shape: ShapeT_co
    known: NameIndex
    problems: list[Problem] = field(default_factory=list)
    unclear: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Return the document's name."""
        return self.shape.metadata.name

    def place(self, path: Path = ()) -> SourcePosition:
        """Return where a path was written."""
        return self.document.span(path).place

    def path_of(self, place: SourcePosition) -> Path:
        """Return the path of what was written at a place."""
        return next((path for path, span in self.document.values.items() if span.place == place), ())

    def note(
        self, path: Path, message: str, *, suggestion: str = "", key: bool = False, offset: int | None = None
    ) -> None:
        """Note a problem."""
        problem = self.document.problem(path, message, suggestion=suggestion, key=key, offset=offset)
        self.problems.append(problem)

    def scaled(self, duration: timedelta) -> timedelta:
        """Scale a duration of the file by the setting."""
        return duration * self.known.durations

    def deadline(self, duration: timedelta) -> timedelta:
        """Scale how long is waited at most, by both settings."""
        return self.scaled(duration) * self.known.deadlines

    def expression(self, path: Path, source: str | None, scope: Scope | None, result: Type = BOOL) -> Expression | None:
        """
        Compile an expression; None when it is absent, when its names are not clear, or when it is wrong, which is
        noted.
        """
        if source is None or scope is None:
            return None
        return self._compiled(path, source, partial(scope.expression, source, result=result))

    def template(self, path: Path, source: str | None, scope: Scope) -> TextTemplate | None:
        """Compile a text with holes; None when it is absent, or when it is wrong, which is noted."""
        return None if source is None else self._compiled(path, source, partial(scope.template, source))

    def command(self, path: Path, source: str, scope: Scope, *, service: str = "") -> CommandTemplate | None:
        """Parse a command of a step that is about a service; None when it is wrong, which is noted."""
        parse = partial(
            parse_template,
            source,
            scope,
            waits=self.known.durations * self.known.deadlines,
            allowed_functions=self.known.allowed_functions.get(service, frozenset()),
            takes_parameters=isinstance(self.shape, RunbookShape),
        )
        return self._compiled(path, source, parse)

    def _compiled(self, path: Path, source: str, compile_text: Callable[[], Compiled]) -> Compiled | None:
        try:
            return compile_text()
        except (CommandProblem, ExpressionProblem) as problem:
            self.note(path, problem.message, suggestion=problem.suggestion, offset=problem.offset)
            return None

    def one_of(self, path: Path, word: str | None, known: Collection[str], what: str) -> None:
        """Note a name that is given and not known, with the nearest one."""
        if word is not None and word not in known:
            self.note(path, f"there is no {what} {word!r}", suggestion=did_you_mean(word, known))
