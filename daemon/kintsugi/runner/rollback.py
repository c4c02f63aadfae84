"""
Takes a run back: the runbook's rollback steps, then what else the run changed, newest first, then a last look.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kintsugi.commands import decode
from kintsugi.model.command import Rollout, Scale
from kintsugi.model.documents import Catalog, InOrder, Runbook, RunRunbook, Step, Together, UndoPolicy
from kintsugi.model.records import Phase, StepRecord, StepState
from kintsugi.runner.ends import Stopped
from kintsugi.runner.journal import Journal, left_to_undo
from kintsugi.runner.judging import Judging
from kintsugi.runner.memory import Bearings
from kintsugi.runner.restoring import is_below, restores_below
from kintsugi.runner.walk import Walk
from kintsugi.runner.work import Work


class RollBack:
    """The rollback of one run; taken up again after a restart it goes on where it was."""

    def __init__(self, work: Work, catalog: Catalog, runbook: Runbook, judging: Judging) -> None:
        self._work = work
        self._walk = Walk(work, catalog)
        self._catalog = catalog
        self._runbook = runbook
        self._judging = judging

    async def do(self, *, asked: bool) -> str:
        """
        Roll back and say what was done; a restore only when a person `asked`.

        Raises WalkEnded when it cannot be done or did not help.
        """
        run = self._work.desk.journal.run
        at = Bearings(phase=Phase.ROLLBACK, service=run.service, runbook=self._runbook.name, parameters=run.parameters)
        await self._work.changes.settle(at)
        await self._work.changes.end_workers(at)
        await self._walk.steps(self._runbook.rollback.steps, at)
        await self._undo_the_rest(at, asked=asked)
        if not self._runbook.rollback.steps and not self._has_undone():
            raise Stopped("", "the run has changed nothing that could be taken back")
        await self._look_at_last(run.service)
        return "rolled back, and the service is healthy"

    async def _undo_the_rest(self, at: Bearings, *, asked: bool) -> None:
        """
        Undo what the run changed, unless a rollback step has dealt with it or it is better left for now.

        A restore is taken back whole: what of it were left would stand in the way of the rest.
        """
        journal = self._work.desk.journal
        restores = [path for path, _ in restores_below(self._runbook.steps, self._catalog)]
        restores += [""] if self._runbook.restores else []
        committed = [path for path in recovered_children(self._runbook.steps, journal) if path not in restores]
        left_alone = committed if asked else [*committed, *restores]
        for step, undo in left_to_undo(journal):
            if any(is_below(step.path, path) for path in left_alone):
                continue
            whole = any(is_below(step.path, path) for path in restores)
            if whole or not (self._is_dealt_with(step) or self._is_better_left(step)):
                await self._work.changes.undo(step, undo, at)
        changed = [step.path for step in journal.changes(Phase.FORWARD)]
        there = replace(at, phase=Phase.FORWARD, memory={})
        self._walk.recall(self._runbook.steps, there)
        for written in own_undo_steps(self._runbook.steps, changed):
            await self._walk.steps(written, replace(there, phase=Phase.UNDO))

    def _has_undone(self) -> bool:
        """Tell whether anything was taken back, before a restart or now."""
        return any(step.phase is Phase.UNDO for step in self._work.desk.journal.all())

    def _is_dealt_with(self, step: StepRecord) -> bool:
        """Tell whether a rollback step has set the same workload's template already."""
        command = decode(step.command) if step.command is not None else None
        if not isinstance(command, Rollout):
            return False
        return any(
            isinstance(other := decode(each.command), Rollout) and other.object.name == command.object.name
            for each in self._work.desk.journal.changes(Phase.ROLLBACK)
            if each.command is not None and each.state is StepState.DONE
        )

    def _is_better_left(self, step: StepRecord) -> bool:
        """Leave copies that were added while the service is not well: fewer would make it worse."""
        scaled = step.command is not None and isinstance(decode(step.command), Scale)
        return scaled and not self._is_well()

    def _is_well(self) -> bool:
        view = self._judging.view
        return view is not None and view.healthy is True

    async def _look_at_last(self, service: str) -> None:
        """Wait a while for health. Raises Stopped when it does not come."""
        tools = self._work.desk.tools
        until = tools.clock() + self._judging.patience.verify
        while not self._is_well() and tools.clock() < until:
            await asyncio.sleep(tools.pace.total_seconds())
        view = self._judging.view
        if not self._is_well():
            ready = f"{view.ready} of {view.desired} ready" if view is not None else "it cannot be seen"
            raise Stopped("", f"it was rolled back, but {service} is not healthy: {ready}")


def recovered_children(steps: Sequence[Step], journal: Journal, prefix: str = "") -> Iterator[str]:
    """List the paths of steps by which a child runbook recovered its service: its parent does not undo that."""
    for step in steps:
        path = f"{prefix}{step.id}"
        if isinstance(step.do, InOrder | Together):
            yield from recovered_children(step.do.steps, journal, f"{path}/")
        ended = journal.ended(Phase.FORWARD, path)
        if isinstance(step.do, RunRunbook) and ended is not None and ended.met:
            yield path


def own_undo_steps(steps: Sequence[Step], changed: Sequence[str], prefix: str = "") -> list[tuple[Step, ...]]:
    """List the undo steps that authors wrote for steps that changed something, the last step's first."""
    found: list[tuple[Step, ...]] = []
    for step in reversed(steps):
        path = f"{prefix}{step.id}"
        if isinstance(step.do, InOrder | Together):
            found.extend(own_undo_steps(step.do.steps, changed, f"{path}/"))
        if not isinstance(step.undo, UndoPolicy) and any(
            each.startswith((f"{path}#", f"{path}[", f"{path}/")) for each in changed
        ):
            found.append(step.undo)
    return found
