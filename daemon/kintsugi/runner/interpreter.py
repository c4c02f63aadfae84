"""
Executes the steps of a runbook: in order, in parallel or for each item; it skips steps, and stops at a failure.

The items of `forEach` are listed when the step begins, and each is read again just before its turn. They are compared by
identity, so that a list that is evaluated again contains the same items.

The start and the end of every step are committed, so that a resumed execution skips the steps that have ended. `wait`
runs probes, `changes` runs actions.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from operator import attrgetter
from pprint import pformat

import structlog

from kintsugi.decisions.answers import outcome
from kintsugi.decisions.disruptions import serving, take_next
from kintsugi.decisions.planner import bind_parameters
from kintsugi.errors import EvaluationError
from kintsugi.expressions import TextTemplate
from kintsugi.mask import MASK
from kintsugi.model.catalog import Catalog
from kintsugi.model.questions import Answer, QuestionKind
from kintsugi.model.records import Phase, RunRecord, Signal, StepRecord, StepState
from kintsugi.model.runbooks import (
    ApprovalRequest,
    Await,
    InOrder,
    Manual,
    OnFailure,
    OnNo,
    Parallel,
    Run,
    Runbook,
    RunChecks,
    RunRunbook,
    Step,
    UndoStep,
)
from kintsugi.model.services import Service
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.changes import Changes
from kintsugi.runner.context import HELPED, ChildCall, RunContext, StepQuestion, StepScope
from kintsugi.runner.ends import (
    NOT_NEEDED,
    EffectFailed,
    ExecutionStopped,
    ExpectationUndecided,
    HandoverRequested,
    RollbackRequested,
    StepEnd,
    merge_results,
    raise_most_severe,
)
from kintsugi.runner.holds import SlotYielder
from kintsugi.runner.journal import WHY_LOST, storable
from kintsugi.runner.report import child_summary
from kintsugi.runner.sections import Section, has_begun
from kintsugi.runner.wait import NOT_MET, probe, settled, wait
from kintsugi.scope.values import StepOutcome

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An object (by kind and uid), a service (by name) or a plain value; `value` is how it was when it was listed."""

    kind: str
    key: str
    value: object = field(compare=False)

    @property
    def uid(self) -> str:
        """Return an object's uid, "" for other items."""
        match self.value:
            case {"metadata": {"uid": str(uid)}}:
                return uid
            case _:
                return ""

    def __str__(self) -> str:
        return f"{self.kind} {self.key}" if self.kind else self.key


def identity(value: object) -> Item:
    """Return the item of a value."""
    match value:
        case {"apiVersion": str(version), "kind": str(kind), "metadata": {"uid": str(uid), "name": str(name)}}:
            short = {"apiVersion": version, "kind": kind, "metadata": {"uid": uid, "name": name}}
            return Item(kind=kind, key=f"{name} {uid}", value=short)
        case {"name": str(name), "priority": int()}:
            return Item(kind="service", key=name, value={"name": name})
        case _:
            # A row has its fields in another order each time that its list is evaluated.
            return Item(kind="", key=pformat(value, width=sys.maxsize), value=value)


async def run_for_each(
    context: RunContext, step: Step, scope: StepScope, run_item: Callable[[Step, StepScope], Awaitable[StepEnd]]
) -> StepEnd:
    """
    Execute a step for each of its items, `maxParallel` at a time.

    An item that is gone, or for which `when` no longer holds, is skipped. After one that aborted the execution no further
    item is begun; those under way are finished. Raises ExecutionStopped when a list or a `when` cannot be evaluated.
    """
    items = await items_of(context, step, scope)
    gate, over = asyncio.Semaphore(step.max_parallel), asyncio.Event()
    waiting = list(enumerate(items))

    async def one() -> tuple[int, StepEnd | None]:
        async with gate:
            try:
                views = context.deps.observed.views.values()
                index, item = take_next(waiting, attrgetter("uid"), serving(views) if deletes(step) else ())
                here = await bind_item(context, step, scope, (index, item)) if not over.is_set() else None
                if here is None:
                    return index, None
                return index, await run_item(
                    replace(step, id=str(RUN.down(step.id).at_item(index)), for_each=None), here
                )
            # Nothing is contained: anything that ends one turn (a stop, a defect, a cancellation) keeps the others from beginning.
            except BaseException:
                over.set()
                raise

    ends = await asyncio.gather(*(one() for _ in items), return_exceptions=True)
    raise_most_severe(ends)
    in_order = sorted((end for end in ends if isinstance(end, tuple)), key=lambda end: end[0])
    return combine([end for _, end in in_order if end is not None])


