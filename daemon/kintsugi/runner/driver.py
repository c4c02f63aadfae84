"""
Drives one run from its state in the ledger to its end: executes its steps, verifies, and rolls back if needed.

The ledger says how far the run is, however the process ended; the next process resumes it from there.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from typing_extensions import override

from kintsugi.decisions.answers import outcome
from kintsugi.decisions.outage_notices import NextFault, next_fault
from kintsugi.decisions.watchdog import WatchdogDecision, WatchdogResult
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.history import UNRESOLVED_OUTCOMES
from kintsugi.model.outages import KnownFaults, Superseded
from kintsugi.model.records import (
    NO_UPDATE,
    Incident,
    IncidentState,
    Occasion,
    Phase,
    RunRecord,
    RunUpdate,
    SeenWorkload,
    Signal,
    Trigger,
)
from kintsugi.model.runbooks import Runbook
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.context import ChangeGate, RunContext, RunnerDeps, StepScope
from kintsugi.runner.deadlines import DeadlineClock, RollbackTimeout
from kintsugi.runner.ends import (
    TOO_LATE,
    EffectFailed,
    ExecutionAborted,
    ExecutionStopped,
    HandoverRequested,
    OpposingChange,
    OutcomeAmbiguous,
    RollbackRequested,
    RollbackSuperseded,
    TriggerResolved,
    WritesForbidden,
    raise_most_severe,
    requested,
)
from kintsugi.runner.gate import RunGate
from kintsugi.runner.holds import CLOCK_STOPPED, SlotYielder
from kintsugi.runner.interpreter import Interpreter
from kintsugi.runner.journal import Journal
from kintsugi.runner.report import (
    hand_over,
    left_changed,
    memory_raise_summary,
    not_watched,
    restore_summary,
    rollback_summary,
)
from kintsugi.runner.rollback import RollbackRunner
from kintsugi.runner.run_watchdog import RunWatchdog
from kintsugi.runner.sections import Section, step_at, unfinished

log = structlog.get_logger(__name__)

Ends = Sequence[BaseException | None]

STATE_BY_DECISION = {
    WatchdogDecision.RECOVERED: IncidentState.RECOVERED,
    WatchdogDecision.NO_ACTION: IncidentState.NO_ACTION,
    WatchdogDecision.INEFFECTIVE: IncidentState.INEFFECTIVE,
    WatchdogDecision.ROLL_BACK: IncidentState.ROLLING_BACK,
    WatchdogDecision.HAND_OVER: IncidentState.NEEDS_OPERATOR,
    WatchdogDecision.CANCEL: IncidentState.CANCELLED,
}
GOES_ON_WITHOUT_PERSON = (IncidentState.VERIFYING, IncidentState.ROLLING_BACK, IncidentState.FAILED)
"""States in which no person decides: a section that was begun and not completed ends in none of them."""
WRITE_CHECK_INTERVAL = timedelta(seconds=5)
"""The interval of the check whether a run may still write: a run may write nothing for hours."""


@dataclass(kw_only=True)
class Driver(ABC):
    """
    Drives one run, whose documents are `catalog` and `runbook`, from its state in the ledger to its end.

    `alert` is the one that began it, None where none did.

    `_ended` says why a person, or what the run gives way to, wants it to end; "" for no one.
    """

    deps: RunnerDeps
    ledger: Ledger
    catalog: Catalog
    runbook: Runbook
    incident: Incident
    journal: Journal
    gate: ChangeGate
    alert: Signal | None = None
    _ended: str = field(default="", init=False)

    @property
    def run(self) -> RunRecord:
        """Return the run as it was last committed."""
        return self.journal.run

    @abstractmethod
    async def drive(self) -> RunRecord:
        """Continue from the run's state until it is over."""

    def request_rollback(self, who: str, shown: SeenWorkload | None = None) -> None:
        """End the run for a person who wants its changes undone, of the workload that was `shown`."""
        self.request_abort(f"ended by {who}")

    def request_abort(self, reason: str) -> None:
        """Take no further step."""
        self._ended = reason

    def scope(self, phase: Phase) -> StepScope:
        """Return the scope of the runbook's own steps."""
        return StepScope(
            phase=phase,
            service=self.run.service,
            runbook=self.runbook.name,
            parameters=self.run.parameters,
            alert=self.alert,
        )

    def context(self, retry_until: datetime) -> RunContext:
        """Return the context in which steps are executed; after `retry_until` no change is tried again."""
        return RunContext(
            deps=self.deps,
            gate=self.gate,
            journal=self.journal,
            incident=self.incident,
            alert=self.alert,
            retry_until=retry_until,
        )


