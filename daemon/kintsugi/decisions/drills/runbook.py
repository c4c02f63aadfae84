"""The rules for a drill's runbook: it restores into a server of its own, and touches nothing live."""

from collections.abc import Iterable, Iterator

from kintsugi.commands.registry import definition_of, definitions_by_verb
from kintsugi.model.command import PgRestore
from kintsugi.model.hosts import OWN_SERVER
from kintsugi.model.runbooks import InOrder, Parallel, Run, Runbook, RunRunbook, Step
from kintsugi.model.worker_results import DRILL

SCRATCH = f"{DRILL}${{incident.id}}"
"""The name of the scratch database in a drill's runbook."""


def objections(runbook: Runbook) -> Iterator[tuple[Step, str]]:
    """Yield each step that a drill must not have, with what is wrong with it."""
    for step in _all((*runbook.steps, *runbook.rollback.steps)):
        if isinstance(step.do, RunRunbook):
            yield step, "a drill runs no other runbook: write its steps out"
        if step.approve is not None:
            yield step, "a drill never asks for approval: report the finding instead"
        if isinstance(step.do, Run) and step.do.command.changes:
            yield from ((step, what) for what in _about(step.do))


def _about(do: Run) -> Iterator[str]:
    allowed = {verb for verb, definition in definitions_by_verb().items() if definition.allowed_in_drill}
    if do.command.verb not in allowed:
        yield f"a drill changes nothing live: only {', '.join(sorted(allowed))} may be used here"
    elif (restored := _restored(do)) is not None:
        if SCRATCH not in do.command.source or not restored.database.startswith(DRILL):
            yield f"a drill restores into a scratch database of its own: write -d {SCRATCH}"
        elif not restored.on_own_server:
            yield f"a drill restores into a server of its own, which ends with its Job: write -h {OWN_SERVER}"


def _restored(do: Run) -> PgRestore | None:
    command = do.command.sample()
    return definition_of(command).restore(command)


def _all(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step.do, InOrder | Parallel):
            yield from _all(step.do.steps)
        if isinstance(step.undo, tuple):
            yield from _all(step.undo)
