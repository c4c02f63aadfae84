"""
Jobs that a run has made: seen through to their ends, by this process or by one after it.

Nothing is written while a Job is watched: its state is in the cluster, so that a restarted process continues to watch it, and
the step ends when the Job does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import structlog

from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.durations import format_duration
from kintsugi.errors import Forbidden, KubeError
from kintsugi.executor import effect_plan_of
from kintsugi.model.records import StepRecord, StepState
from kintsugi.model.runbooks import Step
from kintsugi.runner.context import RunContext, StepScope
from kintsugi.runner.ends import OutcomeAmbiguous, StepEnd
from kintsugi.runner.wait import measure

log = structlog.get_logger(__name__)

End = Callable[[StepRecord, StepScope], Awaitable[object]]
"""End a Job that an effect has made."""

GOES_ON = frozenset({JobStage.STARTING, JobStage.RUNNING})
LETTING_GO = timedelta(minutes=3)
"""The time that an ended Job may take to let go of what it works on: its own clean-up, and a node's time to notice."""


class JobWatch:
    """Watches the Jobs of one run; `end` ends one that is given up."""

    def __init__(self, context: RunContext, end: End) -> None:
        self._context = context
        self._end = end

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
        await self._end(record, scope)
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
