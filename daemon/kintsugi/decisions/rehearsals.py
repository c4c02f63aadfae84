"""
Decisions about rehearsals, which undo all that they have changed: whether a runbook can be one, and whether one may burden
its service now. Pure.
"""

from collections.abc import Iterable, Iterator

from kintsugi.commands.registry import definitions_by_verb
from kintsugi.model.records import Reason
from kintsugi.model.runbooks import InOrder, Parallel, Run, Runbook, RunRunbook, Step, UndoPolicy
from kintsugi.model.source_position import SourcePosition
from kintsugi.model.step_path import StepPath
from kintsugi.model.views import ServiceView

OUTCOME = StepPath.noted("outcome")
"""The path of a rehearsal's note of its steps' outcome, kept while its changes are undone."""


def objection(service: str, view: ServiceView | None, incident: str = "") -> tuple[Reason, str] | None:
    """Return why nothing may be rehearsed on a service now, also what has begun; None when it is well."""
    if incident:
        return Reason.ACTIVE_RUN, f"{service} has the open incident {incident}; a recovery has priority"
    if view is None or view.healthy is None:
        return Reason.STALE, f"the health of {service} is unknown"
    if not view.healthy:
        return Reason.LOCKED, f"{service} is not healthy"
    return None


def unfit_for_rehearsal(runbook: Runbook) -> Iterator[tuple[SourcePosition, str]]:
    """Yield the places of what a rehearsal must not have, with what is wrong there."""
    if runbook.complete_once_begun:
        yield runbook.place, "a rehearsal undoes what it has begun: leave out `completeOnceBegun` or `rehearsal`"
    for step in inner_steps(runbook.steps):
        if isinstance(step.do, RunRunbook):
            yield step.place, "a rehearsal runs no other runbook: write its steps out"
        if step.undo is UndoPolicy.KEEP:
            yield step.place, "a rehearsal undoes all that it has changed: leave out `undo: keep`"
        if isinstance(step.do, Run) and step.do.command.changes and step.undo is UndoPolicy.INVERSE:
            verb = step.do.command.verb
            if not definitions_by_verb()[verb].has_undo:
                yield step.place, f"{verb} has no undo: write the steps that undo it under `undo`, or `undo: none`"


def inner_steps(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps, those inside them, and those that undo them."""
    for step in steps:
        yield step
        if isinstance(step.do, InOrder | Parallel):
            yield from inner_steps(step.do.steps)
        if isinstance(step.undo, tuple):
            yield from inner_steps(step.undo)
