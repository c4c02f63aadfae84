"""
Runbooks: steps with their commands and expectations, and the rollback; checked and frozen.

`catalog` makes them from YAML. An `Expression` or a `TextTemplate` here is compiled and type-checked already, so that at run
time only its values can be wrong.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from kintsugi.expressions import Expression, TextTemplate
from kintsugi.model.command import Command
from kintsugi.model.questions import ANYBODY, Approvers
from kintsugi.model.source_position import SourcePosition

_ALERT_TEXT = re.compile(r"alert\.(labels|annotations)\.([a-zA-Z_][a-zA-Z0-9_]*)", re.ASCII)
"""With a name as Prometheus allows it (https://prometheus.io/docs/concepts/data_model/)."""

PAGE, PAGE_DIGEST = "kintsugi.dev/page", "kintsugi.dev/page-digest"
"""The annotations of a runbook that was made of a page: the page's address, and the digest of its text."""

Value = str | int | float | bool | timedelta | tuple[object, ...]


class Severity(StrEnum):
    """The severity of a log line."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """The meaning of log lines that a regular expression or one of some SQLSTATE codes matches."""

    match: str
    sqlstate: tuple[str, ...] = ()
    means: str
    severity: Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class Patterns:
    """A named list of patterns for a step's `scan`; the first that matches a line counts."""

    name: str
    patterns: tuple[Pattern, ...]
    digest: str
    place: SourcePosition


class OnFailure(StrEnum):
    """The consequence when a step's expectation is not met."""

    STOP = "stop"
    CONTINUE = "continue"
    ROLLBACK = "rollback"
    ESCALATE = "escalate"


class CommandTemplate(Protocol):
    """A command as written, with holes for values; made by `commands.parse_template`."""

    @property
    def verb(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def changes(self) -> bool: ...

    @property
    def sends(self) -> bool:
        """Return whether it is a request that changes something."""

    @property
    def removes(self) -> bool:
        """Return whether it removes objects."""

    @property
    def starts(self) -> bool:
        """Return whether it starts a workload that is scaled to 0."""

    @property
    def replaces_data(self) -> bool:
        """Return whether it replaces a service's data."""

    @property
    def reads(self) -> frozenset[str]:
        """Return the dotted paths that its values are read from."""

    @property
    def variables(self) -> frozenset[str]: ...

    def sample(self, *, namespace: str = "sample") -> Command:
        """Bind plausible values, to see what kind of command it is. Raises CommandError."""

    def bind(self, names: Mapping[str, object], *, namespace: str) -> Command:
        """Put values in; each is one argument. Raises CommandError or EvaluationError."""

    def then(self, change: Callable[[Command], Command]) -> "CommandTemplate":
        """Return a template by which `change` is made to each command once its values are put in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Execute one command."""

    command: CommandTemplate


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRunbook:
    """Run another runbook, as a child."""

    runbook: str


@dataclass(frozen=True, kw_only=True, slots=True)
class InOrder:
    """Execute steps in order."""

    steps: tuple["Step", ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parallel:
    """Execute steps in parallel, each after those that it needs."""

    steps: tuple["Step", ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunChecks:
    """Execute a service's named list of checks."""

    checks: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoStep:
    """Undo an earlier step now."""

    step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Await:
    """Only wait until the expectation holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manual:
    """A person does something: `text` says what, `command` is what they paste, `expiry` how long their answer is awaited."""

    text: TextTemplate
    command: TextTemplate | None = None
    expiry: timedelta | None = None


Do = Run | RunRunbook | InOrder | Parallel | RunChecks | UndoStep | Manual | Await


class OnNo(StrEnum):
    """The consequence of a no to a step's question: the execution stops, or leaves the step out with all that is inside it."""

    STOP = "stop"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRequest:
    """The question that a person must say yes to before a step."""

    question: TextTemplate
    on_no: OnNo = OnNo.STOP


class UndoPolicy(StrEnum):
    """The undo of a step: its action's own inverse, none because the change stays, or none because none is needed."""

    INVERSE = "inverse"
    KEEP = "keep"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """
    One step of a runbook.

    `within` is how long to wait until `expect` holds, `for_duration` how long it must hold without interruption (`for` in the
    file), `timeout` the limit of its command; durations are scaled already. `keep` selects the part of its result that is kept,
    `count` the number in it that is kept as the last good count. `even_if_resolved`: its change is made even after the end of the
    trigger.
    """

    id: str
    name: str
    do: Do
    for_each: Expression | None = None
    max_parallel: int = 1
    when: Expression | None = None
    unless: Expression | None = None
    approve: ApprovalRequest | None = None
    expect: Expression | None = None
    within: timedelta = timedelta(0)
    for_duration: timedelta = timedelta(0)
    progress: Expression | None = None
    on_failure: OnFailure = OnFailure.STOP
    timeout: timedelta | None = None
    retries: int = 0
    even_if_resolved: bool = False
    undo: UndoPolicy | tuple["Step", ...] = UndoPolicy.INVERSE
    scan: Patterns | None = None
    keep: Expression | None = None
    count: Expression | None = None
    service: TextTemplate | None = None
    needs: tuple[str, ...] = ()
    place: SourcePosition

    @property
    def inner(self) -> tuple["Step", ...]:
        """Return the steps inside this one."""
        return self.do.steps if isinstance(self.do, InOrder | Parallel) else ()

    def flat(self) -> Iterator["Step"]:
        """Yield this step, and all steps inside it."""
        yield self
        for step in self.inner:
            yield from step.flat()


class RollbackPolicy(StrEnum):
    """Whether a rollback happens only where it is safe, or always (the author's choice)."""

    SAFE = "safe"
    ALWAYS = "always"


class RollbackThen(StrEnum):
    """The action after the rollback's own steps."""

    UNDO = "undo"
    LEAVE = "leave"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollback:
    """
    The rollback at the deadline (`after`, from the run's start; holds, questions and pauses do not count).

    `data_loss_check` names the step whose query is repeated before a person's rollback, to show what was written since.
    """

    after: timedelta = timedelta(minutes=30)
    policy: RollbackPolicy = RollbackPolicy.SAFE
    steps: tuple[Step, ...] = ()
    then: RollbackThen = RollbackThen.UNDO
    data_loss_check: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertText:
    """A label or an annotation (`field`) of the alert that began a run."""

    field: str
    name: str

    def __str__(self) -> str:
        return f"alert.{self.field}.{self.name}"

    @classmethod
    def parse(cls, text: str) -> "AlertText | None":
        """Parse `alert.labels.NAME` or `alert.annotations.NAME`, None for another text."""
        found = _ALERT_TEXT.fullmatch(text)
        return cls(field=found[1], name=found[2]) if found else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """
    A value that a runbook takes; `type` is the word in the file (integer, string, duration, url, …).

    `source` is the text of the alert that it is taken from where neither a person nor the service gives one (`from` in the file).
    """

    name: str
    type: str
    source: AlertText | None = None
    default: Value | None = None
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runbook:
    """
    Named steps with their rollback.

    `service` empty: it works on its caller's service. `approvers` answer the questions of its runs. `complete_once_begun`: its steps are a section, which is completed once
    it has changed anything. `rehearsal`: a run undoes all that it has changed. `annotations` are the document's. `digest` identifies
    this version.
    """

    name: str
    title: str
    service: str = ""
    parameters: tuple[Parameter, ...] = ()
    approvers: Approvers = ANYBODY
    steps: tuple[Step, ...]
    rollback: Rollback
    complete_once_begun: bool = False
    rehearsal: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    digest: str
    place: SourcePosition

    @property
    def replaces_data(self) -> bool:
        """Return whether it restores a database, or gives a service an empty volume."""
        return any(
            isinstance(step.do, Run) and step.do.command.replaces_data for each in self.steps for step in each.flat()
        )

    @property
    def starts(self) -> bool:
        """Return whether one of its own commands starts a workload that is scaled to 0 (`--current-replicas=0`)."""
        return any(isinstance(step.do, Run) and step.do.command.starts for each in self.steps for step in each.flat())
