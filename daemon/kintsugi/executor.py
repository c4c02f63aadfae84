"""
The only place where effects start: intent committed, effect, result committed (P8).

One effect is one change of one object; its outcome is a `StepRecord` in a final state. It may take several attempts. Each
attempt asks the gate, judges the live object, commits the intent and makes one write. An attempt that certainly changed
nothing is settled as not made (PLANNED again). One whose answer was lost is probed and never repeated (P3). An outcome that
no probe can determine is handed to a person.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.command_secrets import check_undo
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus, Evidence
from kintsugi.actions.probe import Result
from kintsugi.actions.verb_bases import namespace_of, read_intent
from kintsugi.cancellation import uncancelled
from kintsugi.commands import decode, encode, render, verb_of
from kintsugi.commands.registry import definition_of
from kintsugi.decisions.admission import INTENT_AGE
from kintsugi.errors import (
    BudgetSpent,
    Conflict,
    KubeError,
    NotAdmitted,
    NotFound,
    NotYet,
    OutcomeUnknown,
    Refused,
    ServerUnavailable,
    TooManyRequests,
)
from kintsugi.ledger import Failpoints
from kintsugi.model.change_limits import Budget
from kintsugi.model.command import Command
from kintsugi.model.records import Phase, StepRecord, StepState, UndoRecord
from kintsugi.retries import Waits, retry

T = TypeVar("T")

log = structlog.get_logger(__name__)

MOST_PROBES = 2
"""The most retries of one effect whose probe says that it has not happened: preconditions make them harmless."""

RETRYABLE_ERRORS = (NotYet, TooManyRequests, ServerUnavailable)
"""Answers after which nothing was changed, and a later attempt may succeed."""

FIRST_WAIT = timedelta(seconds=0.5)
LONGEST_WAIT = timedelta(seconds=10)
LONGEST_WAIT_REFUSED = timedelta(minutes=1)
"""The longest pause after the gate has refused an attempt at its intent: each such attempt reads the object and commits."""

WAITS = Waits(first=FIRST_WAIT, longest=LONGEST_WAIT)
NOT_YET_LIMIT = timedelta(minutes=5)
"""The time that a change waits for a condition that ends by itself: a pod or a claim that is terminating."""


class Actor(Protocol):
    """The port to what performs commands; `actions.Actions` implements it."""

    async def plan_effect(self, command: Command, context: ChangeContext) -> EffectPlan: ...

    async def apply(self, plan: EffectPlan) -> Result: ...

    async def probe(self, plan: EffectPlan) -> EffectStatus: ...

    async def reread(self, plan: EffectPlan) -> Result: ...


class EffectJournal(Protocol):
    """The port to the records of steps, written before and after each effect; the ledger implements it."""

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None: ...

    async def keep_evidence(self, run: str, path: str, kind: str, text: str, now: datetime) -> None: ...


class Admission(Protocol):
    """The gate before the attempts of one effect."""

    async def admit(self) -> str:
        """
        Wait until an attempt may be made; then return why the change is no longer needed, "" when it is.

        Raises NotAdmitted when it may not be made in this run.
        """
        ...

    async def objection(self) -> str:
        """Return the current objection to an attempt whose intent is committed, "" for none. Raises StaleEpoch."""
        ...

    def budget(self, now: datetime) -> Budget | None:
        """Return the budget that the intent is counted against, None for none."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """
    One change to be made. `record` is its planned record (state PLANNED), or the one that the journal has already.

    The gate has admitted the first attempt of a planned effect. `change_context` returns the current context for each
    attempt. After `retry_until` no new attempt is made; `undo` is the runbook's own word on the undo; `must_be_undoable`: a change
    that could not be undone is refused. `namespace` is the run's: a change of a cluster-scoped object is counted against its
    budget. `stopping` is set when the daemon stops.
    """

    record: StepRecord
    journal: EffectJournal
    command: Command
    admission: Admission
    change_context: Callable[[], ChangeContext]
    retry_until: datetime
    namespace: str
    stopping: asyncio.Event
    undo: UndoRecord | None = None
    must_be_undoable: bool = False


class EffectExecution:
    """
    One effect under way. `record` is its current record, `committed_state` the state in the ledger (None: none yet).

    `retry_delay` is the pause before the next attempt, `probes` the number of probes so far.
    """

    def __init__(self, effect: Effect, clock: Callable[[], datetime]) -> None:
        self.effect = effect
        self.record = effect.record
        # a planned effect is in the ledger only when an attempt of it was settled as not made
        known = effect.record.state is not StepState.PLANNED or effect.record.command is not None
        self.committed_state = effect.record.state if known else None
        self.retry_until = effect.retry_until
        self.retry_delay = timedelta(0)
        self.probes = 0
        self._clock = clock
        self._patient = clock() + NOT_YET_LIMIT
        self._pause = FIRST_WAIT
        self._next = FIRST_WAIT
        self._refused = FIRST_WAIT
        self.kept: set[Evidence] = set()

    def pause_after(self, problem: KubeError | NotYet) -> timedelta:
        """Return the pause after a failed attempt: the server's Retry-After, else longer each time."""
        asked = problem.retry_after if isinstance(problem, TooManyRequests) else None
        self._pause = asked or self._next
        self._next = min(self._next * 2, LONGEST_WAIT)
        return self._pause

    def pause_refused(self) -> timedelta:
        """Return the pause after an attempt that the gate refused once it was planned: longer each time."""
        pause, self._refused = self._refused, min(self._refused * 2, LONGEST_WAIT_REFUSED)
        return pause

    def has_time_for(self, problem: KubeError | NotYet) -> bool:
        """Return whether the pause ends before the effect's time is over."""
        latest = min(self.retry_until, self._patient) if isinstance(problem, NotYet) else self.retry_until
        return self._clock() + self._pause < latest