async def items_of(context: RunContext, step: Step, scope: StepScope) -> Sequence[Item]:
    """Return a step's items as they were when it began; keep them in the journal."""
    path = scope.path(step.id).items()
    known = context.journal.known(scope.phase, path)
    if known is not None:
        listed_before = known.facts["items"]
        assert isinstance(listed_before, list), listed_before
        items = [Item(**each) for each in listed_before]
        if context.journal.is_from_ledger(scope.phase, path) and any(MASK in item.key for item in items):
            raise ExecutionStopped(
                scope.path(step.id), f"an item of its list {WHY_LOST}; the completed items are unknown"
            )
        return items
    items = [identity(item) for item in await listed(context, step, scope)]
    record = context.journal.blank(path, name=step.name or step.id, phase=scope.phase)
    kept = [{"kind": each.kind, "key": each.key, "value": each.value} for each in items]
    listing = replace(record, state=StepState.DONE, met=True, facts={"items": kept})
    await context.journal.save_step(listing, expect=None, now=context.deps.clock(), deferred=True)
    return items


def _is_probe(step: Step) -> bool:
    """Return whether a step only reads, so that it can be repeated."""
    return isinstance(step.do, Run) and not step.do.command.changes


def _may_change(step: Step) -> bool:
    """Return whether a step, or a step inside it, may change anything, itself or by another runbook."""
    return any(not _is_probe(each) and not isinstance(each.do, Await | RunChecks) for each in step.flat())


def deletes(step: Step) -> bool:
    """Return whether a step, or a step inside it, deletes objects."""
    return any(isinstance(each.do, Run) and each.do.command.removes for each in step.flat())


async def listed(context: RunContext, step: Step, scope: StepScope, *, at_once: bool = False) -> Sequence[object]:
    """Evaluate a step's list once the service's view is current; with `at_once` do not wait for that."""
    assert step.for_each is not None, step.id
    if not at_once:
        await context.wait_until_current(scope)
    try:
        items = step.for_each.evaluate(context.names(scope))
    except EvaluationError as error:
        raise ExecutionStopped(scope.path(step.id), f"its list cannot be evaluated: {error}") from error
    return items if isinstance(items, list) else [items]


async def bind_item(context: RunContext, step: Step, scope: StepScope, numbered: tuple[int, Item]) -> StepScope | None:
    """
    Return the scope of one item as it is now; None when it is gone or not wanted.

    An item whose change was begun before a restart is always wanted.
    """
    index, item = numbered
    begun = context.journal.has_begun(scope.phase, scope.path(step.id).at_item(index))
    current = {identity(each): each for each in await listed(context, step, scope, at_once=begun)}
    here = replace(scope, item=current.get(item, item.value))
    return here if begun or (item in current and await is_wanted(context, step, here)) else None


async def is_wanted(context: RunContext, step: Step, scope: StepScope) -> bool:
    """
    Return whether a step's `when` and `unless` allow it, once the service's view is current.

    Raises ExecutionStopped when one of them cannot be evaluated.
    """
    if step.when is None and step.unless is None:
        return True
    await context.wait_until_current(scope)
    names = context.names(scope)
    try:
        yes = step.when is None or step.when.evaluate(names) is True
        return yes and not (step.unless is not None and step.unless.evaluate(names) is True)
    except EvaluationError as error:
        raise ExecutionStopped(scope.path(step.id), f"its `when` or `unless` cannot be evaluated: {error}") from error


