"""
Walks the steps of a runbook: what goes in order, what goes at once, what is left out, and when to stop.

Every step's end is committed, so that a walk that is taken up again passes over what has ended and goes on from there.
What a single command does is `work`'s business.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from kintsugi.model.documents import (
    Await,
    Catalog,
    InOrder,
    Revert,
    Run,
    Runbook,
    RunChecks,
    RunRunbook,
    Step,
    Together,
    Unmet,
)
from kintsugi.model.records import StepState
from kintsugi.planner import parameters_for
from kintsugi.runner.ends import Broken, Ended, RollbackWanted, Stopped, Unanswered, raise_gravest
from kintsugi.runner.memory import Bearings
from kintsugi.runner.restoring import restoring
from kintsugi.runner.rounds import wanted
from kintsugi.runner.work import Work

LEFT_OUT = Ended(ran=False, met=False, state=StepState.SKIPPED, error="not needed", left_out=True)

log = structlog.get_logger(__name__)


class Walk:
    """One walk through one run's steps. Raises `Stopped`, `RollbackWanted` or `Broken` when it does not reach the end."""

    def __init__(self, work: Work, catalog: Catalog) -> None:
        self._work = work
        self._catalog = catalog

    async def steps(self, steps: Sequence[Step], at: Bearings) -> None:
        """Do steps one after another."""
        for step in steps:
            await self.step(step, at)

    async def step(self, step: Step, at: Bearings) -> None:
        """Do one step, unless it has ended before, and draw the consequence of how it ended."""
        known = self._work.desk.journal.ended(at.phase, at.path(step.id))
        ended = Ended.of(known) if known is not None else await self._do(step, at)
        at.remember(step.id, ran=ended.ran, met=ended.met, own=ended.own)
        if known is not None and isinstance(step.do, InOrder | Together):
            self.recall(step.do.steps, at.below(step.id))
        self._conclude(step, at, ended)

    def recall(self, steps: Sequence[Step], at: Bearings) -> None:
        """Remember what steps that have ended came to, and those inside them, for the expressions of later steps."""
        for step in steps:
            known = self._work.desk.journal.ended(at.phase, at.path(step.id))
            if known is not None:
                ended = Ended.of(known)
                at.remember(step.id, ran=ended.ran, met=ended.met, own=ended.own)
            if isinstance(step.do, InOrder | Together):
                self.recall(step.do.steps, at.below(step.id))

    async def _do(self, step: Step, at: Bearings) -> Ended:
        """Begin a step (unless that was done before a restart), carry it out, commit its end."""
        if not self._work.has_begun(step, at):
            if not await self._wanted(step, at):
                return await self._work.end(step, at, LEFT_OUT)
            if step.approve is not None:
                await self._work.approval(step, at)
            await self._work.begin(step, at)
        return await self._work.end(step, at, await self._carry_out(step, self._work.at_service(step, at)))

    async def _carry_out(self, step: Step, at: Bearings) -> Ended:
        match step.do:
            case Run():
                return await self._work.command(step, at)
            case Await():
                return await self._work.wait(step, at)
            case Revert(step=earlier):
                await self._work.changes.take_back(at, at.path(earlier))
                return await self._work.wait(step, at)
            case _ if step.for_each is not None:
                return await self._work.each(step, at, self._once)
            case _:
                return await self._once(step, at)

    async def _once(self, step: Step, at: Bearings) -> Ended:
        """Do the steps that a step is made of, then look whether its own expectation holds; one that stopped is not met."""
        try:
            await self._inside(step, at)
        except Stopped as stop:
            if step.unmet is Unmet.STOP or (isinstance(stop, Unanswered) and step.unmet is Unmet.ROLLBACK):
                raise
            return Ended(ran=True, met=False, error=str(stop))
        return await self._work.wait(step, at)

    async def _inside(self, step: Step, at: Bearings) -> None:
        match step.do:
            case InOrder(steps=steps):
                await self.steps(steps, at.below(step.id))
            case Together(steps=steps):
                await self._together(steps, at.below(step.id))
            case RunChecks(checks=name):
                checks = self._catalog.services[at.service].checks
                if name not in checks:
                    raise Stopped(at.path(step.id), f"{at.service} has no checks {name}")
                await self.steps(checks[name], replace(at.below(step.id), memory={}))
            case RunRunbook(runbook=name):
                await self._child(self._catalog.runbooks[name], step, at)
            case _:
                raise AssertionError(f"{step.id} is not made of steps")

    async def _child(self, runbook: Runbook, step: Step, at: Bearings) -> None:
        service = runbook.service or at.service
        parameters = parameters_for(runbook, self._catalog.services[service])
        path = at.path(step.id)
        below = replace(
            at.below(step.id),
            service=service,
            runbook=runbook.name,
            parameters=parameters,
            memory={},
            each=None,
            restoring=restoring(runbook, self._catalog.services[service], parameters, path),
            child=path,
        )
        await self.steps(runbook.steps, below)
        await self._work.desk.gate.release(path)

    async def _together(self, steps: Sequence[Step], at: Bearings) -> None:
        """
        Do steps at once, each after those it needs, and not at all when one of those ended the walk.

        All end before the gravest failure is passed on.
        """
        over = {step.id: asyncio.Event() for step in steps}
        reached: set[str] = set()

        async def one(step: Step) -> None:
            for other in step.needs:
                await over[other].wait()
            try:
                if reached.issuperset(step.needs):
                    await self.step(step, at)
                    reached.add(step.id)
            finally:
                over[step.id].set()

        raise_gravest(await asyncio.gather(*(one(step) for step in steps), return_exceptions=True))

    async def _wanted(self, step: Step, at: Bearings) -> bool:
        """Ask `when` and `unless`; with `for_each` they are asked of each item instead. No answer stops the run."""
        return step.for_each is not None or await wanted(self._work.desk, step, at)

    def _conclude(self, step: Step, at: Bearings, ended: Ended) -> None:
        if ended.met or ended.left_out:
            return
        path, why = at.path(step.id), ended.error or "its expectation was not met"
        if ended.state is StepState.FAILED and step.unmet is Unmet.STOP:
            raise Broken(path, why)
        log.info("expectation not met", step=path, why=why, unmet=step.unmet)
        match step.unmet:
            case Unmet.CONTINUE:
                return
            case Unmet.STOP:
                raise Stopped(path, why if step.name in ("", step.id) else f"{step.name}: {why}")
            case Unmet.ROLLBACK:
                raise RollbackWanted(path, why)