def intent_of(record: StepRecord, plan: EffectPlan, execution: EffectExecution) -> StepRecord:
    """Return the record of an intent: object, reason and undo; the runbook's own undo takes precedence."""
    return replace(
        record,
        state=StepState.INTENT,
        changes=True,
        command=encode(plan.command),
        text=render(plan.command),
        namespace=namespace_of(plan.command) or execution.effect.namespace,
        facts=plan.facts,
        undo=execution.effect.undo or plan.undo,
        deadline=execution.retry_until,
        error="",
    )


def effect_plan_of(record: StepRecord) -> EffectPlan:
    """Return the effect plan that an intent in the ledger records."""
    assert record.command is not None, f"{record.path} has an intent without a command"
    assert record.undo is not None, f"{record.path} has an intent without its undo"
    command = decode(record.command)
    return EffectPlan(command=command, intent=read_intent(command, record.facts), undo=record.undo)


def check_undoable(effect: Effect, plan: EffectPlan) -> None:
    """Raise Refused for a change that has no undo, where one must have it."""
    if effect.must_be_undoable and not (effect.undo or plan.already or plan.undo.commands):
        raise Refused(f"it could not be undone: {plan.undo.note}")


class Executor:
    """Brings effects to a final state, with one transaction before and one after each attempt."""

    def __init__(self, actor: Actor, failpoints: Failpoints, *, clock: Callable[[], datetime]) -> None:
        self._actor = actor
        self._failpoints = failpoints
        self._clock = clock

    async def execute(self, effect: Effect) -> StepRecord:
        """
        Bring one effect to a final state: done, failed, skipped (refused or overtaken), or needs-operator.

        Taken up again after a restart, an effect with an intent is probed first. From the intent on an attempt comes to its
        end also when the caller is cancelled. Raises NotAdmitted when the gate refuses a further attempt; the effect is
        settled as skipped then. Raises DecryptionFailed for a command whose key is gone: nothing is written of it, so that it
        is begun anew when it is asked for again.
        """
        execution = EffectExecution(effect, self._clock)
        admitted = effect.record.state is StepState.PLANNED
        await self._settle(execution)
        while execution.record.state is StepState.PLANNED:
            skip_reason = "" if admitted else await self._admitted(execution)
            if skip_reason:
                return await self._save(execution, StepState.SKIPPED, error=skip_reason)
            admitted, execution.retry_delay = False, timedelta(0)
            await self._attempt(execution)
            if execution.record.state is StepState.PLANNED:
                await asyncio.sleep(execution.retry_delay.total_seconds())
        return execution.record

    async def settle(self, effect: Effect) -> StepRecord:
        """Find out what became of an effect that has an intent, and make no further attempt: its time is over."""
        execution = EffectExecution(replace(effect, retry_until=self._clock()), self._clock)
        await self._settle(execution)
        return execution.record

    async def reread(self, record: StepRecord) -> Mapping[str, object]:
        """Read afresh what a change touched, as the names of its result. Raises KubeError when it cannot be read."""
        return (await self._actor.reread(effect_plan_of(record))).names

    async def _settle(self, execution: "EffectExecution") -> None:
        """Probe an effect that an earlier process left open."""
        if execution.record.state is StepState.INTENT:
            await self._save(execution, StepState.UNKNOWN)
        if execution.record.state is StepState.UNKNOWN:
            await uncancelled(self._find_out(execution))

    async def _admitted(self, execution: "EffectExecution") -> str:
        """Ask the gate before a further attempt. Waiting there does not count against the effect's time."""
        began = self._clock()
        try:
            skip_reason = await execution.effect.admission.admit()
        except NotAdmitted as refusal:
            await self._save(execution, StepState.SKIPPED, error=str(refusal))
            raise
        execution.retry_until += self._clock() - began
        return skip_reason

    async def _attempt(self, execution: "EffectExecution") -> None:
        """Judge the live object; then make one write and settle its outcome."""
        effect, record = execution.effect, execution.record
        command = decode(record.command) if record.command is not None else effect.command
        started = record.started or self._clock()
        execution.record = replace(record, started=started, verb=verb_of(command), text=render(command))
        try:
            plan = await self._actor.plan_effect(command, effect.change_context())
            check_undo(plan)
            check_undoable(effect, plan)
        except RETRYABLE_ERRORS as later:
            await self._put_off(execution, later, over=StepState.SKIPPED)
        except (Refused, NotFound) as refusal:
            await self._save(execution, StepState.SKIPPED, error=str(refusal))
        except KubeError as error:
            await self._save(execution, StepState.FAILED, error=str(error))
        else:
            for each in plan.evidence:
                if each not in execution.kept:
                    await effect.journal.keep_evidence(record.run, record.path, each.kind, each.text, self._clock())
                    execution.kept.add(each)
            await uncancelled(self._make(execution, plan))

    async def _make(self, execution: "EffectExecution", plan: EffectPlan) -> None:
        """Commit the intent, make the change unless the gate objects, and settle its outcome."""
        loop, planned = asyncio.get_running_loop(), execution.record
        try:
            execution.record = intent_of(planned, plan, execution)
            await self._save(execution, StepState.INTENT, budget=execution.effect.admission.budget(self._clock()))
        except BudgetSpent as spent:
            execution.record = replace(planned, error=f"not made: {spent}")
            execution.retry_delay = execution.pause_refused()
            return
        committed = loop.time()
        objection = await execution.effect.admission.objection()
        if not objection and loop.time() - committed > INTENT_AGE.total_seconds():
            objection = f"the intent is older than {INTENT_AGE.total_seconds():g}s"
        if objection:
            log.info("effect not made", step=planned.path, why=objection)
            await self._save(execution, StepState.PLANNED, error=f"not made: {objection}")
            execution.retry_delay = execution.pause_refused()
            return
        await self._perform(execution, plan)
        if execution.record.state is StepState.UNKNOWN:
            await self._find_out(execution)

    async def _perform(self, execution: "EffectExecution", plan: EffectPlan) -> None:
        path = execution.record.path
        self._failpoints.hit("effect", path, before=True)
        try:
            result = await self._actor.apply(plan)
        except RETRYABLE_ERRORS as later:
            await self._put_off(execution, later, over=StepState.FAILED)
        except OutcomeUnknown as error:
            await self._save(execution, StepState.UNKNOWN, error=str(error))
        except (Conflict, NotFound) as overtaken:
            if is_obsolete(execution.record, plan, overtaken):
                await self._save(execution, StepState.SKIPPED, error=str(overtaken))
            elif execution.probes == MOST_PROBES:
                # refused for sure, and each earlier attempt was probed: nothing of it is in doubt
                await self._save(execution, StepState.FAILED, error=f"not made: {overtaken}")
            else:
                await self._save(execution, StepState.UNKNOWN, error=str(overtaken))
        except (KubeError, Refused) as error:
            await self._save(execution, StepState.FAILED, error=str(error))
        else:
            self._failpoints.hit("effect", path, before=False)
            await self._done(execution, result)

    async def _put_off(self, execution: "EffectExecution", problem: KubeError | NotYet, *, over: StepState) -> None:
        """Settle an attempt that changed nothing: it is tried again after a pause, or ends as `over` when its time is up."""
        execution.retry_delay = execution.pause_after(problem)
        if not execution.has_time_for(problem):
            await self._save(execution, over, error=str(problem))
        elif execution.committed_state is StepState.INTENT:
            await self._save(execution, StepState.PLANNED, error=f"not made: {problem}")

    async def _find_out(self, execution: "EffectExecution") -> None:
        """Probe an unknown outcome: done, or not made and to be judged anew, or a person is asked."""
        plan = effect_plan_of(execution.record)
        if execution.probes == MOST_PROBES:
            await self._escalate(execution, f"the outcome stayed unknown: {execution.record.error}")
            return
        execution.probes += 1
        try:
            effect_status = await self._with_retries(lambda: self._actor.probe(plan), execution)
        except KubeError as error:
            if not execution.effect.stopping.is_set():
                await self._escalate(execution, f"the outcome could not be determined: {error}")
            return
        log.info("unknown outcome probed", step=execution.record.path, effect_status=effect_status)
        match effect_status:
            case EffectStatus.DONE:
                await self._done(execution, await self._reread(execution, plan))
            case EffectStatus.NOT_DONE if self._clock() < execution.retry_until:
                await self._save(execution, StepState.PLANNED, error="not made: a probe found no trace of it")
            case EffectStatus.NOT_DONE:
                await self._save(execution, StepState.FAILED, error="not applied, and the time for retries is over")
            case EffectStatus.UNKNOWN:
                await self._escalate(execution, "it is unknown whether the change was applied")

    async def _reread(self, execution: "EffectExecution", plan: EffectPlan) -> Result:
        try:
            return await self._with_retries(lambda: self._actor.reread(plan), execution)
        except KubeError as error:
            # The change is known to be made, even if its object cannot be read again.
            return Result(names={}, summary=str(error))

    async def _escalate(self, execution: "EffectExecution", why: str) -> None:
        await self._save(execution, StepState.NEEDS_OPERATOR, error=why)

    async def _done(self, execution: "EffectExecution", result: Result) -> None:
        execution.record = replace(execution.record, result=result.names)
        await self._save(execution, StepState.DONE)

    async def _save(
        self, execution: "EffectExecution", state: StepState, *, error: str = "", budget: Budget | None = None
    ) -> StepRecord:
        """Commit a state that differs from the one that the ledger has."""
        now = self._clock()
        open_still = state in (StepState.PLANNED, StepState.INTENT, StepState.UNKNOWN)
        record = replace(execution.record, state=state, error=error, finished=None if open_still else now)
        await execution.effect.journal.save_step(record, expect=execution.committed_state, now=now, budget=budget)
        execution.record, execution.committed_state = record, state
        return record

    async def _with_retries(self, read: Callable[[], Awaitable[T]], execution: "EffectExecution") -> T:
        """Retry until the server answers, the effect's time is over, or the daemon stops."""

        def again(error: Exception) -> bool | timedelta:
            if not isinstance(error, RETRYABLE_ERRORS):
                return False
            pause = execution.pause_after(error)
            return pause if execution.has_time_for(error) and not execution.effect.stopping.is_set() else False

        return await retry(read, again, WAITS)


def is_obsolete(record: StepRecord, plan: EffectPlan, overtaken: Conflict | NotFound) -> bool:
    """
    Return whether a change is overtaken for good: its object is gone, or the name belongs to another object now.

    A patched object that has changed is judged again. An object that an undo deletes and that is already deleted is as
    it should be; its probe confirms that.
    """
    verb = definition_of(plan.command)
    if isinstance(overtaken, Conflict):
        return verb.removes
    return not (verb.gone_is_done or (verb.removes and record.phase is Phase.UNDO))
