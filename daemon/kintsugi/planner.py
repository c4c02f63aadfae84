"""
A runbook bound to a service: parameters, deadline, locks, and a digest that names exactly this plan.

Pure. The pipeline plans before it claims; approvals hold only for the digest that was shown.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kintsugi.model.documents import Catalog, InOrder, Rule, Run, Runbook, Service, Step, Together, Value
from kintsugi.objects.resources import find


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a run will do. `locks` are names that no two runs may hold at once, `lines` the steps as a person reads them."""

    service: Service
    runbook: Runbook
    parameters: Mapping[str, Value]
    deadline: datetime
    locks: tuple[str, ...]
    digest: str
    lines: tuple[str, ...]


def plan(rule: Rule, service: Service, catalog: Catalog, *, now: datetime) -> Plan:
    """Bind the rule's runbook to the service."""
    runbook = catalog.runbooks[rule.runbook or service.runbook]
    parameters = parameters_for(runbook, service)
    lines = tuple(outline(runbook.steps))
    works_on = (service.name, service.namespace, str(service.workload), service.selector.text)
    return Plan(
        service=service,
        runbook=runbook,
        parameters=parameters,
        deadline=now + runbook.rollback.after,
        locks=locks_of(service),
        digest=digest_of(runbook.digest, *works_on, repr(sorted(parameters.items()))),
        lines=lines,
    )


def locks_of(service: Service) -> tuple[str, ...]:
    """Name what no two runs may hold at once: a service, and its workload."""
    return f"service {service.name}", f"{service.namespace}/{service.workload}"


def parameters_for(runbook: Runbook, service: Service) -> Mapping[str, Value]:
    """Merge the runbook's defaults with what the service says in `with`."""
    given = {
        parameter.name: service.parameters.get(parameter.name, parameter.default) for parameter in runbook.parameters
    }
    return {name: value for name, value in given.items() if value is not None}


def may_stop(runbook: Runbook, service: Service, parameters: Mapping[str, object]) -> frozenset[str]:
    """
    Name (TYPE/NAME) what a runbook may stop: nothing, unless it restores a database.

    Then the service's own workload, and the workloads that its parameters name: those who write to the database.
    """
    if not runbook.restores:
        return frozenset()
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
        command = f": {step.do.command.source}" if isinstance(step.do, Run) else ""
        lines.append(f"{'  ' * indent}{step.name or step.id}{command}")
        if isinstance(step.do, InOrder | Together):
            lines.extend(outline(step.do.steps, indent + 1))
    return lines
