"""
Drives one rehearsal from its state in the ledger to its end: it executes the steps, then undoes all that they have changed.

The outcome of the steps is kept before anything is undone, so that a restart in between does not change it. No watchdog judges
a rehearsal, since none of its changes last. It gives way: it ends, and undoes, as soon as a recovery of its service is needed or
a pause holds. A recovery never waits for more than that.

A drill is a rehearsal of a restore, into a server of its own. Nothing live is changed, so that no budget and no lock is asked. It
makes a change only while its service is healthy and not under recovery, no pause holds, and what is seen can be trusted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar

import structlog
from typing_extensions import override

from kintsugi.decisions.admission import AdmissionDecision, AdmissionInput, AdmissionResult, Attempt, admit
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.drills import (
    DATABASE,
    INTEGRITY,
    LEFT_OUT,
    OUTCOME,
    RULE,
    objection,
    report_of,
    retargeted,
    summary_of,
)
from kintsugi.decisions.guards import Limits, covers_run
from kintsugi.durations import format_duration
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.change_limits import Budget
from kintsugi.model.command import Command
from kintsugi.model.questions import Question
from kintsugi.model.records import IncidentState, Phase, Reason, RunRecord
from kintsugi.model.restores import scratch_of
from kintsugi.model.rules import Mode
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.context import RunnerDeps, StepQuestion, StepScope
from kintsugi.runner.driver import Driver, Ends, until_stopped
from kintsugi.runner.ends import ExecutionAborted, ExecutionStopped, TriggerResolved, WritesForbidden, raise_most_severe
from kintsugi.runner.holds import CLOCK_STOPPED
from kintsugi.runner.interpreter import Interpreter
from kintsugi.runner.journal import Journal, left_to_undo
from kintsugi.runner.report import hand_over, refused_undos
from kintsugi.runner.rollback import authored_undo_steps, undo_of

log = structlog.get_logger(__name__)

UNDO_LIMIT = timedelta(minutes=10)
"""The limit of each undo; a Job that is left then ends by its own deadline."""


async def reason_to_end(deps: RunnerDeps, ledger: Ledger, run: RunRecord, reasons: frozenset[Reason]) -> str:
    """
    Return why a rehearsal must end now: a pause, or an objection of one of the `reasons`; "" when it may go on.

    An unknown state is no reason to end it.
    """
    observed = deps.observed
    if annotated := observed.annotation_pause(run.namespace):
        return annotated
    history = await ledger.incidents.history(run.service, run.namespace, deps.clock())
    for pause in history.pauses:
        if covers_run(pause, run):
            return f"paused by {pause.who}: {pause.why}"
    found = objection(run.service, observed.views.get(run.service), history.incident)
    return f"the {run.kind} is ended: {found[1]}" if found is not None and found[0] in reasons else ""


Outcome = tuple[IncidentState, str]
"""The outcome of the steps of a rehearsal, with its reason."""


@dataclass(kw_only=True)
class RehearsalDriver(Driver):
    """
    One rehearsal under way. A person may end it: its changes are undone.

    It gives way to a recovery of its service, and not to a service that is not healthy: that may be its own doing.
    """

    gives_way_to: ClassVar = frozenset({Reason.ACTIVE_RUN})

    @override
    async def drive(self) -> RunRecord:
        while not self.run.state.is_final:
            outcome = self._noted() or await self._executed()
            left = await self._undo_all()
            await self._move(outcome, left)
        return self.run

    async def about(self) -> Catalog:
        """Return the catalog by which the steps are executed: the run's own."""
        return self.catalog

    def passed(self) -> str:
        """Return in one sentence what a rehearsal whose steps have passed has shown."""
        return "every step has passed, and every change is undone"

    async def _blocked_by(self) -> str:
        return await reason_to_end(self.deps, self.ledger, self.run, self.gives_way_to)

    def _noted(self) -> Outcome | None:
        state, reason = self.journal.fact(OUTCOME, "state"), self.journal.fact(OUTCOME, "reason")
        return (IncidentState(str(state)), str(reason)) if state is not None else None

    async def _executed(self) -> Outcome:
        """Execute the steps, and keep their outcome."""
        state, reason = outcome = await self._execute_steps()
        facts = {"state": state.value, "reason": reason}
        await self.journal.note(OUTCOME, f"How the {self.run.kind} ended", facts, now=self.deps.clock())
        return self._noted() or outcome

    async def _execute_steps(self) -> Outcome:
        catalog = await self.about()
        interpreter, scope = Interpreter(self.context(self.run.deadline), catalog), self.scope(Phase.FORWARD)
        try:
            execution = interpreter.execute_steps(self.runbook.steps, scope)
            await until_stopped(
                execution,
                self._reasons_to_stop,
                lambda: self.deps.poll_interval,
                name=f"{self.run.kind} {self.run.id}",
                conclude=raise_resolved_first,
            )
        except TriggerResolved as cleared:
            return IncidentState.CANCELLED, cleared.why
        except ExecutionAborted as failure:
            if blocked_by := await self._blocked_by():
                return IncidentState.CANCELLED, f"{blocked_by}; {failure}"
            return IncidentState.FAILED, f"the {self.run.kind} did not pass: {failure}"
        return IncidentState.PASSED, self.passed()

    async def _reasons_to_stop(self) -> list[BaseException | None]:
        """Return why the rehearsal must end now: a person's request, the deadline, or what it gives way to."""
        if self._ended:
            return [TriggerResolved(RUN, self._ended)]
        if self.deps.clock() >= self.run.deadline and self.run.state not in CLOCK_STOPPED:
            longest = format_duration(self.run.deadline - self.run.started)
            return [ExecutionStopped(RUN, f"it did not finish within {longest}")]
        blocked_by = await self._blocked_by()
        return [TriggerResolved(RUN, blocked_by)] if blocked_by else []

    async def _undo_all(self) -> str:
        """Undo all changes as far as possible; return what could not be undone."""
        context, scope = self.context(self.deps.clock() + UNDO_LIMIT), self.scope(Phase.ROLLBACK)
        interpreter = Interpreter(context, self.catalog)
        changes, changed = interpreter.changes, self.journal.changes(Phase.FORWARD)
        parts: list[Callable[[], Awaitable[object]]] = [
            lambda: changes.settle(scope),
            lambda: changes.end_jobs(scope),
        ]
        if changed:
            parts.append(lambda: interpreter.execute_steps(self.runbook.rollback.steps, scope))
        left = [what for part in parts if (what := await _tried(part))]
        for step, undo in left_to_undo(self.journal):
            own, service = undo_of(step, undo, self.deps.observed, scope.service)
            left.append(await _tried(partial(changes.undo, step, own, replace(scope, service=service))))
        forward = replace(scope, phase=Phase.FORWARD)
        interpreter.recall(self.runbook.steps, forward)
        for written in authored_undo_steps(self.runbook.steps, [step.step_path for step in changed]):
            undoing = partial(interpreter.execute_steps, written, replace(forward, phase=Phase.UNDO))
            left.append(await _tried(undoing))
        refused = [f"{step.text}: {step.error}" for step in refused_undos(self.journal.all())]
        return "; ".join(what for what in [*left, *refused] if what)

    async def _move(self, outcome: Outcome, left: str) -> None:
        state, reason = outcome
        if left:
            state, reason = self.left_state(state), f"{reason}; these changes could not be undone: {left}"
        text = hand_over(reason, self.journal.all()) if state is IncidentState.NEEDS_OPERATOR else reason
        await self.journal.move(state, text, self.deps.clock())
        log.info("rehearsal finished", run=self.run.id, incident=self.incident.id, state=state, reason=reason)

    def left_state(self, state: IncidentState) -> IncidentState:
        """Return the final state where a change could not be undone: something live is changed, and a person has it."""
        return IncidentState.NEEDS_OPERATOR


