"""
What sets a restore apart: once it has touched anything it is not left half-way because the trigger has ended, it is
never closed by itself before its end, and never taken back but by a person's word.
"""

from collections.abc import Iterator, Mapping, Sequence

from kintsugi.commands import decode
from kintsugi.model.command import Create, Delete, Mark, Patch, Scale
from kintsugi.model.documents import Catalog, InOrder, Runbook, RunRunbook, Service, Step, Together
from kintsugi.model.records import Phase, StepRecord
from kintsugi.planner import may_stop
from kintsugi.runner.journal import Journal
from kintsugi.runner.memory import Restoring

TOUCHING = (Create, Delete, Mark, Patch, Scale)
"""Changes of what was there before; a Job that fetches a backup touches nothing."""


def restoring(
    runbook: Runbook, service: Service | None, parameters: Mapping[str, object], path: str
) -> Restoring | None:
    """Say of a runbook that begins at a path whether it restores, and what it may stop."""
    if service is None or not runbook.restores:
        return None
    return Restoring(path=path, may_stop=may_stop(runbook, service, parameters))


def is_under_way(journal: Journal, path: str) -> bool:
    """Tell whether the restore at a path has touched anything."""
    return any(_touches(step) and is_below(step.path, path) for step in journal.changes(Phase.FORWARD))


def unfinished(runbook: Runbook, catalog: Catalog, journal: Journal) -> bool:
    """Tell of a run whose walk is over whether it has touched anything for a restore that did not come to its end."""
    own = [""] if runbook.restores and journal.ended(Phase.FORWARD, runbook.steps[-1].id) is None else []
    return any(is_under_way(journal, path) for path in (*own, *_broken_off(runbook, catalog, journal)))


def restores_below(steps: Sequence[Step], catalog: Catalog, prefix: str = "") -> Iterator[tuple[str, Runbook]]:
    """List the paths of the steps that run a restore, in other runbooks too, each with its runbook."""
    for step in steps:
        path = f"{prefix}{step.id}"
        if isinstance(step.do, InOrder | Together):
            yield from restores_below(step.do.steps, catalog, f"{path}/")
        if isinstance(step.do, RunRunbook):
            child = catalog.runbooks[step.do.runbook]
            if child.restores:
                yield path, child
            else:
                yield from restores_below(child.steps, catalog, f"{path}/")


def is_below(path: str, above: str) -> bool:
    """Tell whether a path is inside another; everything is inside the run itself ("")."""
    return not above or path.startswith((f"{above}/", f"{above}["))


def _broken_off(runbook: Runbook, catalog: Catalog, journal: Journal) -> Iterator[str]:
    for path, _ in restores_below(runbook.steps, catalog):
        ended = journal.ended(Phase.FORWARD, path)
        if ended is None or ended.met is not True:
            yield path


def _touches(step: StepRecord) -> bool:
    return (
        step.command is not None
        and step.facts.get("already") is not True
        and isinstance(decode(step.command), TOUCHING)
    )
