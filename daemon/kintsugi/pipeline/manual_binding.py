"""
Binds a person's request to a plan: the runbook, the service and the values. Each refusal is one sentence.

No I/O. Only `_target` chooses the run's service, or all services together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.catalog.call_graph import reachable, unfit_for_all
from kintsugi.catalog.parameters import read_text
from kintsugi.catalog.problems import did_you_mean
from kintsugi.decisions.planner import Plan, digest_of, plan
from kintsugi.errors import CatalogMismatch, NotRecorded
from kintsugi.model.catalog import Catalog
from kintsugi.model.manual import MANUAL, RecoverRequest
from kintsugi.model.rules import Mode, Rule, RuleSource
from kintsugi.model.runbooks import Runbook, Value
from kintsugi.model.services import STACK, AllServices, Service

COOLDOWN = timedelta(minutes=10)
"""The cooldown of a runbook that no rule of its service starts: a rule's default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundStart:
    """A plan with a rule that no document has; `digest` is that of the plan and its overrides."""

    rule: Rule
    plan: Plan
    digest: str


def bind(request: RecoverRequest, catalog: Catalog, *, durations: float, now: datetime) -> BoundStart:
    """Bind a request. Raises NotRecorded for an unknown name, UnfitRequest for values that do not fit."""
    runbook = _runbook(request.runbook, catalog)
    target = _target(request, runbook, catalog)
    rule = manual_rule(runbook, target, cooldown=_cooldown(runbook, target, catalog, durations))
    given = _given(request.parameters, runbook, durations)
    bound = plan(rule, target, catalog, now=now, given=given)
    if lacking := list(_lacking(rule, bound, catalog)):
        raise CatalogMismatch("; ".join(lacking))
    return BoundStart(rule=rule, plan=bound, digest=digest_of(bound.digest, *sorted(request.overrides)))


def _runbook(name: str, catalog: Catalog) -> Runbook:
    runbook = catalog.runbooks.get(name)
    if runbook is None:
        raise NotRecorded(_unknown("runbook", name, catalog.runbooks))
    drilled = [each.name for each in catalog.services.values() if each.drill is not None and each.drill.runbook == name]
    if drilled:
        raise CatalogMismatch(f"{name} is a drill: kintsugi restore drill {drilled[0]} starts it")
    return runbook


def _target(request: RecoverRequest, runbook: Runbook, catalog: Catalog) -> Service | AllServices:
    """Choose the run's service: the runbook's own, the requested one, or the only one that names the runbook."""
    if request.service and catalog.subject(request.service) is None:
        raise NotRecorded(_unknown("service", request.service, catalog.services))
    if runbook.service and request.service not in ("", runbook.service):
        raise CatalogMismatch(f"{runbook.name} is about {runbook.service}, not about {request.service}")
    name = runbook.service or request.service or _only_one(runbook, catalog)
    if runbook.rehearsal and name == STACK:
        raise CatalogMismatch(f"service: {runbook.name} is a rehearsal, which is about one service: name it")
    unfit = unfit_for_all(runbook, catalog.runbooks) if name == STACK else None
    if unfit is not None:
        raise CatalogMismatch(f"{runbook.name} cannot be about all services: step {unfit[0].id!r} {unfit[1]}")
    target = catalog.subject(name)
    assert target is not None, "it is there, or the documents would have been refused"
    return target


def _only_one(runbook: Runbook, catalog: Catalog) -> str:
    """Return the only service that has the runbook, STACK where only rules about all services have it. Raises UnfitRequest."""
    naming = {each.name for each in catalog.services.values() if each.runbook == runbook.name}
    naming |= {each.service or STACK for each in catalog.rules.values() if each.runbook == runbook.name}
    if len(naming) == 1:
        return naming.pop()
    why = "several services have this runbook" if naming else "no service has this runbook"
    fit = [STACK] if unfit_for_all(runbook, catalog.runbooks) is None else []
    candidates = ", ".join(sorted(naming) or [*sorted(catalog.services), *fit])
    raise CatalogMismatch(f"service: name the service for {runbook.name}, because {why}: {candidates}")


def manual_rule(runbook: Runbook, target: Service | AllServices, *, cooldown: timedelta) -> Rule:
    """Return the rule of a manual run: its mode is the daemon's."""
    return Rule(
        name=MANUAL,
        on=RuleSource.SERVICES,
        service="" if isinstance(target, AllServices) else target.name,
        runbook=runbook.name,
        mode=Mode.AUTO,
        cooldown=cooldown,
        digest="",
        place=runbook.place,
    )


def _cooldown(runbook: Runbook, target: Service | AllServices, catalog: Catalog, durations: float) -> timedelta:
    """Return the runbook's cooldown: the longest of its rules."""
    name = "" if isinstance(target, AllServices) else target.name
    rules = [each for each in catalog.rules.values() if (each.service, each.runbook) == (name, runbook.name)]
    return max((each.cooldown for each in rules), default=COOLDOWN * durations)


def _given(texts: Mapping[str, str], runbook: Runbook, durations: float) -> Mapping[str, Value]:
    """Parse the typed values by the types of the runbook's parameters."""
    takes = {each.name: each for each in runbook.parameters}
    values: dict[str, Value] = {}
    for name, text in texts.items():
        if name not in takes:
            what = f"its parameters are {', '.join(takes)}" if takes else "the runbook has no parameters"
            raise CatalogMismatch(f"parameters: {runbook.name} has no parameter {name!r}: {what}")
        try:
            values[name] = read_text(takes[name].type, text, durations)
        except ValueError as error:
            raise CatalogMismatch(f"parameters: {name}: {error} ({name} is of type {takes[name].type})") from error
    return values


def _lacking(rule: Rule, bound: Plan, catalog: Catalog) -> Iterator[str]:
    """Return the missing values of the runbook and of those that it runs, which get theirs from the services' documents."""
    names = [each.name for each in bound.runbook.parameters if each.name not in bound.parameters]
    if names:
        yield f"parameters: {bound.runbook.name} needs a value for {', '.join(names)}"
    for service, name in sorted(reachable({}, [rule], catalog.runbooks)):
        child = catalog.runbooks[name]
        subject = catalog.subject(service)
        has = subject.parameters if subject is not None else {}
        names = [each.name for each in child.parameters if each.default is None and each.name not in has]
        if names and child is not bound.runbook:
            yield f"the child runbook {name} needs {', '.join(names)}: give {service} a value for it under `parameters`"


def _unknown(kind: str, name: str, known: Mapping[str, object]) -> str:
    near = did_you_mean(name, known)
    return f"there is no {kind} {name}{f': {near}' if near else ''}"
