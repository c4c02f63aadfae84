"""
Takes a run back: the runbook's rollback steps, then what else the run changed, newest first, then a last look.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kintsugi.actions.undo import undone_by
from kintsugi.commands import decode
from kintsugi.model.command import Command, Rollout, Scale, Verb
from kintsugi.model.documents import Catalog, InOrder, Runbook, RunRunbook, Step, Together, UndoPolicy
from kintsugi.model.records import Phase, StepRecord, StepState, UndoRecord
from kintsugi.runner.ends import Stopped
from kintsugi.runner.journal import Journal, left_to_undo
from kintsugi.runner.judging import Judging, is_workload_of
from kintsugi.runner.memory import Bearings
from kintsugi.runner.restoring import is_below, restores_below
from kintsugi.runner.rollback_term import FIRST
from kintsugi.runner.walk import Walk
from kintsugi.runner.work import Work
from kintsugi.watchdog import Call

MOST_CHANGES = 5
"""How many changes the sentence about a rollback tells of one by one; the record has them all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenBack:
    """What a rollback has done, as a clause, and how the service is by it: `helped`, or the reason why not."""

    what: str
    helped: bool
    standing: str


class RollBack:
    """The rollback of one run; taken up again after a restart it goes on where it was."""

    def __init__(self, work: Work, catalog: Catalog, runbook: Runbook, judging: Judging) -> None:
        self._work = work
        self._walk = Walk(work, catalog)
        self._catalog = catalog
        self._runbook = runbook
        self._judging = judging

    async def do(self, *, asked: bool) -> TakenBack:
        """
        Roll back and say what was done; a restore only when a person `asked`.

        Raises WalkEnded when it cannot be done, or when there was nothing that could be taken back.
        """
        run = self._work.desk.journal.run
        at = Bearings(phase=Phase.ROLLBACK, service=run.service, runbook=self._runbook.name, parameters=run.parameters)
        await self._work.changes.settle(at)
        await self._work.changes.end_workers(at)
        await self._walk.steps(self._runbook.rollback.steps, at)
        await self._undo_the_rest(at, asked=asked)
        made = taken_back(self._work.desk.journal)
        if not made:
            raise Stopped("", nothing_taken_back(self._work.desk.journal))
        judgement = self._judging.judge_rollback()
        while judgement.call is Call.WAIT:
            await asyncio.sleep(self._work.desk.tools.pace.total_seconds())
            judgement = self._judging.judge_rollback()
        helped = judgement.call is Call.RECOVERED
        return TakenBack(what=self._told(made), helped=helped, standing=judgement.reason)

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
                way, there = self._way_back(step, undo, at)
                await self._work.changes.undo(step, way, there)
        changed = [step.path for step in journal.changes(Phase.FORWARD)]
        there = replace(at, phase=Phase.FORWARD, memory={})
        self._walk.recall(self._runbook.steps, there)
        for written in own_undo_steps(self._runbook.steps, changed):
            await self._walk.steps(written, replace(there, phase=Phase.UNDO))

    def _way_back(self, step: StepRecord, undo: UndoRecord, at: Bearings) -> tuple[UndoRecord, Bearings]:
        """
        Return how a change is taken back, and on which service: our own restart only to a template that was seen good.

        What stood before a restart is what the restart did not help. Where that was never seen good, the way back is the
        last good revision; the action refuses when there is none.
        """
        command = command_of(step)
        if not isinstance(command, Rollout) or command.verb is not Verb.ROLLOUT_RESTART or not undo.commands:
            return undo, at
        world = self._work.desk.tools.world
        service = next(
            (name for name, view in world.views.items() if is_workload_of(command, view.service)), at.service
        )
        there = replace(at, service=service)
        if step.facts.get("revision_template") in world.good(service):
            return undo, there
        return undone_by(replace(command, verb=Verb.ROLLOUT_UNDO, revision=0, timeout=None)), there

    def _is_dealt_with(self, step: StepRecord) -> bool:
        """Return whether the same workload's template was set already: by a rollback step, or after a restart by an undo."""
        command, journal = command_of(step), self._work.desk.journal
        if not isinstance(command, Rollout):
            return False
        later = list(journal.changes(Phase.ROLLBACK))
        if command.verb is Verb.ROLLOUT_RESTART:
            later += [each for each in journal.changes(Phase.UNDO) if is_after(each, step)]
        others = [command_of(each) for each in later if each.state is StepState.DONE]
        return any(isinstance(other, Rollout) and is_same_workload(command, other) for other in others)

    def _is_better_left(self, step: StepRecord) -> bool:
        """Leave copies that were added while the service is not well: fewer would make it worse."""
        view = self._judging.view
        return isinstance(command_of(step), Scale) and (view is None or view.healthy is not True)

    def _told(self, made: Sequence[StepRecord]) -> str:
        """Tell what was taken back: of a workload from which revision to which, of the rest the commands."""
        told = [self._told_of(each) for each in made[:MOST_CHANGES]]
        more = [f"and {len(made) - MOST_CHANGES} changes more"] if len(made) > MOST_CHANGES else []
        return ", ".join([*told, *more])

    def _told_of(self, step: StepRecord) -> str:
        command, former, target = command_of(step), step.facts.get("revision"), step.facts.get("to")
        if not isinstance(command, Rollout) or not target:
            return step.text
        world = self._work.desk.tools.world
        good = any(step.facts.get("to_template") in world.good(name) for name in world.views)
        return f"{command.object} from revision {former} to {target}{', which was seen good' if good else ''}"


def command_of(step: StepRecord) -> Command | None:
    """Read the command of a step back, None when it has none."""
    return decode(step.command) if step.command is not None else None


def is_same_workload(one: Rollout, other: Rollout) -> bool:
    """Return whether two commands are about one object: of the same kind, name and namespace."""
    first, second = one.object, other.object
    return (first.resource, first.name, one.namespace) == (second.resource, second.name, other.namespace)


def is_after(one: StepRecord, other: StepRecord) -> bool:
    """Return whether a change was begun after another one."""
    return one.started is not None and other.started is not None and one.started > other.started


def taken_back(journal: Journal) -> list[StepRecord]:
    """List the changes that rollbacks of the run have made, in their order; what its walk has reverted is none of them."""
    began = journal.fact(FIRST, "when")
    made = [*journal.changes(Phase.ROLLBACK), *journal.changes(Phase.UNDO)]
    return [
        each
        for each in made
        if each.state is StepState.DONE and isinstance(began, datetime) and each.started and each.started >= began
    ]


def nothing_taken_back(journal: Journal) -> str:
    """Say that nothing was taken back, and what was refused on the way, if anything was."""
    refused = [each.error for each in journal.all() if each.phase is not Phase.FORWARD and each.text and each.error]
    return ": ".join(["the run has changed nothing that could be taken back", *refused[:1]])


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
