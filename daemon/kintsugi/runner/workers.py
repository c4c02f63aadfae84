"""
Workers whose Jobs a run has made: seen through to their ends, by this process or by one after it.

Nothing is written while one is watched: what is to be known stands in the cluster, so that whoever takes the run up again
watches on, and the step ends when the worker does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import structlog

from kintsugi.actions.job_progress import Stage, Standing
from kintsugi.commands import decode
from kintsugi.durations import format_duration
from kintsugi.effect import prepared_of
from kintsugi.errors import Forbidden, KubeError
from kintsugi.model.command import WorkerCommand
from kintsugi.model.documents import Step
from kintsugi.model.records import StepRecord, StepState
from kintsugi.runner.desk import Desk
from kintsugi.runner.ends import Ended, Puzzled
from kintsugi.runner.looking import measure
from kintsugi.runner.memory import Bearings

log = structlog.get_logger(__name__)

End = Callable[[StepRecord, Bearings], Awaitable[object]]
"""End a worker whose Job an effect has made."""

GOES_ON = frozenset({Stage.STARTING, Stage.RUNNING})
LETTING_GO = timedelta(minutes=3)
"""How long a worker that was ended may take to let go of the database: its own time to clean up, and a node's to notice."""


def makes_worker(record: StepRecord) -> bool:
    """Tell whether an effect was the making of a worker's Job."""
    return record.command is not None and isinstance(decode(record.command), WorkerCommand)


class Workers:
    """Watches the workers of one run; `end` is how one that is given up is ended."""

    def __init__(self, desk: Desk, end: End) -> None:
        self._desk = desk
        self._end = end

    async def see_through(self, step: Step, at: Bearings, record: StepRecord) -> Ended:
        """
        Wait until the worker has ended, or has made no progress for the step's `timeout`; then it is ended.

        Raises Puzzled when nobody can tell how far it came.
        """
        standing = await self._watched(step, at, record)
        if standing.stage is Stage.STUCK:
            standing = await self._given_up(standing, at, record)
        log.info("a worker has ended", step=record.path, stage=standing.stage, why=standing.why)
        if standing.stage is Stage.LOST:
            raise Puzzled(at.path(step.id), standing.why)
        done = standing.stage is Stage.DONE
        state = StepState.DONE if done else StepState.FAILED
        return Ended(
            ran=True,
            met=done,
            state=state,
            own={**(record.result or {}), **standing.names},
            error="" if done else standing.why,
        )

    async def _watched(self, step: Step, at: Bearings, record: StepRecord) -> Standing:
        """Watch until it ends or is stuck. Time in which it could not be seen is nobody's fault, and does not count."""
        clock = self._desk.tools.clock
        moved, progress = record.finished or clock(), object()
        told = Stage.DONE
        while True:
            standing = await self._look(at, record)
            now = clock()
            if standing is None:
                moved = now
            elif standing.stage not in GOES_ON:
                return standing
            else:
                current = self._measured(step, at, standing.names)
                if step.progress is not None and current != progress:
                    progress, moved = current, now
                if step.timeout is not None and now - moved >= step.timeout:
                    return replace(standing, stage=Stage.STUCK, why=_stuck(step.timeout, standing))
                if standing.stage is not told:
                    told = standing.stage
                    log.info("a worker", step=record.path, stage=told, why=standing.why)
            await asyncio.sleep(self._desk.tools.pace.total_seconds())

    async def _look(self, at: Bearings, record: StepRecord) -> Standing | None:
        """Look once; None when the cluster cannot be asked now. A right that is missing will not come by waiting."""
        tools = self._desk.tools
        around = tools.world.circumstances(self._desk.journal.run, at, record)
        try:
            return await tools.looker.watch(prepared_of(record), around)
        except Forbidden as error:
            return Standing(stage=Stage.LOST, why=f"its worker cannot be watched: {error}")
        except KubeError as error:
            log.info("a worker cannot be seen", step=record.path, why=str(error))
            return None

    async def _given_up(self, stuck: Standing, at: Bearings, record: StepRecord) -> Standing:
        """End a worker that is stuck, and see how much it had done: of a restore all or nothing."""
        await self._end(record, at)
        why = f"{stuck.why}; its Job was ended"
        clock = self._desk.tools.clock
        until = clock() + LETTING_GO
        while clock() < until:
            standing = await self._look(at, record)
            if standing is not None and standing.stage is Stage.FAILED:
                return replace(standing, names={**stuck.names, **standing.names}, why=f"{why}: {standing.why}")
            if standing is not None and standing.stage not in GOES_ON | {Stage.STUCK}:
                return replace(standing, why=f"{why}: {standing.why}")
            await asyncio.sleep(self._desk.tools.pace.total_seconds())
        return replace(
            stuck, stage=Stage.LOST, why=f"{why}, and it has not let go within {format_duration(LETTING_GO)}"
        )

    def _measured(self, step: Step, at: Bearings, names: Mapping[str, object]) -> object:
        return measure(step.progress, self._desk.names(at, names))


def _stuck(timeout: timedelta, standing: Standing) -> str:
    how = "it has not started" if standing.stage is Stage.STARTING else "no progress"
    return f"{how} within {format_duration(timeout)}{f': {standing.why}' if standing.why else ''}"
