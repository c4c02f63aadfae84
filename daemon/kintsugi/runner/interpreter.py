"""
Executes the steps of a runbook: in order, in parallel or for each item; it skips steps, and stops at a failure.

The start and the end of every step are committed, so that a resumed execution skips the steps that have ended. `wait`
runs probes, `changes` runs actions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog

from kintsugi.decisions.planner import parameters_for
from kintsugi.errors import EvaluationError
from kintsugi.expressions import TextTemplate
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import Phase, RunRecord, StepRecord, StepState
from kintsugi.model.runbooks import (
    Await,
    InOrder,
    OnFailure,
    Parallel,
    Run,
    Runbook,
    RunChecks,
    RunRunbook,
    Step,
    UndoStep,
)
from kintsugi.model.services import Service
from kintsugi.model.step_path import StepPath
from kintsugi.runner.changes import Changes
from kintsugi.runner.context import HELPED, ChildCall, RunContext, StepScope
from kintsugi.runner.ends import (
    NOT_NEEDED,
    EffectFailed,
    ExecutionStopped,
    ExpectationUndecided,
    HandoverRequested,
    RollbackRequested,
    StepEnd,
    raise_most_severe,
)
from kintsugi.runner.for_each import is_wanted, run_for_each
from kintsugi.runner.holds import SlotYielder
from kintsugi.runner.journal import storable
from kintsugi.runner.report import child_summary
from kintsugi.runner.sections import Section, has_begun
from kintsugi.runner.wait import NOT_MET, probe, settled, wait
from kintsugi.scope.values import StepOutcome

log = structlog.get_logger(__name__)


class Interpreter:
    """
    One execution of one run's steps. Raises an ExecutionAborted when it does not reach the end.

    `child` starts or joins a child run, and returns it when it is over; without it runbooks are executed as part of this run.
    """

    def __init__(
        self,
        context: RunContext,
        catalog: Catalog,
        child: Callable[[ChildCall], Awaitable[RunRecord]] | None = None,
        yielding: SlotYielder | None = None,
    ) -> None:
        self.context = context
        self.changes = Changes(context)
        self._catalog = catalog
        self._run_child = child
        self._yielding = yielding
        self._began: dict[tuple[Phase, StepPath], datetime] = {}

    async def execute_steps(self, steps: Sequence[Step], scope: StepScope) -> None:
        """Execute steps in order."""
        for step in steps:
            if self._yielding is not None and not scope.prefix and not self._has_begun(step, scope):
                begun = scope.section is not None and has_begun(self.context.journal, scope.section.path)
                await self._yielding.before_step(must_complete=begun)
            await self.execute_step(step, scope)

    async def execute_step(self, step: Step, scope: StepScope) -> None:
        """Execute one step unless it has ended already, and apply its `onFailure`."""
        known = self.context.journal.ended(scope.phase, scope.path(step.id))
        try:
            ended = self._recalled(known) if known is not None else await self._do(step, scope)
        except ExpectationUndecided as unanswered:
            if step.on_failure is not OnFailure.ESCALATE:
                raise
            raise HandoverRequested(unanswered.path, unanswered.why) from unanswered
        self._remember(step, scope, ended)
        if known is not None:
            self.recall(step.inner, scope.below(step.id))
        self._apply_on_failure(step, scope, ended)

    def recall(self, steps: Sequence[Step], scope: StepScope) -> None:
        """Restore the outcomes of ended steps, and of the steps inside them, for the expressions of later steps."""
        for step in steps:
            known = self.context.journal.ended(scope.phase, scope.path(step.id))
            if known is not None:
                self._remember(step, scope, self._recalled(known))
            self.recall(step.inner, scope.below(step.id))

    def _remember(self, step: Step, scope: StepScope, ended: StepEnd) -> None:
        """Keep the outcome of a step for the expressions of later steps."""
        scope.outcomes[step.id] = StepOutcome(ran=ended.ran, met=ended.met, result=ended.result, lost=ended.lost)

    def _recalled(self, known: StepRecord) -> StepEnd:
        return StepEnd.of(known, from_ledger=self.context.journal.is_from_ledger(known.phase, known.step_path))

    def _has_begun(self, step: Step, scope: StepScope) -> bool:
        """Return whether the step was begun before a restart: its conditions are not evaluated again."""
        return self.context.journal.known(scope.phase, scope.path(step.id)) is not None

    async def _do(self, step: Step, scope: StepScope) -> StepEnd:
        """
        Begin a step (unless it was begun before a restart), execute it, commit its end.

        With `forEach`, `when` and `unless` are evaluated for each item instead.
        """
        if not self._has_begun(step, scope):
            if step.for_each is None and not await is_wanted(self.context, step, scope):
                return await self._end(step, scope, NOT_NEEDED)
            if step.approve is not None:
                await self._ask(step, step.approve, scope)
            await self._begin(step, scope)
        here = await self._at_service(step, scope) if step.for_each is None else scope
        return await self._end(step, scope, await self._execute(step, here))

    async def _ask(self, step: Step, question: TextTemplate, scope: StepScope) -> None:
        """Ask a person and wait for the answer. Raises ExecutionStopped when no one answers in time."""
        text = self._text("`approve` question", question, step, scope)
        await self.context.gate.ask(scope, scope.path(step.id), text)

    def _text(self, what: str, template: TextTemplate, step: Step, scope: StepScope) -> str:
        try:
            return self.context.text(template, scope)
        except EvaluationError as error:
            raise ExecutionStopped(scope.path(step.id), f"its {what} cannot be resolved: {error}") from error

    async def _begin(self, step: Step, scope: StepScope) -> None:
        """Commit that a step begins; a single probe is not committed, since it can be repeated."""
        self._began[scope.phase, scope.path(step.id)] = self.context.deps.clock()
        if not isinstance(step.do, Run) or step.do.command.changes or step.for_each is not None:
            await self.context.journal.save_step(self._record(step, scope), expect=None, now=self.context.deps.clock())

    async def _end(self, step: Step, scope: StepScope, ended: StepEnd) -> StepEnd:
        """Commit how a step ended."""
        known = self.context.journal.known(scope.phase, scope.path(step.id))
        record = known or self._record(step, scope)
        over = replace(
            record,
            state=ended.state,
            result=storable(ended.result),
            met=ended.met,
            error=ended.error,
            text=ended.text or record.text,
            facts={"ran": ended.ran, "left_out": ended.left_out},
            finished=self.context.deps.clock(),
        )
        await self.context.journal.save_step(over, expect=known.state if known else None, now=self.context.deps.clock())
        return ended

    def _record(self, step: Step, scope: StepScope) -> StepRecord:
        record = self.context.journal.blank(scope.path(step.id), name=step.name or step.id, phase=scope.phase)
        began = self._began.get((scope.phase, scope.path(step.id)), self.context.deps.clock())
        if not isinstance(step.do, Run):
            return replace(record, started=began)
        return replace(record, started=began, verb=str(step.do.command.verb), text=step.do.command.source)

    async def _at_service(self, step: Step, scope: StepScope) -> StepScope:
        """Return the scope of the service that the step names."""
        if step.service is None:
            return scope
        return replace(scope, service=self._text("service", step.service, step, scope))

    async def _execute(self, step: Step, scope: StepScope) -> StepEnd:
        """Execute the step's `do`, for each item with `forEach`; after a change wait for its expectation."""
        match step.do:
            case Run(command=command):
                once = self.changes.change if command.changes else partial(probe, self.context)
                each = step.for_each is not None
                ended = await (run_for_each(self.context, step, scope, once) if each else once(step, scope))
                return await settled(self.context, step, scope, ended) if command.changes else ended
            case Await():
                return await wait(self.context, step, scope)
            case UndoStep(step=earlier):
                await self.changes.undo_below(scope, scope.path(earlier))
                return await wait(self.context, step, scope)
            case _ if step.for_each is not None:

                async def each_at_its_service(one: Step, here: StepScope) -> StepEnd:
                    return await self._execute_composite(one, await self._at_service(one, here))

                return await run_for_each(self.context, step, scope, each_at_its_service)
            case _:
                return await self._execute_composite(step, scope)

    async def _execute_composite(self, step: Step, scope: StepScope) -> StepEnd:
        """Execute the steps inside a step, then check its own expectation; an execution that stopped counts as not met."""
        try:
            text = await self._execute_substeps(step, scope)
        except ExecutionStopped as stop:
            if step.on_failure is OnFailure.STOP or (
                isinstance(stop, ExpectationUndecided) and step.on_failure is OnFailure.ROLLBACK
            ):
                raise
            return StepEnd(ran=True, met=False, error=str(stop))
        return replace(await wait(self.context, step, scope), text=text)

    async def _execute_substeps(self, step: Step, scope: StepScope) -> str:
        """Execute the steps inside a step, and return its text for people, "" for none."""
        match step.do:
            case InOrder(steps=steps):
                await self.execute_steps(steps, scope.below(step.id))
            case Parallel(steps=steps):
                await self._execute_parallel(steps, scope.below(step.id))
            case RunChecks(checks=name):
                checks = self._catalog.services[scope.service].checks
                if name not in checks:
                    raise ExecutionStopped(scope.path(step.id), f"{scope.service} has no checks {name}")
                await self.execute_steps(checks[name], replace(scope.below(step.id), outcomes={}))
            case RunRunbook(runbook=name):
                return await self._child(self._catalog.runbooks[name], step, scope)
            case _:
                raise AssertionError(f"{step.id} contains no steps")
        return ""

    async def _child(self, runbook: Runbook, step: Step, scope: StepScope) -> str:
        """Run another runbook: as a child run where this run may start some, else as part of this run."""
        service = runbook.service or scope.service
        if self._run_child is not None:
            call = ChildCall(
                run=self.context.journal.run,
                step=str(scope.path(step.id)),
                runbook=runbook,
                service=service,
            )
            child = await self._run_child(call)
            if child.state not in HELPED:
                raise ExecutionStopped(scope.path(step.id), child_summary(child))
            return child_summary(child)
        below = scope_of_child(runbook, self._catalog.services[service], scope, scope.path(step.id))
        await self.execute_steps(runbook.steps, below)
        await self.context.gate.release(below.child)
        return ""

    async def _execute_parallel(self, steps: Sequence[Step], scope: StepScope) -> None:
        """
        Execute steps in parallel, each after the steps that it needs; it is skipped when one of those was aborted.

        All of them end before the most severe failure is raised.
        """
        over = {step.id: asyncio.Event() for step in steps}
        reached: set[str] = set()

        async def one(step: Step) -> None:
            for other in step.needs:
                await over[other].wait()
            try:
                if reached.issuperset(step.needs):
                    await self.execute_step(step, scope)
                    reached.add(step.id)
            finally:
                over[step.id].set()

        raise_most_severe(await asyncio.gather(*(one(step) for step in steps), return_exceptions=True))

    def _apply_on_failure(self, step: Step, scope: StepScope, ended: StepEnd) -> None:
        if ended.met or ended.left_out:
            return
        path, why = scope.path(step.id), _for_people(step, ended.error) or "its expectation was not met"
        if ended.state is StepState.FAILED and step.on_failure is OnFailure.STOP:
            raise EffectFailed(path, why)
        named = why if step.name in ("", step.id) else f"{step.name}: {why}"
        log.info("expectation not met", step=str(path), why=why, on_failure=step.on_failure)
        match step.on_failure:
            case OnFailure.CONTINUE:
                return
            case OnFailure.STOP:
                raise ExecutionStopped(path, named)
            case OnFailure.ROLLBACK:
                raise RollbackRequested(path, named)
            case OnFailure.ESCALATE:
                raise HandoverRequested(path, named)


def scope_of_child(runbook: Runbook, service: Service, scope: StepScope, path: StepPath) -> StepScope:
    """Return the scope of a runbook that runs as part of a run, for the step at `path`."""
    parameters = parameters_for(runbook, service)
    return replace(
        scope,
        prefix=path,
        service=service.name,
        runbook=runbook.name,
        parameters=parameters,
        outcomes={},
        item=None,
        section=Section.of(runbook, service, parameters, path, scope.section),
        child=path,
    )


def _for_people(step: Step, error: str) -> str:
    """Return why a step's expectation was not met without the source of the expression, which is kept with the step."""
    return error if step.expect is None else error.replace(f"{NOT_MET}: {step.expect.source}", NOT_MET)
