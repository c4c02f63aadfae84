"""
A runbook bound to a service: parameters, deadline, locks, how far it may go, and a digest that names exactly this plan.

Pure. The pipeline plans before it requests a run; questions hold only for the digest that was shown.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from types import MappingProxyType

from kintsugi.durations import format_duration
from kintsugi.model.catalog import Catalog
from kintsugi.model.questions import ANYBODY, WITH_PREVIEW, Approvers
from kintsugi.model.records import Signal
from kintsugi.model.rules import Mode, Rule
from kintsugi.model.runbooks import Manual, Parameter, Run, Runbook, RunRunbook, Step, Value
from kintsugi.model.services import AllServices, Service
from kintsugi.scope.parameters import read_alert_text
from kubeobjects.lines import Line, Lines, line, lines
from kubeobjects.resources import find


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """
    The plan of a run. No two runs may hold one of its `locks` at once; `lines` are the steps as text for people.

    `unbound` says which parameter has no value, "" where each has one. `from_alert` shows the values that the alert gives.
    """

    service: Service | AllServices
    runbook: Runbook
    parameters: Mapping[str, Value]
    deadline: datetime
    locks: tuple[str, ...]
    digest: str
    lines: tuple[str, ...]
    approvers: Approvers = ANYBODY
    unbound: str = ""
    from_alert: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPreview:
    """
    The changes that a run would make by the state of this moment. The run itself decides about each step when the step begins.

    `commands` are the changes that would be made, in order, as a person would type them, each with its undo as a comment; one that
    would be refused, and a note, begin with `#`. `possible` are changes that depend on what the steps before lead to. `reason` is
    the remedy with its reason, "" where no step has looked for one; `needs_person`: no step helps, by that. `unknown` is why there
    is no preview, "" where there is one.
    """

    commands: tuple[str, ...] = ()
    possible: tuple[str, ...] = ()
    reason: str = ""
    needs_person: bool = False
    unknown: str = ""

    @property
    def lines(self) -> tuple[Line, ...]:
        """Return the preview as text for people."""
        return tuple(map(line, self._texts))

    @property
    def _texts(self) -> tuple[str, ...]:
        if self.unknown:
            return (f"The commands that the run would execute now are not known: {self.unknown}",)
        shown = tuple(f"  {each}" if each.startswith("#") else f"  $ {each}" for each in self.commands)
        if self.is_empty:
            return (f"Nothing here helps now: {self.reason or 'no step of the runbook would change anything'}", *shown)
        helps = any(not each.startswith("#") for each in self.commands)
        now = "The run would execute now:" if helps else "The run would execute no command now."
        reason = (f"Reason: {self.reason}",) if self.reason else ()
        later = ("Later steps may execute:", *(f"  {each}" for each in self.possible)) if self.possible else ()
        return (now, *shown, *reason, *later)

    @property
    def is_empty(self) -> bool:
        """Return whether the run would change nothing, now or later."""
        return not self.unknown and not self.possible and all(each.startswith("#") for each in self.commands)

    @property
    def digest(self) -> str:
        """Name the changes; the reason may have numbers that grow."""
        return digest_of(*self.commands, "", *self.possible)


def question_of(bound: Plan, preview: RunPreview | None) -> Lines:
    """
    Return the question whether a plan may be executed: what would be done, what may follow, and when that is judged.

    Where the changes are not known, the source of the runbook stands instead.
    """
    name, after = bound.service.name, format_duration(bound.runbook.rollback.after)
    shown = preview.lines if preview is not None else ()
    source = bound.lines if preview is None or preview.unknown else ()
    steps = ("The steps of the runbook:", *source) if preview is not None and source else source
    judged = f"If {name} is not healthy {after} after the start: the changes are rolled back, or a person is notified."
    values = (f"From the alert: {bound.from_alert}",) if bound.from_alert else ()
    return lines(map(line, (f"Run {bound.runbook.title} on {name}?", *values, *shown, *steps, judged)))


def digest_with(bound: Plan, preview: RunPreview | None) -> str:
    """Name a plan together with what was shown of it; the plan's own digest comes first (`Question.bound`)."""
    if preview is None or preview.unknown:
        return bound.digest
    return f"{bound.digest}{WITH_PREVIEW}{preview.digest}"


def plan(
    rule: Rule,
    service: Service | AllServices,
    catalog: Catalog,
    *,
    now: datetime,
    given: Mapping[str, Value] | None = None,
    alert: Signal | None = None,
) -> Plan:
    """
    Bind the rule's runbook to the service, or to all of them.

    `given` are values that a person gives instead of what the documents say; `alert` is the one that began the run.
    """
    runbook = catalog.runbooks[rule.runbook or service.runbook]
    bound = bind_parameters(runbook, service, alert, given=given or {})
    lines = tuple(outline(runbook.steps))
    members = service.services.values() if isinstance(service, AllServices) else [service]
    works_on = [
        text for each in members for text in (each.name, each.namespace, str(each.workload), each.selector.text)
    ]
    return Plan(
        service=service,
        runbook=runbook,
        parameters=bound.values,
        deadline=now + runbook.rollback.after,
        locks=locks_of(service),
        digest=digest_of(runbook.digest, *works_on, repr(sorted(bound.values.items()))),
        lines=lines,
        approvers=runbook.approvers if rule.approvers == ANYBODY else rule.approvers,
        unbound=bound.problem,
        from_alert=", ".join(f"{name} = {bound.values[name]}" for name in bound.from_alert),
    )


