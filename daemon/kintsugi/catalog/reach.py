"""Which runbooks may run on which services, and what runbooks are made of: walks over finished documents."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kintsugi.errors import CommandError
from kintsugi.expressions import Expression, Template
from kintsugi.model.documents import InOrder, Rule, Run, Runbook, RunChecks, RunRunbook, Service, Step, Together


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A step that runs another runbook. `service` is the name it is given, "" for the caller's, None when a value decides."""

    step: Step
    runbook: str
    service: str | None


def all_steps(steps: Iterable[Step], service: str | None = "") -> Iterator[tuple[Step, str | None]]:
    """Yield steps and the steps inside them, each with the service it was given: "" for its runbook's, None for a value's."""
    for step in steps:
        given = service if step.service is None else None if step.service.holes else step.service.source
        yield step, given
        if isinstance(step.do, InOrder | Together):
            yield from all_steps(step.do.steps, given)
        if isinstance(step.undo, tuple):
            yield from all_steps(step.undo, given)


def steps_of(runbook: Runbook) -> Iterator[tuple[Step, str | None]]:
    """Yield every step of a runbook, those of its rollback too."""
    yield from all_steps((*runbook.steps, *runbook.rollback.steps))


def calls_of(runbook: Runbook) -> list[Call]:
    """List the steps that run other runbooks."""
    return [
        Call(step=step, runbook=step.do.runbook, service=service)
        for step, service in steps_of(runbook)
        if isinstance(step.do, RunRunbook)
    ]


def reachable(
    services: Mapping[str, Service], rules: Iterable[Rule], runbooks: Mapping[str, Runbook]
) -> set[tuple[str, str]]:
    """Give the pairs of service and runbook that may come to run; the service is "" where a rule is about all of them."""
    waiting = [(service.name, service.runbook) for service in services.values()]
    waiting += [(service.name, service.drill.runbook) for service in services.values() if service.drill is not None]
    waiting += [(rule.service, rule.runbook) for rule in rules]
    found: set[tuple[str, str]] = set()
    while waiting:
        caller, name = waiting.pop()
        runbook = runbooks.get(name)
        if runbook is None:
            continue
        service = runbook.service or caller
        if (service, name) in found:
            continue
        found.add((service, name))
        for call in calls_of(runbook):
            callees = list(services) if call.service is None else [call.service or service]
            waiting += [(callee, call.runbook) for callee in callees]
    return found


def lacks_service(runbook: Runbook) -> Step | None:
    """Find the first step that cannot go without a service; None when the runbook can be about all services."""
    return next((step for step, given in steps_of(runbook) if given == "" and _needs_service(step)), None)


def _needs_service(step: Step) -> bool:
    if isinstance(step.do, RunChecks):
        return True
    if isinstance(step.do, Run) and not _knows_its_place(step.do):
        return True
    return any(path == "service" or path.startswith("service.") for path in _reads(step))


def _knows_its_place(do: Run) -> bool:
    """Tell whether a command says its namespace itself, or needs none."""
    try:
        do.command.sample(namespace="")
    except CommandError:
        return False
    return True


def _reads(step: Step) -> Iterator[str]:
    asked = (step.for_each, step.when, step.unless, step.expect, step.progress, step.approve)
    for each in asked:
        if isinstance(each, Expression | Template):
            yield from each.reads
    if isinstance(step.do, Run):
        yield from step.do.command.reads
