"""
The changes of one run: each command is bound once and becomes one effect an object; their undo; and the Jobs that they make.

Nothing is written while a Job is watched: its state is in the cluster, so that a restarted process continues to watch it, and
the step ends when the Job does.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from kintsugi.actions.command_secrets import holds_secret
from kintsugi.actions.effect_plan import undone_by
from kintsugi.actions.job_effect import JobStage, JobState, ending
from kintsugi.commands import decode, encode
from kintsugi.commands.registry import definition_of, makes_new_pods
from kintsugi.decisions.disruptions import deleted_uid, serving, take_next
from kintsugi.decisions.remedies import RESTARTS
from kintsugi.durations import format_duration
from kintsugi.errors import CommandError, DecryptionFailed, EvaluationError, Forbidden, KubeError
from kintsugi.executor import Admission, Effect, effect_plan_of
from kintsugi.model.command import Command
from kintsugi.model.records import Phase, RunKind, StepRecord, StepState, UndoRecord
from kintsugi.model.runbooks import Run, Step, UndoPolicy
from kintsugi.model.step_path import StepPath
from kintsugi.runner.context import RunContext, StepScope
from kintsugi.runner.ends import EffectFailed, ExecutionStopped, OutcomeAmbiguous, StepEnd, merge_results
from kintsugi.runner.journal import last_try, left_to_undo
from kintsugi.runner.wait import measure, probe

log = structlog.get_logger(__name__)

OPEN = frozenset({StepState.INTENT, StepState.UNKNOWN})

LEFT_OUT: Mapping[str, object] = {"left_out": True}
"""Noted of a change that the gate found to be no longer needed."""

UNDO_WORDS = {
    UndoPolicy.KEEP: UndoRecord(note="the runbook keeps this change"),
    UndoPolicy.NONE: UndoRecord(note="the runbook declares that no undo is needed"),
}

GOES_ON = frozenset({JobStage.STARTING, JobStage.RUNNING})
LETTING_GO = timedelta(minutes=3)
"""The time that an ended Job may take to let go of what it works on: its own clean-up, and a node's time to notice."""