def locks_of(service: Service | AllServices) -> tuple[str, ...]:
    """Name what no two runs may hold at once: a service, and its workload. Runs of its services take those of a stack."""
    own = f"service {service.name}"
    return (own,) if isinstance(service, AllServices) else (own, f"{service.namespace}/{service.workload}")


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundParameters:
    """The values of a runbook's parameters; `from_alert` are those that the alert gives. `problem` says which have none."""

    values: Mapping[str, Value]
    from_alert: tuple[str, ...]
    problem: str


def bind_parameters(
    runbook: Runbook,
    service: Service | AllServices,
    alert: Signal | None = None,
    *,
    given: Mapping[str, Value] = MappingProxyType({}),
) -> BoundParameters:
    """Take each value from a person (`given`), else from the service, else from the alert, else the runbook's default."""
    said = {**service.parameters, **given}
    values: dict[str, Value] = {}
    lacking: dict[str, str] = {}
    taken = tuple(each.name for each in texts_of_alert(runbook, service, alert) if each.name not in given)
    for each in runbook.parameters:
        value = said.get(each.name, each.default)
        if each.name in taken and each.source is not None and alert is not None:
            try:
                value = read_alert_text(each.type, texts_by_field(alert)[each.source.field][each.source.name])
            except ValueError as error:
                lacking[each.name] = f"{each.source} does not fit: {error}"
                continue
        if value is not None:
            values[each.name] = value
        elif each.source is not None:
            has_none = (
                f"no alert with {each.source} began this run" if alert is None else f"the alert has no {each.source}"
            )
            lacking[each.name] = has_none
        else:
            lacking[each.name] = f"{service.name} sets none under `parameters`"
    problem = _lacks(lacking, runbook, service) if lacking else ""
    return BoundParameters(values=values, from_alert=tuple(each for each in taken if each in values), problem=problem)


def _lacks(lacking: Mapping[str, str], runbook: Runbook, service: Service | AllServices) -> str:
    whys = ", ".join(f"{name} ({why})" for name, why in lacking.items())
    sets = " ".join(f"--set {name}=VALUE" for name in lacking)
    start = f"kintsugi recover {runbook.name} --service {service.name} {sets}"
    return f"{runbook.name} has no value for {whys}; a person starts it with: {start}"


def parameters_for(runbook: Runbook, service: Service | AllServices) -> Mapping[str, Value]:
    """Return the values of a runbook's parameters without an alert: the service's, else the defaults."""
    return bind_parameters(runbook, service).values


def texts_of_alert(runbook: Runbook, service: Service | AllServices, alert: Signal | None) -> Iterator[Parameter]:
    """Yield the parameters whose values an alert gives: the service says none, and the alert has the text."""
    for each in runbook.parameters:
        texts = texts_by_field(alert)[each.source.field] if alert is not None and each.source is not None else {}
        if each.name not in service.parameters and each.source is not None and texts.get(each.source.name):
            yield each


def texts_by_field(alert: Signal) -> Mapping[str, Mapping[str, str]]:
    """Return the texts of an alert under the words of `AlertText.field`."""
    return {"labels": alert.labels, "annotations": alert.annotations}


def stoppable_workloads(runbook: Runbook, service: Service, parameters: Mapping[str, object]) -> frozenset[str]:
    """Name (TYPE/NAME) what a section may stop: the service's own workload, and those that the runbook's parameters name."""
    named = [parameters.get(each.name) for each in runbook.parameters if each.type.strip("[]") == "workload"]
    words = [str(word) for value in named for word in (value if isinstance(value, tuple) else (value,)) if word]
    found = [(find(kind), name) for kind, _, name in (word.partition("/") for word in words)]
    return frozenset({str(service.workload), *(f"{kind.singular}/{name}" for kind, name in found if kind is not None)})


def digest_of(*parts: str) -> str:
    """Name some texts by a short digest."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def outline(steps: tuple[Step, ...], indent: int = 0) -> list[str]:
    """Write the steps down, a line each."""
    lines: list[str] = []
    for step in steps:
        command = ""
        if isinstance(step.do, Run):
            command = f": {step.do.command.source}"
        elif isinstance(step.do, RunRunbook):
            command = f": runbook {step.do.runbook}"
        elif isinstance(step.do, Manual):
            command = f": a person does it{f': {step.do.command.source}' if step.do.command is not None else ''}"
        asks = " (asks a person first)" if step.approve is not None else ""
        lines.append(f"{'  ' * indent}{step.name or step.id}{asks}{command}")
        lines.extend(outline(step.inner, indent + 1))
    return lines


def mode_for(rule: Rule, runbook: str, services: Collection[str], catalog: Catalog) -> Mode:
    """Return how far a rule's run may go with a runbook that changes these services."""
    others = [_own(each, runbook, catalog) for each in services if each != catalog.service_of(rule)]
    return reduce(Mode.at_most, others, rule.mode)


def _own(service: str, runbook: str, catalog: Catalog) -> Mode:
    """Return the most that any of a service's own rules lets a runbook do; no limit where none of them starts it."""
    started = [each for each in catalog.rules.values() if each.runbook == runbook]
    modes = {each.mode for each in started if catalog.service_of(each) == service}
    return max(modes, key=list(Mode).index, default=Mode.AUTO)
