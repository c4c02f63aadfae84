"""
Rolls a run back: executes the runbook's rollback steps, undoes the remaining changes, newest first, and checks the service.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from kintsugi.actions.effect_plan import undone_by
from kintsugi.actions.verb_bases import is_same_object, object_of
from kintsugi.commands import decode
from kintsugi.commands.registry import definition_of
from kintsugi.decisions.watchdog import WatchdogDecision, WatchdogResult
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import Phase, StepRecord, StepState, UndoRecord
from kintsugi.model.runbooks import Runbook, RunRunbook, Step, UndoPolicy
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.context import ClusterView, RollbackDecision, RunContext, StepScope
from kintsugi.runner.deadlines import noted_of
from kintsugi.runner.ends import ExecutionStopped
from kintsugi.runner.interpreter import Interpreter
from kintsugi.runner.journal import Journal, command_of, left_to_undo
from kintsugi.runner.report import between
from kintsugi.runner.run_watchdog import RunWatchdog
from kintsugi.runner.sections import sections, with_paths
from kintsugi.runner.seen_workload import is_workload_of

MOST_CHANGES = 5
"""The number of changes that the sentence about a rollback lists; the record has them all."""


class RollbackRunner:
    """The rollback of one run; after a restart it continues where it was."""

    def __init__(self, context: RunContext, catalog: Catalog, runbook: Runbook, watchdog: RunWatchdog) -> None:
        self._context = context
        self._interpreter = Interpreter(context, catalog)
        self._changes = self._interpreter.changes
        self._catalog = catalog
        self._runbook = runbook
        self._watchdog = watchdog

    async def do(self, *, since: datetime, asked: bool) -> tuple[str, WatchdogResult]:
        """
        Roll back; return what was done, and whether it helped. `since` is when this rollback began.

        A section is rolled back only when a person `asked`.

        Raises RollbackSuperseded where somebody has changed or repaired the service since the decision, ExecutionAborted when it
        fails, or when there was nothing to undo.
        """
        run = self._context.journal.run
        scope = StepScope(
            phase=Phase.ROLLBACK,
            service=run.service,
            runbook=self._runbook.name,
            parameters=run.parameters,
            alert=self._context.alert,
        )
        await self._changes.settle(scope)
        await self._changes.end_jobs(scope)  # a Job of ours ends whatever somebody has repaired meanwhile
        scope = replace(scope, rollback=RollbackDecision(workload=run.workload_decided, since=since, requested=asked))
        await self._interpreter.execute_steps(self._runbook.rollback.steps, scope)
        await self._undo_the_rest(scope, asked=asked)
        made = undone_changes(self._context.journal)
        if not made:
            raise ExecutionStopped(RUN, no_undo_text(self._context.journal))
        result = self._watchdog.evaluate_rollback()
        while result.decision is WatchdogDecision.WAIT:
            await asyncio.sleep(self._context.deps.poll_interval.total_seconds())
            result = self._watchdog.evaluate_rollback()
        return self._summary(made), result

    async def _undo_the_rest(self, scope: StepScope, *, asked: bool) -> None:
        """
        Undo the run's changes, except those that a rollback step has handled or that are better left for now.

        A section is undone whole: any part that stayed would block the rest.
        """
        journal = self._context.journal
        whole = [path for path, _ in sections(self._runbook, self._catalog)]
        committed = [path for path in recovered_children(self._runbook.steps, journal) if path not in whole]
        left_alone = committed if asked else [*committed, *whole]
        for step, undo in left_to_undo(journal):
            if any(step.step_path.is_below(path) for path in left_alone):
                continue
            in_section = any(step.step_path.is_below(path) for path in whole)
            if in_section or not (self._is_dealt_with(step) or self._is_better_left(step)):
                found, service = undo_of(step, undo, self._context.deps.observed, scope.service)
                await self._changes.undo(step, found, replace(scope, service=service))
        changed = [step.step_path for step in journal.changes(Phase.FORWARD)]
        undo_scope = replace(scope, phase=Phase.FORWARD, outcomes={})
        self._interpreter.recall(self._runbook.steps, undo_scope)
        for written in authored_undo_steps(self._runbook.steps, changed):
            await self._interpreter.execute_steps(written, replace(undo_scope, phase=Phase.UNDO))

    def _is_dealt_with(self, step: StepRecord) -> bool:
        """Return whether a rollback step, or after a restart an undo, has set the same workload's template already."""
        command, journal = command_of(step), self._context.journal
        if command is None or not definition_of(command).rolls_out:
            return False
        later = list(journal.changes(Phase.ROLLBACK))
        if definition_of(command).restarts:
            later += [each for each in journal.changes(Phase.UNDO) if started_after(each, step)]
        others = [decode(each.command) for each in later if each.state is StepState.DONE and each.command is not None]
        return any(definition_of(other).rolls_out and is_same_object(command, other) for other in others)

    def _is_better_left(self, step: StepRecord) -> bool:
        """Return whether added replicas are kept while the service is not healthy: fewer would make it worse."""
        view = self._watchdog.view
        command = command_of(step)
        scales = command is not None and definition_of(command).changes_replicas
        return scales and (view is None or view.healthy is not True)

    def _summary(self, made: Sequence[StepRecord]) -> str:
        """Return what was undone: for workloads the revisions, for the rest the commands."""
        parts = [self._step_summary(each) for each in made[:MOST_CHANGES]]
        more = [f"and {len(made) - MOST_CHANGES} more changes"] if len(made) > MOST_CHANGES else []
        return ", ".join([*parts, *more])

    def _step_summary(self, step: StepRecord) -> str:
        command = command_of(step)
        if command is None or not definition_of(command).rolls_out or not step.facts.get("to"):
            return step.text
        observed = self._context.deps.observed
        good = any(step.facts.get("to_template") in observed.good(name) for name in observed.views)
        return f"{object_of(command)} {between(step)}{', which was seen good' if good else ''}"