@dataclass(kw_only=True)
class RunDriver(Driver):
    """
    One recovery under way.

    `rollback_requested` is set when a person wants it rolled back now; it takes effect at the next step boundary.
    `rollback_shown` is the workload that this person was shown.
    """

    gate: RunGate
    watchdog: RunWatchdog
    rollback_requested: asyncio.Event = field(default_factory=asyncio.Event)
    rollback_by: str = ""
    rollback_shown: SeenWorkload | None = None
    clock: DeadlineClock = field(init=False)
    _driven_since: datetime = field(init=False)
    _write_checked_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        # A run that is resumed settles first what was in doubt when the process ended: looking is not writing.
        self._driven_since = self._write_checked_at = self.deps.clock()
        after = self.runbook.rollback.after
        self.clock = DeadlineClock(deps=self.deps, ledger=self.ledger, journal=self.journal, after=after)

    @override
    async def drive(self) -> RunRecord:
        await self.watchdog.note_found()
        await self._diagnose(Occasion.OPENED)  # before anything is changed: what is deleted tells no more
        while not self.run.state.is_final:
            match self.run.state:
                case IncidentState.VERIFYING:
                    await self._watch()
                case IncidentState.ROLLING_BACK:
                    await self._roll_back()
                case _ if self.journal.has_any(Phase.ROLLBACK):
                    await self._roll_back()
                case _:
                    await self._execute_steps()
        return self.run

    @override
    def request_rollback(self, who: str, shown: SeenWorkload | None = None) -> None:
        self.rollback_by, self.rollback_shown, self.gate.abort_reason = who, shown, ""
        self.rollback_requested.set()

    @override
    def request_abort(self, reason: str) -> None:
        self.gate.abort_reason = reason

    async def _execute_steps(self) -> None:
        context, scope = self.context(self.run.deadline), self.scope(Phase.FORWARD)
        state, reason = IncidentState.VERIFYING, "all steps have ended"
        updates = NO_UPDATE
        try:
            notify_after = self.gate.limits.holds.limit
            slot = SlotYielder(deps=self.deps, ledger=self.ledger, journal=self.journal, notify_after=notify_after)
            await self._execute(Interpreter(context, self.catalog, yielding=slot), scope)
        except ExecutionStopped as stop:
            reason, updates = stop.summary, RunUpdate(stopped_at=str(stop.path))
        except RollbackRequested as request:
            state = IncidentState.ROLLING_BACK
            reason = f"the runbook asks for the rollback: {request}" if request.path else request.why
            # The workload is read: the watch may not show yet what the run has written itself.
            decided = self.rollback_shown or await self.watchdog.seen()
            updates = RunUpdate(rollback_requested_by=request.who or None, workload_decided=decided)
        except EffectFailed as failure:
            state, reason = IncidentState.FAILED, str(failure)
        except (OutcomeAmbiguous, HandoverRequested) as end:
            state, reason = IncidentState.NEEDS_OPERATOR, str(end)
        except OpposingChange as conflict:
            state, reason = IncidentState.NEEDS_OPERATOR, conflict.why
        except WritesForbidden as stop:
            if self.gate.abort_reason:
                with suppress(OutcomeAmbiguous):  # the report names a change that stays in doubt
                    await Interpreter(context, self.catalog).changes.settle(scope)
            state, reason = self._end_without_writing(), stop.why
        except TriggerResolved as cleared:
            state, reason = IncidentState.CANCELLED, cleared.why
        if not self.rollback_requested.is_set() and (section := unfinished(self.runbook, self.catalog, self.journal)):
            reason = f"{section} is left as it is for a person: {reason}"
            state = IncidentState.NEEDS_OPERATOR if state in GOES_ON_WITHOUT_PERSON else state
        await self.watchdog.note_left()
        await self._move(state, reason, replace(updates, steps_finished_at=self.deps.clock()))

    async def _execute(self, interpreter: Interpreter, scope: StepScope) -> None:
        """Execute the steps until there is a reason to stop; none where there is one already, as long after a restart."""
        if reasons := await self._reasons_to_stop():
            with suppress(OutcomeAmbiguous):  # the report names a change that stays in doubt
                await interpreter.changes.settle(scope)
            raise_most_severe(reasons)
        execution = interpreter.execute_steps(self.runbook.steps, scope)
        await until_stopped(execution, self._reasons_to_stop, self._next_check, name=f"steps of {self.run.id}")

    @override
    def scope(self, phase: Phase) -> StepScope:
        service = self.catalog.services.get(self.run.service)
        section = Section.of(self.runbook, service, self.run.parameters, RUN)
        return replace(super().scope(phase), section=section)

    def _end_without_writing(self) -> IncidentState:
        """End a run for which nothing more may be written: it is handed to a person if it has changed anything."""
        return IncidentState.NEEDS_OPERATOR if self.journal.changed else IncidentState.CANCELLED

    async def _reasons_to_stop(self) -> list[BaseException | None]:
        """Return why the execution must end now: a person's abort or request, mode observe or a freeze, or the deadline."""
        if self.gate.abort_reason:
            return [WritesForbidden(RUN, self.gate.abort_reason)]
        if self.rollback_requested.is_set():
            return [RollbackRequested(RUN, requested(self.rollback_by), who=self.rollback_by)]
        if (forbidden := await self._forbidden()) is not None:
            return [forbidden]
        if not await self.clock.check() and self._left() <= timedelta(0):
            return [ExecutionStopped(RUN, TOO_LATE)]
        return []

    async def _forbidden(self) -> WritesForbidden | None:
        """Return why nothing more may be written, None while something may, or it was asked for just now."""
        now = self.deps.clock()
        if now - self._write_checked_at < WRITE_CHECK_INTERVAL:
            return None
        self._write_checked_at = now
        try:
            await self.gate.admission(self.scope(Phase.FORWARD)).raise_if_forbidden()
        except WritesForbidden as forbidden:
            return forbidden
        return None

    def _next_check(self) -> timedelta:
        """Return when the reasons to stop are checked next: soon, and at the deadline at the latest."""
        left = self._left()
        return min(self.deps.poll_interval, left) if left > timedelta(0) else self.deps.poll_interval

    def _left(self) -> timedelta:
        """Return how long it is until the deadline: some time, while a person is asked or a slot is waited for."""
        if self.run.state in CLOCK_STOPPED:
            return self.deps.poll_interval
        return self.run.deadline - self.deps.clock()

    async def _watch(self) -> None:
        before, updates = self.run.reason, NO_UPDATE
        await self.gate.release(RUN)
        result = await self._watchdog_result()
        while result.decision is WatchdogDecision.WAIT:
            if (found := await self._next_fault()) is not None:
                result = superseded(found, changed=self.journal.changed)
                updates = RunUpdate(superseded=found.superseded)
                break
            await asyncio.sleep(self.deps.poll_interval.total_seconds())
            if self.rollback_requested.is_set():
                result = WatchdogDecision.ROLL_BACK.because(requested(self.rollback_by))
                updates = RunUpdate(rollback_requested_by=self.rollback_by)
                break
            result = await self._watchdog_result()
        state = STATE_BY_DECISION[result.decision]
        if state is IncidentState.ROLLING_BACK:
            updates = replace(updates, workload_decided=self.rollback_shown or self.watchdog.seen_by_view)
        text = f"{result.reason}; {before}" if state is IncidentState.NEEDS_OPERATOR else result.reason
        await self._move(state, text, updates)

    async def _next_fault(self) -> NextFault | None:
        """Return another problem of the service that ends the verification: it must not wait for the deadline of this one."""
        outage = self.deps.observed.outage(self.run.service)
        if outage is None:
            return None
        kept = await self.ledger.incidents.diagnoses_of(self.incident.id)
        known = KnownFaults.of(self.watchdog.templates, (each.diagnosis for each in kept))
        changed, now = self.journal.changed, self.deps.clock()
        watched = max(self.run.steps_finished_at or outage.since, self._driven_since)
        return next_fault(outage, known, watched, self.watchdog.timings, changed=changed, now=now)

    async def _watchdog_result(self) -> WatchdogResult:
        """
        Ask the watchdog now, unless a person has aborted the run. While a pause holds no rollback begins by itself: the deadline's
        clock is stopped.
        """
        if self.gate.abort_reason:
            return self._left_as_it_is(self.gate.abort_reason)
        stands = await self.clock.check()
        upstream = self.watchdog.upstream_cause
        early = not upstream and self.watchdog.waits_anyway(self.incident)
        trigger = Trigger() if early else await self.ledger.signals.trigger_of(self.incident.id)
        if upstream and trigger.firing:
            reason = f"upstream: {upstream}; nothing was changed, and the trigger waits for the upstream"
            return WatchdogDecision.CANCEL.because(reason)
        result = self.watchdog.evaluate(self.incident, trigger)
        if result.decision is WatchdogDecision.ROLL_BACK and (rejected := await self._rejected()):
            return WatchdogDecision.HAND_OVER.because(f"{rejected}; {result.reason}")
        if stands and result.decision is WatchdogDecision.ROLL_BACK:
            return WatchdogDecision.WAIT.because(f"{stands}; no rollback starts meanwhile")
        if result.decision is WatchdogDecision.RECOVERED and self._is_unmet():
            return WatchdogDecision.HAND_OVER.because(f"{result.reason}, but the steps did not all succeed")
        may_hand_over = result.decision is WatchdogDecision.WAIT and not self.watchdog.is_well
        if may_hand_over and (forbidden := await self._forbidden()) is not None:
            return self._left_as_it_is(forbidden.why)
        return result

    def _is_unmet(self) -> bool:
        """Return whether the run stopped at an expectation that the health of its service does not answer."""
        path = StepPath.parse(self.run.stopped_at or "")
        step, ended = step_at(self.runbook, self.catalog, path), self.journal.ended(Phase.FORWARD, path)
        if step is None or step.expect is None or ended is None or ended.met:
            return False
        return step.service is not None or any(each.partition(".")[0] != "service" for each in step.expect.reads)

    async def _rejected(self) -> str:
        """Return who has rejected what the run asked, "" for no one or where it has changed something: then a rollback takes that back."""
        if self.journal.changed:
            return ""
        asked = await self.ledger.people.questions_of(self.incident.id)
        return next((outcome(each) for each in asked if each.rejected), "")

    def _left_as_it_is(self, why: str) -> WatchdogResult:
        """Hand a run over if it has changed anything, else cancel it."""
        decision = WatchdogDecision.HAND_OVER if self.journal.changed else WatchdogDecision.CANCEL
        return decision.because(why)

    async def _roll_back(self) -> None:
        if self.gate.abort_reason and not self.run.rollback_requested_by:  # aborted as the rollback was decided
            await self._move(self._end_without_writing(), self.gate.abort_reason)
            return
        rollback = self.runbook.rollback
        term = await RollbackTimeout.begin(self.clock, rollback, self.watchdog.timings.verify)
        context = self.context(self.deps.clock() + rollback.after)
        going = RollbackRunner(context, self.catalog, self.runbook, self.watchdog)
        try:
            done, result = await term.in_time(going.do(since=term.began, asked=self.run.rollback_requested_by != ""))
            helped = result.decision is WatchdogDecision.RECOVERED
            state = IncidentState.ROLLED_BACK if helped else IncidentState.NEEDS_OPERATOR
            reason = f"rolled back ({term.why}): {done}; {'' if helped else 'but '}{result.reason}"
        except RollbackSuperseded as superseded:
            state, reason = IncidentState.NEEDS_OPERATOR, f"not rolled back: {superseded.why}"
        except ExecutionAborted as error:
            state, reason = IncidentState.NEEDS_OPERATOR, f"the rollback failed: {error}"
        await term.end()
        await self._move(state, reason)

    async def _diagnose(self, occasion: Occasion) -> None:
        """Diagnose the service, unless it is no longer in the catalog."""
        service = self.catalog.services.get(self.run.service)
        if self.deps.diagnoses is not None and service is not None:
            await self.deps.diagnoses.make(self.incident.id, service, occasion)

    async def _move(self, state: IncidentState, reason: str, updates: RunUpdate = NO_UPDATE) -> None:
        if state in UNRESOLVED_OUTCOMES and updates.superseded is not Superseded.OTHER_FAULT:
            # where another fault ended the run, this would be a diagnosis of that one, which has a notice of its own
            await self._diagnose(Occasion.HAND_OVER)
        elif state is IncidentState.ROLLING_BACK:
            await self._diagnose(Occasion.ROLLBACK)
        if state.is_final:
            steps = self.journal.all()
            unwatched = not_watched(steps, self.deps.prometheus)
            left = left_changed(steps) if state not in UNRESOLVED_OUTCOMES else ""
            restored = restore_summary(steps, self.incident.opened)
            parts = (rollback_summary(steps), memory_raise_summary(steps), reason, restored, unwatched, left)
            reason = "; ".join(part for part in parts if part)
        now = self.deps.clock()
        text = reason
        if state in UNRESOLVED_OUTCOMES:
            text = hand_over(reason, self.journal.all(), self.watchdog.rollback_command(now))
        await self.journal.move(state, text, now, updates=updates)
        log.info("run state changed", run=self.run.id, incident=self.incident.id, state=state, reason=reason)


