"""
What people write in `rules/` and `runbooks/`, checked and frozen.

`catalog` makes these from YAML; everything above reads them. An `Expression` or a `Template` here is compiled and
type-checked already, so that at run time only its values can be wrong.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from kintsugi.expressions import Expression, Template
from kintsugi.model.command import Command, Verb
from kintsugi.model.places import Place
from kintsugi.objects.resources import Resource
from kintsugi.objects.selectors import Selector

Value = str | int | float | bool | timedelta | tuple[object, ...]


class Mode(StrEnum):
    """How far a rule may go: only say, ask first, or act."""

    OBSERVE = "observe"
    APPROVE = "approve"
    AUTO = "auto"

    def at_most(self, other: "Mode") -> "Mode":
        """Give the more careful of the two."""
        order = list(Mode)
        return order[min(order.index(self), order.index(other))]


class RuleSource(StrEnum):
    """What kind of observation a rule looks at."""

    POD = "pod"
    PVC = "pvc"
    NODE = "node"
    EVENT = "event"
    ALERT = "alert"
    SERVICES = "services"
    CHECK = "check"


class Unmet(StrEnum):
    """What follows when a step's expectation is not met."""

    STOP = "stop"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadRef:
    """kubectl's TYPE/NAME of the object that owns a service's pods."""

    resource: Resource
    name: str

    def __str__(self) -> str:
        return f"{self.resource.singular}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretRef:
    """A key of a Secret; resolved only where the command runs, no expression can read it."""

    secret: str
    key: str


class CommandTemplate(Protocol):
    """A command as written, with holes for values; made by `commands.parse_template`."""

    @property
    def verb(self) -> Verb: ...

    @property
    def source(self) -> str: ...

    @property
    def changes(self) -> bool: ...

    @property
    def reads(self) -> frozenset[str]:
        """Give the dotted paths that its values are read from."""
        ...

    def sample(self, *, namespace: str = "sample") -> Command:
        """Bind plausible values, to see what kind of command it is. Raises CommandError."""
        ...

    def bind(self, names: Mapping[str, object], *, namespace: str) -> Command:
        """Put values in; each is one argument. Raises CommandError or EvaluationError."""
        ...


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
    """Do steps one after another."""

    steps: tuple["Step", ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Together:
    """Do steps at once, except where one needs another."""

    steps: tuple["Step", ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunChecks:
    """Do a service's named list of checks."""

    checks: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Revert:
    """Take an earlier step back now."""

    step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Await:
    """Do nothing but look until the expectation holds."""


Do = Run | RunRunbook | InOrder | Together | RunChecks | Revert | Await


class UndoPolicy(StrEnum):
    """How a step is taken back: by its action's own inverse, not at all (it stays), or it needs none."""

    INVERSE = "inverse"
    KEEP = "keep"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """
    One step of a runbook.

    `within` is how long it is looked at again until `expect` holds, `hold` how long it must hold unbroken (`for:` in the
    file), `timeout` how long its command may take. All durations are scaled already.
    """

    id: str
    name: str
    do: Do
    for_each: Expression | None = None
    at_once: int = 1
    when: Expression | None = None
    unless: Expression | None = None
    approve: Template | None = None
    expect: Expression | None = None
    within: timedelta = timedelta(0)
    hold: timedelta = timedelta(0)
    progress: Expression | None = None
    unmet: Unmet = Unmet.STOP
    timeout: timedelta | None = None
    retry: int = 0
    undo: UndoPolicy | tuple["Step", ...] = UndoPolicy.INVERSE
    scan: "Patterns | None" = None
    service: Template | None = None
    needs: tuple[str, ...] = ()
    place: Place


class RollbackWhen(StrEnum):
    """Whether the rollback looks before it leaps (`safe`: DESIGN 6's conditions) or is the author's choice (`always`)."""

    SAFE = "safe"
    ALWAYS = "always"


class RollbackThen(StrEnum):
    """What happens after the rollback's own steps."""

    UNDO = "undo"
    PARK = "park"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollback:
    """
    What the watchdog does at the deadline (`after`, from the run's start; holds, approvals and pauses do not count).

    `loses` names the step whose question is asked again before a person's rollback, to say what has been written since.
    """

    after: timedelta = timedelta(minutes=30)
    when: RollbackWhen = RollbackWhen.SAFE
    steps: tuple[Step, ...] = ()
    then: RollbackThen = RollbackThen.UNDO
    loses: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A value that a runbook takes; `type` is the word in the file (integer, string, duration, url, …)."""

    name: str
    type: str
    default: Value | None = None
    help: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runbook:
    """Named steps with their rollback. `service` empty: it works on its caller's. `digest` names this very version."""

    name: str
    title: str
    service: str = ""
    parameters: tuple[Parameter, ...] = ()
    steps: tuple[Step, ...]
    rollback: Rollback
    digest: str
    place: Place

    @property
    def restores(self) -> bool:
        """Tell whether it restores a database: what it stops stays stopped, until it is through or a person says."""
        return any(isinstance(step.do, Run) and step.do.command.verb is Verb.PG_RESTORE for step in _flat(self.steps))


def _flat(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step.do, InOrder | Together):
            yield from _flat(step.do.steps)


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillTerms:
    """How a service's backups are tried: by which runbook, and when (a cron expression in UTC, "" for never by itself)."""

    runbook: str
    schedule: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What people call a service: one workload, what it needs, how to tell that it is well. Lower `priority` comes first."""

    name: str
    priority: int
    depends_on: tuple[str, ...]
    namespace: str
    selector: Selector
    workload: WorkloadRef
    healthy: Expression
    runbook: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    env: Mapping[str, SecretRef] = field(default_factory=dict)
    checks: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    drill: DrillTerms | None = None
    place: Place


class MatchOperator(StrEnum):
    """Alertmanager's four ways to compare a label."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCH = "=~"
    NOT_MATCH = "!~"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelMatcher:
    """One comparison of Alertmanager's matcher language; an absent label is the empty string, a regex is anchored."""

    label: str
    operator: MatchOperator
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """
    When something is a reason to act.

    `service` empty is for `on: services` rules about all of them. `hold` is `for:`; `match` is for alerts. `check` is the
    service's list of checks that a rule on a check asks for, `every` so often. `any_namespace`: alerts that name no namespace
    are its service's, too.
    `digest` changes with any change of the rule.
    """

    name: str
    on: RuleSource
    service: str
    runbook: str
    when: Expression | None = None
    match: tuple[LabelMatcher, ...] = ()
    any_namespace: bool = False
    hold: timedelta = timedelta(0)
    check: str = ""
    every: timedelta = timedelta(seconds=30)
    mode: Mode = Mode.OBSERVE
    cooldown: timedelta = timedelta(minutes=10)
    digest: str
    place: Place


class Severity(StrEnum):
    """How bad a line of a log is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """What a kind of log line means: a regular expression that is searched for in it, or SQLSTATE codes."""

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
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """
    All documents of one version, checked against each other. `digest` names the version; `texts` are the files that it
    was read from, by name, so that a run can keep to it after a restart.
    """

    services: Mapping[str, Service]
    rules: Mapping[str, Rule]
    runbooks: Mapping[str, Runbook]
    patterns: Mapping[str, Patterns] = field(default_factory=dict)
    digest: str
    texts: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def runbook_of(self, rule: Rule) -> Runbook:
        """Give the runbook that a rule starts."""
        return self.runbooks[rule.runbook]
