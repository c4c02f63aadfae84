"""What a runbook of drills may do: nothing live is touched, and what it makes it drops."""

from collections.abc import Iterable, Iterator

from kintsugi.errors import CommandError
from kintsugi.model.command import Command, PgRestore, Verb
from kintsugi.model.documents import InOrder, Run, Runbook, RunRunbook, Step, Together
from kintsugi.model.restore import DRILL

ALLOWED = frozenset({Verb.BACKUP_FETCH, Verb.PG_RESTORE, Verb.DROPDB})
SCRATCH = f"{DRILL}${{incident.id}}"
"""What a drill's runbook writes for the name of its scratch database."""


def objections(runbook: Runbook) -> Iterator[tuple[Step, str]]:
    """Yield each step that a drill must not have, with what is wrong with it."""
    for step in _all((*runbook.steps, *runbook.rollback.steps)):
        if isinstance(step.do, RunRunbook):
            yield step, "a drill runs no other runbook: write its steps out"
        if step.approve is not None:
            yield step, "a drill asks nobody: let the report say it"
        if isinstance(step.do, Run) and step.do.command.changes:
            yield from ((step, what) for what in _about(step.do))
    if not any(_drops(step) for step in _all(runbook.rollback.steps)):
        yield runbook.steps[-1], f"rollback.steps must drop what it restored: dropdb -h HOST -U USER {SCRATCH}"


def _about(do: Run) -> Iterator[str]:
    if do.command.verb not in ALLOWED:
        yield f"a drill changes nothing live: only {', '.join(sorted(ALLOWED))} may stand here"
    elif do.command.verb is Verb.PG_RESTORE and SCRATCH not in do.command.source:
        yield f"a drill restores into a scratch database of its own: write -d {SCRATCH}"
    elif do.command.verb is Verb.PG_RESTORE:
        restored = _sample(do)
        if not (isinstance(restored, PgRestore) and restored.database.startswith(DRILL)):
            yield f"a drill restores into a scratch database of its own: write -d {SCRATCH}"


def _sample(do: Run) -> Command | None:
    try:
        return do.command.sample()
    except CommandError:
        return None


def _drops(step: Step) -> bool:
    return isinstance(step.do, Run) and step.do.command.verb is Verb.DROPDB and SCRATCH in step.do.command.source


def _all(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step.do, InOrder | Together):
            yield from _all(step.do.steps)
        if isinstance(step.undo, tuple):
            yield from _all(step.undo)
