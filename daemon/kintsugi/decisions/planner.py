"""
A runbook bound to a service: parameters, deadline, locks, how far it may go, and a digest that names exactly this plan.

Pure. The pipeline plans before it requests a run; questions hold only for the digest that was shown.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from kintsugi.model.catalog import Catalog
from kintsugi.model.questions import ANYBODY, WITH_PREVIEW, Approvers
from kintsugi.model.rules import Mode, Rule
from kintsugi.model.runbooks import Manual, Run, Runbook, RunRunbook, Step, Value
from kintsugi.model.services import AllServices, Service
from kubeobjects.lines import Line, Lines, line, lines
from kubeobjects.resources import find


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The plan of a run. No two runs may hold one of its `locks` at once; `lines` are the steps as text for people."""

    service: Service | AllServices
    runbook: Runbook
    parameters: Mapping[str, Value]
    deadline: datetime
    locks: tuple[str, ...]
    digest: str
    lines: tuple[str, ...]
    approvers: Approvers = ANYBODY


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPreview:
    """
    The changes that a run would make by the state of this moment. The run itself decides about each step when the step begins.

    `commands` are the changes that would be made, in order, as a person would type them; one that would be refused, and a note, begin
    with `#`. `possible` are changes that depend on what the steps before lead to. `reason` is the remedy with its reason, "" where
    no step has looked for one. `unknown` is why there is no preview, "" where there is one.
    """

    commands: tuple[str, ...] = ()
    possible: tuple[str, ...] = ()
    reason: str = ""
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
        helps = any(not each.startswith("#") for each in self.commands)
        if not helps and not self.possible:
            return (f"Nothing here helps now: {self.reason or 'no step of the runbook would change anything'}", *shown)
        now = "The run would execute now:" if helps else "The run would execute no command now."
        reason = (f"Reason: {self.reason}",) if self.reason else ()
        later = ("Later steps may execute:", *(f"  {each}" for each in self.possible)) if self.possible else ()
        return (now, *shown, *reason, *later)

    @property
    def digest(self) -> str:
        """Name the changes; the reason may have numbers that grow."""
        return digest_of(*self.commands, "", *self.possible)


def question_of(bound: Plan, preview: RunPreview | None) -> Lines:
    """Return the question whether a plan may be executed: what would be done first, then the source of the runbook."""
    shown = (*preview.lines, "The steps of the runbook:") if preview is not None else ()
    return lines(map(line, (f"Run {bound.runbook.title} on {bound.service.name}?", *shown, *bound.lines)))


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
) -> Plan:
    """
    Bind the rule's runbook to the service, or to all of them.

    `given` are values that a person gives instead of what the documents say.
    """
    runbook = catalog.runbooks[rule.runbook or service.runbook]
    parameters = {**parameters_for(runbook, service), **(given or {})}
    lines = tuple(outline(runbook.steps))
    members = service.services.values() if isinstance(service, AllServices) else [service]
    works_on = [
        text for each in members for text in (each.name, each.namespace, str(each.workload), each.selector.text)
    ]
    return Plan(
        service=service,
        runbook=runbook,
        parameters=parameters,
        deadline=now + runbook.rollback.after,
        locks=locks_of(service),
        digest=digest_of(runbook.digest, *works_on, repr(sorted(parameters.items()))),
        lines=lines,
        approvers=runbook.approvers if rule.approvers == ANYBODY else rule.approvers,
    )


def locks_of(service: Service | AllServices) -> tuple[str, ...]:
    """Name what no two runs may hold at once: a service, and its workload. Runs of its services take those of a stack."""
    own = f"service {service.name}"
    return (own,) if isinstance(service, AllServices) else (own, f"{service.namespace}/{service.workload}")


def parameters_for(runbook: Runbook, service: Service | AllServices) -> Mapping[str, Value]:
    """Merge the runbook's defaults with what the service says in its `parameters`."""
    given = {
        parameter.name: service.parameters.get(parameter.name, parameter.default) for parameter in runbook.parameters
    }
    return {name: value for name, value in given.items() if value is not None}


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
        lines.append(f"{'  ' * indent}{step.name or step.id}{command}")
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