class Changes:
    """
    Makes changes and undoes them.

    Raises EffectFailed when a change failed for good, OutcomeAmbiguous when its outcome cannot be determined,
    ExecutionStopped when a value or a key is missing.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context

    async def change(self, step: Step, scope: StepScope) -> StepEnd:
        """
        Make the change of a step's command; `met` when any object was changed or was as requested already.

        The gate is asked before the command is bound, and before every attempt on every object.
        """
        scope = replace(scope, completing=scope.completing or step.even_if_resolved)
        skip_reason = ""
        if not self._context.journal.has_begun(scope.phase, scope.path(step.id).changing(0)):
            skip_reason = await self._context.gate.admission(scope).admit()
        ends: list[StepRecord] = []
        waiting = list(enumerate([] if skip_reason else await self._commands(step, scope)))
        while waiting:
            views = self._context.deps.observed.views
            # deletions of serving pods come last, since they may wait
            index, command = take_next(waiting, partial(deleted_uid, views=views), serving(views.values()))
            blank = self._blank(step, scope, index)
            end = await self._again_and_again(blank, command, scope, step)
            if is_left_out(end):
                skip_reason = end.error
                break
            ends.append(end)
            ends += await self._complete(end, blank, scope, step)
        if skip_reason and not ends:
            return StepEnd(ran=False, met=True, state=StepState.SKIPPED, error=skip_reason, left_out=True)
        done = [end for end in ends if end.state is StepState.DONE]
        if done and makes_job(done[0]):
            return await JobWatch(self._context, self).see_through(step, scope, done[0])
        return StepEnd(
            ran=bool(done),
            met=bool(done),
            error="; ".join(end.error for end in ends if end.error),
            lost=self._context.journal.lost_of(done),
            result=merge_results([end.result or {} for end in done]),
        )

    async def settle(self, scope: StepScope) -> None:
        """Settle the changes that a restart left open; none is attempted again. Raises OutcomeAmbiguous."""
        journal, deps = self._context.journal, self._context.deps
        for known in [step for step in journal.changes(Phase.FORWARD) if step.state in OPEN]:
            assert known.command is not None, f"{known.path} has an intent without a command"
            command = decode(known.command)
            admission = self._context.gate.admission(scope, command, phase=known.phase)
            record = await deps.executor.settle(self._effect(known, command, admission, scope, deps.clock()))
            if record.state is StepState.NEEDS_OPERATOR:
                raise OutcomeAmbiguous(record.step_path, record.error)

    async def end_job(self, record: StepRecord, scope: StepScope) -> None:
        """End the Job that a change has created, even if the runbook does not undo it."""
        job, namespace = str(record.facts["job"]), str(record.facts["namespace"])
        await self.undo(record, undone_by(ending(job, namespace)), scope)

    async def end_jobs(self, scope: StepScope) -> None:
        """End the Jobs that are still running, before their changes are undone."""
        journal = self._context.journal
        for record in journal.changes(Phase.FORWARD):
            if makes_job(record) and journal.ended(Phase.FORWARD, record.step_path.step) is None:
                await self.end_job(record, scope)

    async def undo_below(self, scope: StepScope, path: StepPath) -> None:
        """Undo the changes at or below a path, newest first."""
        for step, undo in left_to_undo(self._context.journal):
            if step.step_path.is_at_or_below(path):
                await self.undo(step, undo, scope)

    async def undo(self, step: StepRecord, undo: UndoRecord, scope: StepScope) -> Sequence[StepRecord]:
        """
        Undo one change by its recorded commands, once the gate admits each.

        Raises ExecutionStopped when one of several commands is refused: those after it depend on it. A later call tries it
        again.
        """
        ends: list[StepRecord] = []
        for index, command in enumerate(undo.commands):
            path = step.step_path.undone_by(index)
            if len(undo.commands) > 1:
                path = last_try(self._context.journal, path)
            blank = self._context.journal.blank(path, name=f"Undo: {step.name}", phase=Phase.UNDO)
            ends.append(await self._execute(blank, decode(command), replace(scope, undoes=True)))
            if len(undo.commands) > 1 and ends[-1].state is not StepState.DONE:
                raise ExecutionStopped(path, ends[-1].error)
        return ends

    async def _complete(self, made: StepRecord, blank: StepRecord, scope: StepScope, step: Step) -> list[StepRecord]:
        """Make the changes that complete another one, each as its own effect. Raises ExecutionStopped when one is refused."""
        follow = made.facts.get("then") if made.state is StepState.DONE else None
        ends: list[StepRecord] = []
        for index, command in enumerate(follow if isinstance(follow, list) else []):
            one = replace(blank, path=str(blank.step_path.completed_by(index)))
            end = await self._again_and_again(one, decode(command), replace(scope, completing=True), step)
            if end.state is not StepState.DONE:
                raise ExecutionStopped(end.step_path, end.error)
            ends.append(end)
        return ends

    async def _again_and_again(self, blank: StepRecord, command: Command, scope: StepScope, step: Step) -> StepRecord:
        """Make one change; while it fails and the step has retries left, judge and make it again."""
        for attempt in range(step.retries):
            path = str(blank.step_path.retried(attempt))
            try:
                return await self._execute(replace(blank, path=path), command, scope, step)
            except EffectFailed as failure:
                log.info("change retried", step=path, why=failure.why)
                await asyncio.sleep(self._context.deps.poll_interval.total_seconds())
        last = str(blank.step_path.retried(step.retries))
        return await self._execute(replace(blank, path=last), command, scope, step)

    def _effect(
        self, record: StepRecord, command: Command, admission: Admission, scope: StepScope, retry_until: datetime
    ) -> Effect:
        journal, deps = self._context.journal, self._context.deps
        return Effect(
            record=record,
            journal=journal,
            command=command,
            admission=admission,
            change_context=partial(deps.observed.change_context, journal.run, scope, record),
            retry_until=retry_until,
            namespace=journal.run.namespace,
            stopping=deps.stopping,
        )

    def _blank(self, step: Step, scope: StepScope, index: int) -> StepRecord:
        record = self._context.journal.blank(
            scope.path(step.id).changing(index), name=step.name or step.id, phase=scope.phase
        )
        return replace(record, why=f"{self._context.incident.reason} (rule {self._context.incident.rule})")

    async def _execute(
        self, blank: StepRecord, command: Command, scope: StepScope, step: Step | None = None
    ) -> StepRecord:
        journal, deps = self._context.journal, self._context.deps
        record = journal.ended(blank.phase, blank.step_path)
        if record is None:
            begun = journal.known(blank.phase, blank.step_path) or blank
            admission = self._context.gate.admission(scope, command, phase=blank.phase)
            # one that has an intent is probed first; what comes of that, the executor asks the gate about
            is_new = begun.state is StepState.PLANNED
            skip_reason = (await admission.admit() or await self._withdrawn(command, scope)) if is_new else ""
            if skip_reason:
                return replace(blank, state=StepState.SKIPPED, error=skip_reason, facts=LEFT_OUT)
            effect = self._effect(begun, command, admission, scope, self._retry_until(step))
            if step is not None:
                is_rehearsal = journal.run.kind is RunKind.REHEARSAL
                effect = replace(effect, undo=undo_word(step), must_be_undoable=is_rehearsal)
            try:
                record = await deps.executor.execute(effect)
            except DecryptionFailed as error:
                raise ExecutionStopped(
                    blank.step_path, f"{error}; restore the key, and request the rollback again"
                ) from error
        if record.state is StepState.FAILED:
            raise EffectFailed(record.step_path, record.error)
        if record.state is StepState.NEEDS_OPERATOR:
            raise OutcomeAmbiguous(record.step_path, record.error)
        return record

    async def _withdrawn(self, command: Command, scope: StepScope) -> str:
        """
        Return why the diagnosis that asked for a restart asks for it no longer, "" where it does, or where none did.

        It is made again right before the restart: an upstream may have failed since, or the pods may have become ready.
        """
        diagnoses = [each for each in scope.outcomes.values() if each.step is not None and "remedy" in each.result]
        if not makes_new_pods(command) or scope.completing or scope.phase is not Phase.FORWARD:
            return ""
        if not diagnoses or diagnoses[-1].result["remedy"] not in RESTARTS:
            return ""
        asking = diagnoses[-1]
        assert asking.step is not None
        now = await probe(self._context, asking.step, scope)
        if all(now.result.get(name) == asking.result[name] for name in ("remedy", "cause")):
            return ""
        return f"the diagnosis no longer asks for it: {now.result.get('reason') or now.error}"

    def _retry_until(self, step: Step | None) -> datetime:
        """Return when attempts end: at the run's deadline, or at the end of the step's `timeout`."""
        latest = max(self._context.retry_until, self._context.journal.run.deadline)
        if step is None or step.timeout is None:
            return latest
        return min(latest, self._context.deps.clock() + step.timeout)

    async def _commands(self, step: Step, scope: StepScope) -> Sequence[Command]:
        """Bind a step's command once; a command that was bound before a restart is read from the journal."""
        assert isinstance(step.do, Run), step.id
        journal, path = self._context.journal, scope.path(step.id)
        known = journal.known(scope.phase, path.split_up())
        if known is not None and known.command is not None:
            bound = known.command["commands"]
            assert isinstance(bound, list), bound
            return [decode(each) for each in bound]
        begun = journal.known(scope.phase, path.changing(0))
        if begun is not None and begun.command is not None:
            return [decode(begun.command)]
        try:
            command = self._context.bound(step.do.command, scope)
        except (CommandError, EvaluationError) as error:
            raise ExecutionStopped(scope.path(step.id), f"its command cannot be resolved: {error}") from error
        if holds_secret(command, written=step.do.command.source):
            raise ExecutionStopped(
                scope.path(step.id),
                "its command contains a secret, which the ledger would store: name the Secret instead",
            )
        commands = self._context.deps.prober.split(command)
        if len(commands) > 1:
            record = self._context.journal.blank(path.split_up(), name=step.name or step.id, phase=scope.phase)
            frozen = replace(
                record, state=StepState.DONE, met=True, command={"commands": [encode(each) for each in commands]}
            )
            await journal.save_step(frozen, expect=None, now=self._context.deps.clock(), deferred=True)
        return commands


