"""
The changes of one run: a command bound once, one effect an object, and the way back.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog

from kintsugi.actions.confidential import holds_secret
from kintsugi.actions.jobs import ending
from kintsugi.actions.undo import undone_by
from kintsugi.commands import decode, encode
from kintsugi.effect import Effect
from kintsugi.errors import CommandError, EvaluationError
from kintsugi.model.command import Command
from kintsugi.model.documents import Run, Step, UndoPolicy
from kintsugi.model.records import Phase, StepRecord, StepState, UndoRecord
from kintsugi.runner.desk import Desk
from kintsugi.runner.ends import Broken, Ended, Puzzled, Stopped
from kintsugi.runner.journal import left_to_undo, undo_path
from kintsugi.runner.memory import Bearings
from kintsugi.runner.results import merged
from kintsugi.runner.workers import Workers, makes_worker

log = structlog.get_logger(__name__)

OPEN = frozenset({StepState.INTENT, StepState.UNKNOWN})

LEFT_OUT: Mapping[str, object] = {"left_out": True}
"""What is noted of a change that the gate found not to be needed any more."""

UNDO_WORDS = {
    UndoPolicy.KEEP: UndoRecord(note="it stays: the runbook says so"),
    UndoPolicy.NONE: UndoRecord(note="it needs no undo: the runbook says so"),
}


class Changes:
    """Makes and takes back changes. Raises Broken when one failed for good, Puzzled when nobody can tell, Stopped when a value is missing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def change(self, step: Step, at: Bearings) -> Ended:
        """
        Make the change that a step's command means; `met` when any object was changed or was as asked for.

        The gate stands before the command is bound, and before every attempt on every object.
        """
        needless = ""
        if not self._desk.journal.has_begun(at.phase, f"{at.path(step.id)}#0"):
            needless = await self._desk.gate.admission(at).admit()
        ends: list[StepRecord] = []
        for index, command in enumerate([] if needless else await self._commands(step, at)):
            blank = self._effect(step, at, index)
            end = await self._again_and_again(blank, command, at, step)
            if is_left_out(end):
                needless = end.error
                break
            ends.append(end)
            ends += await self._complete(end, blank, at, step)
        if needless and not ends:
            return Ended(ran=False, met=True, state=StepState.SKIPPED, error=needless, left_out=True)
        done = [end for end in ends if end.state is StepState.DONE]
        if done and makes_worker(done[0]):
            return await Workers(self._desk, self.end_worker).see_through(step, at, done[0])
        return Ended(
            ran=bool(done),
            met=bool(done),
            own=merged([end.result or {} for end in done]),
            error="; ".join(end.error for end in ends if end.error),
        )

    async def afresh(self, step: Step, at: Bearings) -> Mapping[str, object]:
        """Read what a step changed as it is now. Raises KubeError when that cannot be read."""
        executor, path = self._desk.tools.executor, at.path(step.id)
        made = [each for each in self._desk.journal.changes(at.phase) if each.state is StepState.DONE]
        below = [each for each in made if each.path.startswith((f"{path}#", f"{path}["))]
        return merged([await executor.look_again(each) for each in below])

    async def settle(self, at: Bearings) -> None:
        """Find out what became of changes that a restart left open; none is begun again. Raises Puzzled."""
        journal, tools = self._desk.journal, self._desk.tools
        for known in [step for step in journal.changes(Phase.FORWARD) if step.state in OPEN]:
            assert known.command is not None, f"{known.path} has an intent without a command"
            command = decode(known.command)
            effect = Effect(
                record=known,
                journal=journal,
                command=command,
                admission=self._desk.gate.admission(at, command, phase=known.phase),
                circumstances=partial(tools.world.circumstances, journal.run, at, known),
                give_up=tools.clock(),
            )
            record = await tools.executor.settle(effect)
            if record.state is StepState.NEEDS_OPERATOR:
                raise Puzzled(record.path, record.error)

    async def end_worker(self, record: StepRecord, at: Bearings) -> None:
        """End a worker whose Job a change has made, whatever the runbook says of its undo."""
        job, namespace = str(record.facts["job"]), str(record.facts["namespace"])
        await self.undo(record, undone_by(ending(job, namespace)), at)

    async def end_workers(self, at: Bearings) -> None:
        """End the workers that are at work still: what they are about is about to be taken back."""
        journal = self._desk.journal
        for record in journal.changes(Phase.FORWARD):
            own_step = record.path.partition("#")[0]
            if makes_worker(record) and journal.ended(Phase.FORWARD, own_step) is None:
                await self.end_worker(record, at)

    async def take_back(self, at: Bearings, path: str) -> None:
        """Undo what was changed at or below a path, the newest first."""
        for step, undo in left_to_undo(self._desk.journal):
            if step.path == path or step.path.startswith((f"{path}/", f"{path}[", f"{path}#")):
                await self.undo(step, undo, at)

    async def undo(self, step: StepRecord, undo: UndoRecord, at: Bearings) -> Sequence[StepRecord]:
        """
        Take one change back by its own inverse, once the gate admits it.

        Raises Stopped when one of several commands is refused: those after it build on it. Asked again, it is tried again.
        """
        ends: list[StepRecord] = []
        for index, command in enumerate(undo.commands):
            path = undo_path(self._desk.journal, step.path, index) if len(undo.commands) > 1 else f"{step.path}~{index}"
            blank = self._desk.blank(path, name=f"Undo: {step.name}", phase=Phase.UNDO)
            ends.append(await self._execute(blank, decode(command), at))
            if len(undo.commands) > 1 and ends[-1].state is not StepState.DONE:
                raise Stopped(path, ends[-1].error)
        return ends

    async def _complete(self, made: StepRecord, blank: StepRecord, at: Bearings, step: Step) -> list[StepRecord]:
        """Make the changes that complete one that was made, each an effect of its own. Raises Stopped when one is refused."""
        follow = made.facts.get("then") if made.state is StepState.DONE else None
        ends: list[StepRecord] = []
        for index, command in enumerate(follow if isinstance(follow, list) else []):
            one = replace(blank, path=f"{blank.path}+{index}")
            end = await self._again_and_again(one, decode(command), replace(at, completing=True), step)
            if end.state is not StepState.DONE:
                raise Stopped(end.path, end.error)
            ends.append(end)
        return ends

    async def _again_and_again(self, blank: StepRecord, command: Command, at: Bearings, step: Step) -> StepRecord:
        """Make one change; where it failed and the step has tries left, judge and make it anew."""
        for attempt in range(step.retry):
            path = blank.path if attempt == 0 else f"{blank.path}r{attempt}"
            try:
                return await self._execute(replace(blank, path=path), command, at, step)
            except Broken as failure:
                log.info("a change failed and is tried again", step=path, why=failure.why)
                await asyncio.sleep(self._desk.tools.pace.total_seconds())
        last = f"{blank.path}r{step.retry}" if step.retry else blank.path
        return await self._execute(replace(blank, path=last), command, at, step)

    def _effect(self, step: Step, at: Bearings, index: int) -> StepRecord:
        record = self._desk.blank(f"{at.path(step.id)}#{index}", name=step.name or step.id, phase=at.phase)
        return replace(record, why=f"{self._desk.incident.reason} (rule {self._desk.incident.rule})")

    async def _execute(self, blank: StepRecord, command: Command, at: Bearings, step: Step | None = None) -> StepRecord:
        journal, world = self._desk.journal, self._desk.tools.world
        record = journal.ended(blank.phase, blank.path)
        if record is None:
            begun = journal.known(blank.phase, blank.path) or blank
            admission = self._desk.gate.admission(at, command, phase=blank.phase)
            # one that has an intent is probed first; what comes of that, the executor asks the gate about
            needless = await admission.admit() if begun.state is StepState.PLANNED else ""
            if needless:
                return replace(blank, state=StepState.SKIPPED, error=needless, facts=LEFT_OUT)
            effect = Effect(
                record=begun,
                journal=journal,
                command=command,
                admission=admission,
                circumstances=partial(world.circumstances, journal.run, at, blank),
                give_up=self._give_up(step),
                undo=undo_word(step) if step is not None else None,
            )
            record = await self._desk.tools.executor.execute(effect)
        if record.state is StepState.FAILED:
            raise Broken(record.path, record.error)
        if record.state is StepState.NEEDS_OPERATOR:
            raise Puzzled(record.path, record.error)
        return record

    def _give_up(self, step: Step | None) -> datetime:
        """Say when no more is tried: at the run's deadline, or when the step's own time is over."""
        latest = max(self._desk.give_up, self._desk.journal.run.deadline)
        if step is None or step.timeout is None:
            return latest
        return min(latest, self._desk.tools.clock() + step.timeout)

    async def _commands(self, step: Step, at: Bearings) -> Sequence[Command]:
        """Bind a step's command, once: what was bound before a restart is read back."""
        assert isinstance(step.do, Run), step.id
        journal, path = self._desk.journal, f"{at.path(step.id)}#"
        known = journal.known(at.phase, path)
        if known is not None and known.command is not None:
            bound = known.command["commands"]
            assert isinstance(bound, list), bound
            return [decode(each) for each in bound]
        begun = journal.known(at.phase, f"{path}0")
        if begun is not None and begun.command is not None:
            return [decode(begun.command)]
        try:
            command = step.do.command.bind(self._desk.names(at), namespace=self._desk.namespace(at))
        except (CommandError, EvaluationError) as error:
            raise Stopped(at.path(step.id), f"its command cannot be told: {error}") from error
        if holds_secret(command, written=step.do.command.source):
            raise Stopped(
                at.path(step.id), "its command holds a secret, which would stand in the ledger: name the Secret instead"
            )
        commands = self._desk.tools.looker.split(command)
        if len(commands) > 1:
            record = self._desk.blank(path, name=step.name or step.id, phase=at.phase)
            frozen = replace(
                record, state=StepState.DONE, met=True, command={"commands": [encode(each) for each in commands]}
            )
            await self._desk.save(frozen, expect=None)
        return commands


def is_left_out(record: StepRecord) -> bool:
    """Return whether a change was not needed any more, so that nothing was written of it."""
    return record.facts == LEFT_OUT


def undo_word(step: Step) -> UndoRecord | None:
    """Give the runbook's own word on how a step is taken back; None leaves it to the action's inverse."""
    if isinstance(step.undo, UndoPolicy):
        return UNDO_WORDS.get(step.undo)
    return UndoRecord(note="its own undo steps take it back")
