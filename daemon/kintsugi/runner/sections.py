"""
Sections: runbooks whose steps are completed once one of them has changed anything (`completeOnceBegun: true`).

A section that has begun does not stop half-way at the end of the trigger, is never closed by itself before its end, and only a
person may have it undone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from kintsugi.commands import decode
from kintsugi.commands.registry import definition_of
from kintsugi.decisions.planner import stoppable_workloads
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import Phase
from kintsugi.model.runbooks import Runbook, RunRunbook, Step
from kintsugi.model.services import Service
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.journal import Journal


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A runbook that is completed once begun: its path in the run (the run itself for the run's own), and what it may stop."""

    path: StepPath
    stoppable_workloads: frozenset[str]

    @classmethod
    def of(
        cls,
        runbook: Runbook,
        service: Service | None,
        parameters: Mapping[str, object],
        path: StepPath,
        outer: "Section | None" = None,
    ) -> "Section | None":
        """Return the section that the steps of a runbook at a path belong to, None where it is none; `outer` has run it."""
        if service is None or not runbook.complete_once_begun:
            return outer
        known = outer or cls(path=path, stoppable_workloads=frozenset())
        own = stoppable_workloads(runbook, service, parameters)
        return replace(known, stoppable_workloads=known.stoppable_workloads | own)


def has_begun(journal: Journal, path: StepPath) -> bool:
    """Return whether a section at a path has changed anything that was there before."""
    return any(
        step.step_path.is_below(path)
        and step.command is not None
        and step.facts.get("already") is not True
        and definition_of(decode(step.command)).begins_section
        for step in journal.changes(Phase.FORWARD)
    )


def sections(runbook: Runbook, catalog: Catalog, path: StepPath = RUN) -> Iterator[tuple[StepPath, Runbook]]:
    """List the sections of a runbook at a path: the runbook itself, and those that it runs, each with its path."""
    if runbook.complete_once_begun:
        yield path, runbook
    for at, step in with_paths(runbook.steps, path):
        if isinstance(step.do, RunRunbook):
            yield from sections(catalog.runbooks[step.do.runbook], catalog, at)


def with_paths(steps: Iterable[Step], above: StepPath = RUN) -> Iterator[tuple[StepPath, Step]]:
    """Yield steps, each before the steps inside it, with their paths."""
    for step in steps:
        path = above.down(step.id)
        yield path, step
        yield from with_paths(step.inner, path)


def step_at(runbook: Runbook, catalog: Catalog, path: StepPath) -> Step | None:
    """Return the step at a path of a run's record, also within the runbooks that the runbook runs; None where there is none."""
    steps = runbook.steps
    found: Step | None = None
    for each in path.steps:
        found = next((step for step in steps if step.id == each.id), None)
        if found is None:
            return None
        steps = catalog.runbooks[found.do.runbook].steps if isinstance(found.do, RunRunbook) else found.inner
    return found


def unfinished(runbook: Runbook, catalog: Catalog, journal: Journal) -> str:
    """Return the title of a section that a run whose steps are over has begun and not completed, "" for none."""
    for path, section in sections(runbook, catalog):
        ended = journal.ended(Phase.FORWARD, RUN.down(section.steps[-1].id) if path == RUN else path)
        if has_begun(journal, path) and (ended is None or (path != RUN and not ended.met)):
            return section.title
    return ""