def raise_resolved_first(ends: Ends) -> None:
    """Raise the most severe of the ends; a TriggerResolved comes first, however the steps ended."""
    if any(isinstance(end, TriggerResolved) for end in ends):
        ends = [end for end in ends if not isinstance(end, ExecutionAborted) or isinstance(end, TriggerResolved)]
    raise_most_severe(ends)


async def _tried(part: Callable[[], Awaitable[object]]) -> str:
    try:
        await part()
    except ExecutionAborted as error:
        return str(error)
    return ""


GIVES_WAY_TO = frozenset({Reason.ACTIVE_RUN, Reason.LOCKED})
"""A drill ends also when its service is not healthy: it would add load."""

NO_LIMITS = Limits()
"""Neither a budget nor the breaker delays a drill: it disrupts nothing, and ends when its service has a problem."""


@dataclass(frozen=True, kw_only=True)
class DrillGate:
    """
    The gate of one drill, and before a change of it in a `phase`; implements `ChangeGate` and `executor.Admission`.

    `begun_in` is the daemon's mode when the drill began: in observe only a person begins one.
    """

    begun_in: Mode
    deps: RunnerDeps
    ledger: Ledger
    journal: Journal
    phase: Phase = Phase.FORWARD

    def admission(
        self, scope: StepScope, _command: Command | None = None, *, phase: Phase | None = None
    ) -> "DrillGate":
        """Return the gate before a change of the drill."""
        return replace(self, phase=phase or scope.phase)

    async def release(self, child: StepPath) -> None:
        """Do nothing: a drill takes no locks of services."""

    async def ask(self, scope: StepScope, question: StepQuestion) -> Question:
        """Raise ExecutionStopped: a drill's runbook may not ask a person."""
        raise ExecutionStopped(question.path, f"a drill cannot ask a person: {question.text}")

    async def admit(self) -> str:
        """
        Wait until the change can be seen. Raises TriggerResolved when the drill must give way, WritesForbidden when nothing may be written.

        What a drill takes back it takes back whatever goes on, but in mode observe or under a freeze.
        """
        while True:
            run, is_forward = self.journal.run, self.phase is Phase.FORWARD
            if is_forward and (why := await reason_to_end(self.deps, self.ledger, run, GIVES_WAY_TO)):
                raise TriggerResolved(RUN, why)
            result = await self._decide()
            if result.decision is AdmissionDecision.ADMIT:
                return ""
            if result.decision is AdmissionDecision.DENY:
                raise WritesForbidden(RUN, result.reason)
            log.info("drill change waiting", run=run.id, why=result.reason)
            await asyncio.sleep(self.deps.poll_interval.total_seconds())

    async def objection(self) -> str:
        """Return the objection to the attempt at this moment, "" for none. Raises StaleEpoch."""
        return (await self._decide()).reason

    def budget(self, now: datetime) -> Budget | None:
        """Return None: a drill disrupts nothing."""
        return None

    async def _decide(self) -> AdmissionResult:
        """Decide on a change now; what a drill takes back is bound by less. Raises StaleEpoch."""
        run, observed, now = self.journal.run, self.deps.observed, self.deps.clock()
        constraints = await self.ledger.incidents.constraints(run.namespace, now, now)
        attempt = Attempt(
            phase=self.phase,
            rule=RULE,
            namespaces=frozenset({run.namespace}),
            services=frozenset({run.service}),
        )
        inputs = AdmissionInput(
            mode=Mode.AUTO if self.begun_in is Mode.OBSERVE else observed.mode,
            observer=ObserverHealth(stale_reason=observed.stale_reason),
            approved=True,
            stopping=self.deps.stopping.is_set(),
            pauses=constraints.pauses,
        )
        return admit(attempt, inputs, NO_LIMITS)


class DrillDriver(RehearsalDriver):
    """One drill under way: a rehearsal that asks the restored database what its service's data is asked."""

    gives_way_to = GIVES_WAY_TO

    async def about(self) -> Catalog:
        """Return the catalog in which the service's integrity checks ask the scratch database."""
        service = self.catalog.services[self.run.service]
        database, scratch = str(self.run.parameters[DATABASE]), scratch_of(self.incident.id)
        checks, left_out = retargeted(service.checks.get(INTEGRITY, ()), database, scratch)
        if left_out:
            facts = {"checks": list(left_out)}
            await self.journal.note(LEFT_OUT, "Checks that do not test the backup", facts, now=self.deps.clock())
        about = replace(service, checks={**service.checks, INTEGRITY: checks})
        return replace(self.catalog, services={**self.catalog.services, service.name: about})

    def passed(self) -> str:
        """Return in one sentence what the drill has shown of the backup."""
        return summary_of(report_of(self.run, self.journal.all(), now=self.deps.clock()))

    def left_state(self, state: IncidentState) -> IncidentState:
        """Return that the drill has failed; what is left of it is nothing live, and ends with its Job."""
        return IncidentState.FAILED if state is IncidentState.PASSED else state