def makes_job(record: StepRecord) -> bool:
    """Return whether an effect created a Job."""
    return record.command is not None and definition_of(decode(record.command)).makes_job


def is_left_out(record: StepRecord) -> bool:
    """Return whether a change was no longer needed, so that nothing was written."""
    return record.facts == LEFT_OUT


def undo_word(step: Step) -> UndoRecord | None:
    """Return the undo that the runbook declares for a step; None for the action's own inverse."""
    if isinstance(step.undo, UndoPolicy):
        return UNDO_WORDS.get(step.undo)
    return UndoRecord(note="the undo steps of this step undo the change")


class JobWatch:
    """Watches the Jobs that the changes of one run have made."""

    def __init__(self, context: RunContext, changes: Changes) -> None:
        self._context = context
        self._changes = changes

    async def see_through(self, step: Step, scope: StepScope, record: StepRecord) -> StepEnd:
        """
        Wait until the Job has ended, or has made no progress for the step's `timeout`; then it is ended.

        Raises OutcomeAmbiguous when its progress cannot be found out.
        """
        status = await self._watched(step, scope, record)
        if status.stage is JobStage.STUCK:
            status = await self._given_up(status, scope, record)
        log.info("job ended", step=record.path, stage=status.stage, why=status.why)
        if status.stage in (JobStage.LOST, JobStage.GONE):
            raise OutcomeAmbiguous(scope.path(step.id), status.why)
        done = status.stage is JobStage.DONE
        state = StepState.DONE if done else StepState.FAILED
        return StepEnd(
            ran=True,
            met=done,
            state=state,
            result={**(record.result or {}), **status.names},
            error="" if done else status.why,
        )

    async def _watched(self, step: Step, scope: StepScope, record: StepRecord) -> JobState:
        """Watch until it ends or is stuck. Time in which it could not be observed does not count."""
        clock = self._context.deps.clock
        moved, progress = record.finished or clock(), object()
        logged = JobStage.DONE
        while True:
            status = await self._status(scope, record)
            now = clock()
            if status is None:
                moved = now
            elif status.stage not in GOES_ON:
                return status
            else:
                current = measure(step.progress, self._context.names(scope, status.names))
                if step.progress is not None and current != progress:
                    progress, moved = current, now
                if step.timeout is not None and now - moved >= step.timeout:
                    return replace(status, stage=JobStage.STUCK, why=_stuck(step.timeout, status))
                if status.stage is not logged:
                    logged = status.stage
                    log.info("job stage changed", step=record.path, stage=logged, why=status.why)
            await asyncio.sleep(self._context.deps.poll_interval.total_seconds())

    async def _status(self, scope: StepScope, record: StepRecord) -> JobState | None:
        """Look once; None when the cluster cannot be asked now. A right that is missing will not come by waiting."""
        deps = self._context.deps
        around = deps.observed.change_context(self._context.journal.run, scope, record)
        try:
            return await deps.prober.watch(effect_plan_of(record), around)
        except Forbidden as error:
            return JobState(stage=JobStage.LOST, why=f"its Job cannot be watched: {error}")
        except KubeError as error:
            log.info("job not visible", step=record.path, why=str(error))
            return None

    async def _given_up(self, stuck: JobState, scope: StepScope, record: StepRecord) -> JobState:
        """End a Job that is stuck, and see how far it had come; one that is gone then has failed."""
        await self._changes.end_job(record, scope)
        why = f"{stuck.why}; its Job was ended"
        clock = self._context.deps.clock
        until = clock() + LETTING_GO
        while clock() < until:
            status = await self._status(scope, record)
            if status is not None and status.stage in (JobStage.FAILED, JobStage.GONE):
                names = {**stuck.names, **status.names}
                return replace(status, stage=JobStage.FAILED, names=names, why=f"{why}: {status.why}")
            if status is not None and status.stage not in GOES_ON | {JobStage.STUCK}:
                return replace(status, why=f"{why}: {status.why}")
            await asyncio.sleep(self._context.deps.poll_interval.total_seconds())
        return replace(
            stuck, stage=JobStage.LOST, why=f"{why}, and it did not stop within {format_duration(LETTING_GO)}"
        )


def _stuck(timeout: timedelta, status: JobState) -> str:
    how = "the Job has not started" if status.stage is JobStage.STARTING else "no progress"
    return f"{how} within {format_duration(timeout)}{f': {status.why}' if status.why else ''}"