def superseded(found: NextFault, *, changed: bool) -> WatchdogResult:
    """Return the outcome that a run had reached when another problem began."""
    if found.was_well:
        decision = WatchdogDecision.RECOVERED if changed else WatchdogDecision.NO_ACTION
    else:
        decision = WatchdogDecision.INEFFECTIVE if changed else WatchdogDecision.CANCEL
    return decision.because(found.text)


async def until_stopped(
    execution: Coroutine[Any, Any, None],
    reasons: Callable[[], Awaitable[Ends]],
    pause: Callable[[], timedelta],
    *,
    name: str,
    conclude: Callable[[Ends], None] = raise_most_severe,
) -> None:
    """
    Execute steps, and ask for reasons to stop after each pause; the execution is over when this returns.

    Raises what `conclude` makes of all the ends that there were: the most severe, a ExecutionAborted as a rule.
    """
    task = asyncio.create_task(execution, name=name)
    ends: list[BaseException | None] = []
    try:
        while not task.done() and not ends:
            ends += await reasons()
            await asyncio.wait([task], timeout=0 if ends else pause().total_seconds())
    finally:
        task.cancel()
        ends += await asyncio.gather(task, return_exceptions=True)
    conclude([end for end in ends if not isinstance(end, asyncio.CancelledError)])