def combine(ends: Sequence[StepEnd]) -> StepEnd:
    """Combine the ends of a step's items: met when all are, ran when any did; left out when no item was wanted."""
    wanted = [end for end in ends if not end.left_out]
    if not wanted:
        return NOT_NEEDED
    return StepEnd(
        ran=any(end.ran for end in wanted),
        met=all(end.met for end in wanted),
        state=StepState.FAILED if any(end.state is StepState.FAILED for end in wanted) else StepState.DONE,
        result=merge_results([end.result for end in wanted]),
        error="; ".join(end.error for end in wanted if end.error),
        lost=frozenset[str]().union(*(end.lost for end in wanted)),
    )


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
        self._last_change: StepPath | None = None

    async def execute_steps(self, steps: Sequence[Step], scope: StepScope) -> None:
        """Execute steps in order."""
        if not scope.prefix:
            self._last_change = next((scope.path(each.id) for each in reversed(steps) if _may_change(each)), None)
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
        scope.outcomes[step.id] = StepOutcome(
            ran=ended.ran, met=ended.met, result=ended.result, lost=ended.lost, step=step
        )

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
            if step.approve is not None and (no := await self._no(step, step.approve, scope)):
                return await self._end(step, scope, replace(NOT_NEEDED, error=no))
            await self._begin(step, scope)
        here = await self._at_service(step, scope) if step.for_each is None else scope
        return await self._end(step, scope, await self._execute(step, here))

    async def _no(self, step: Step, asked: ApprovalRequest, scope: StepScope) -> str:
        """
        Ask a person, wait for the answer, and return who leaves the step out, and why; "" for a yes.

        Raises ExecutionStopped when no one answers in time, and at a no that leaves nothing out.
        """
        text = self._text("`approve` question", asked.question, step, scope)
        question = StepQuestion(path=scope.path(step.id), text=text, continues_at_no=asked.on_no is OnNo.SKIP)
        answered = await self.context.gate.ask(scope, question)
        return outcome(answered) if answered.rejected else ""

    async def _manual(self, step: Step, do: Manual, scope: StepScope) -> StepEnd:
        """Wait until a person has done a step, and for its expectation. Raises ExecutionStopped when no one answers in time."""
        command = self._text("`manual` command", do.command, step, scope) if do.command is not None else ""
        question = StepQuestion(
            path=scope.path(step.id),
            kind=QuestionKind.MANUAL,
            text=self._text("`manual` text", do.text, step, scope),
            command=command,
            expiry=do.expiry,
        )
        answered = await self.context.gate.ask(scope, question)
        match answered.answer:
            case Answer.DONE:
                return await wait(self.context, step, scope)
            case Answer.DOES_NOT_APPLY:
                return replace(NOT_NEEDED, error=outcome(answered))
            case _:
                return StepEnd(ran=True, met=False, error=outcome(answered))

    def _text(self, what: str, template: TextTemplate, step: Step, scope: StepScope) -> str:
        try:
            return self.context.text(template, scope)
        except EvaluationError as error:
            raise ExecutionStopped(scope.path(step.id), f"its {what} cannot be resolved: {error}") from error

    async def _begin(self, step: Step, scope: StepScope) -> None:
        """Write that a step begins; a single probe is not written, since it can be repeated."""
        self._began[scope.phase, scope.path(step.id)] = self.context.deps.clock()
        if not _is_probe(step) or step.for_each is not None:
            record, now = self._record(step, scope), self.context.deps.clock()
            await self.context.journal.save_step(record, expect=None, now=now, deferred=True)

    async def _end(self, step: Step, scope: StepScope, ended: StepEnd) -> StepEnd:
        """Write how a step ended; one that changes nothing is repeated after a restart that forgot its end."""
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
        expect, now = known.state if known else None, self.context.deps.clock()
        deferred = _is_probe(step) or not ended.ran
        await self.context.journal.save_step(over, expect=expect, now=now, deferred=deferred)
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
                await self._release_after(step, scope)
                return await settled(self.context, step, scope, ended) if command.changes else ended
            case Manual() as do:
                return await self._manual(step, do, scope)
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
        await self._release_after(step, scope)
        return replace(await wait(self.context, step, scope), text=text)

    async def _release_after(self, step: Step, scope: StepScope) -> None:
        """Release what the run has locked of other services, if no later step may change anything: what follows is only waiting."""
        if scope.path(step.id) == self._last_change:
            await self.context.gate.release(RUN)

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
        path, alert = scope.path(step.id), self.context.alert_for(service)
        try:
            below = scope_of_child(runbook, self._catalog.services[service], scope, path, alert)
        except EvaluationError as error:
            raise ExecutionStopped(path, str(error)) from error
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


def scope_of_child(
    runbook: Runbook, service: Service, scope: StepScope, path: StepPath, alert: Signal | None
) -> StepScope:
    """
    Return the scope of a runbook that runs as part of a run, for the step at `path`; `alert` is the one that it may read.

    Raises EvaluationError where a parameter has no value.
    """
    bound = bind_parameters(runbook, service, alert)
    if bound.problem:
        raise EvaluationError(bound.problem)
    return replace(
        scope,
        prefix=path,
        service=service.name,
        runbook=runbook.name,
        parameters=bound.values,
        alert=alert,
        outcomes={},
        item=None,
        section=Section.of(runbook, service, bound.values, path, scope.section),
        child=path,
    )


def _for_people(step: Step, error: str) -> str:
    """Return why a step's expectation was not met without the source of the expression, which is kept with the step."""
    return error if step.expect is None else error.replace(f"{NOT_MET}: {step.expect.source}", NOT_MET)
