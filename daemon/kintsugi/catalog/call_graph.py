"""The call graph of finished documents: the runbooks that may run on a service, and the steps of a runbook."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kintsugi.errors import CommandError
from kintsugi.expressions import Expression, TextTemplate
from kintsugi.model.rules import Rule
from kintsugi.model.runbooks import Manual, Run, Runbook, RunChecks, RunRunbook, Step, UndoStep
from kintsugi.model.services import Service


@dataclass(frozen=True, kw_only=True, slots=True)
class RunbookCall:
    """A step that runs another runbook. `service` is the name it is given, "" for the caller's, None when a value decides."""

    step: Step
    runbook: str
    service: str | None


def all_steps(steps: Iterable[Step], service: str | None = "") -> Iterator[tuple[Step, str | None]]:
    """Yield steps and the steps inside them, each with the service it was given: "" for its runbook's, None for a value's."""
    for step in steps:
        given = service if step.service is None else None if step.service.placeholders else step.service.source
        yield step, given
        yield from all_steps(step.inner, given)
        if isinstance(step.undo, tuple):
            yield from all_steps(step.undo, given)


def steps_of(runbook: Runbook) -> Iterator[tuple[Step, str | None]]:
    """Yield every step of a runbook, those of its rollback too."""
    yield from all_steps((*runbook.steps, *runbook.rollback.steps))


def calls_of(runbook: Runbook) -> list[RunbookCall]:
    """List the steps that run other runbooks."""
    return [
        RunbookCall(step=step, runbook=step.do.runbook, service=service)
        for step, service in steps_of(runbook)
        if isinstance(step.do, RunRunbook)
    ]


def reachable(
    services: Mapping[str, Service], rules: Iterable[Rule], runbooks: Mapping[str, Runbook]
) -> set[tuple[str, str]]:
    """Return the pairs of service and runbook that may come to run; the service is "" where a rule is about all of them."""
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


def unfit_for_all(runbook: Runbook, runbooks: Mapping[str, Runbook]) -> tuple[Step, str] | None:
    """Find the first step that a run about all services cannot do, and why; None when the runbook can be about all."""
    for step, given in steps_of(runbook):
        if _changes(step):
            return (
                step,
                "changes something: a runbook about all services only probes, and runs runbooks on its services",
            )
        if given == "" and _runs_on_nothing(step, runbooks):
            return step, "does not name the service of its runbook: give it `service`"
        if given == "" and _needs_service(step):
            return step, "needs one: give the rule a `service`, or that step"
    return None


def _changes(step: Step) -> bool:
    return isinstance(step.do, UndoStep) or (isinstance(step.do, Run) and step.do.command.changes)


def _runs_on_nothing(step: Step, runbooks: Mapping[str, Runbook]) -> bool:
    return isinstance(step.do, RunRunbook) and step.do.runbook in runbooks and not runbooks[step.do.runbook].service


def _needs_service(step: Step) -> bool:
    if isinstance(step.do, RunChecks):
        return True
    if isinstance(step.do, Run) and not _knows_its_place(step.do):
        return True
    return any(path == "service" or path.startswith("service.") for path in _reads(step))


def _knows_its_place(do: Run) -> bool:
    """Return whether a command says its namespace itself, or needs none."""
    try:
        do.command.sample(namespace="")
    except CommandError:
        return False
    return True


def _reads(step: Step) -> Iterator[str]:
    texts = [step.approve.question] if step.approve is not None else []
    texts += [step.do.text, *filter(None, [step.do.command])] if isinstance(step.do, Manual) else []
    for each in (step.for_each, step.when, step.unless, step.expect, step.progress, *texts):
        if isinstance(each, Expression | TextTemplate):
            yield from each.reads
    if isinstance(step.do, Run):
        yield from step.do.command.reads