def undo_of(step: StepRecord, undo: UndoRecord, observed: ClusterView, service: str) -> tuple[UndoRecord, str]:
    """
    Return the undo of a change, and its service. The undo of our own restart leads only to a template that was seen good.

    The restart did not help the template before it. Where that was never seen good, the undo leads to the last good
    revision; the action refuses when there is none.
    """
    command = command_of(step)
    back = definition_of(command).to_good_revision(command) if command is not None else None
    if command is None or back is None or not undo.commands:
        return undo, service
    owner = next((name for name, view in observed.views.items() if is_workload_of(command, view.service)), service)
    if step.facts.get("revision_template") in observed.good(owner):
        return undo, owner
    return undone_by(back), owner


def started_after(one: StepRecord, other: StepRecord) -> bool:
    """Return whether a change was begun after another."""
    return one.started is not None and other.started is not None and one.started > other.started


def undone_changes(journal: Journal) -> list[StepRecord]:
    """Return the changes that rollbacks of the run have made, in order; undo steps of its execution are not among them."""
    began = journal.fact(noted_of(0), "when")
    return journal.made_in_rollback(began) if isinstance(began, datetime) else []


def no_undo_text(journal: Journal) -> str:
    """Return a sentence that nothing was undone, with the refusals, if any."""
    refused = [each.error for each in journal.all() if each.phase is not Phase.FORWARD and each.text and each.error]
    return ": ".join(["the run has no change to undo", *refused[:1]])


def recovered_children(steps: Sequence[Step], journal: Journal) -> Iterator[StepPath]:
    """Yield the paths of steps by which a child runbook recovered its service: the parent does not undo these."""
    for path, step in with_paths(steps):
        ended = journal.ended(Phase.FORWARD, path)
        if isinstance(step.do, RunRunbook) and ended is not None and ended.met:
            yield path


def authored_undo_steps(steps: Sequence[Step], changed: Sequence[StepPath]) -> Iterator[tuple[Step, ...]]:
    """Yield the authors' undo steps of steps that changed something, the last step's first."""
    for path, step in reversed(list(with_paths(steps))):
        if not isinstance(step.undo, UndoPolicy) and any(each.is_below(path) for each in changed):
            yield step.undo
