"""
Drives one drill from its state in the ledger to its end: it executes the steps, then undoes all of its changes.

The outcome of the steps is kept before anything is undone, so that a restart in between does not change it. No watchdog judges
a drill, since none of its changes last. A drill makes a change only while its service is healthy and not under recovery, no
pause holds, and what is seen can be trusted. A recovery waits for these; a drill waits for none of them and ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

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
    summary_of,
    turned,
)
from kintsugi.decisions.guards import Limits, covers
from kintsugi.durations import format_duration
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.change_limits import Budget
from kintsugi.model.command import Command
from kintsugi.model.records import Incident, IncidentState, Phase, Reason, RunRecord, SeenWorkload
from kintsugi.model.rules import Mode
from kintsugi.model.runbooks import Runbook
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.model.worker_results import scratch_of
from kintsugi.runner.context import RunContext, RunnerDeps, StepScope
from kintsugi.runner.driver import Ends, until_stopped
from kintsugi.runner.ends import ExecutionAborted, ExecutionStopped, TriggerResolved, WritesForbidden, raise_most_severe
from kintsugi.runner.interpreter import Interpreter
from kintsugi.runner.journal import Journal, left_to_undo
from kintsugi.runner.restoring import restore_of

log = structlog.get_logger(__name__)

UNDO_LIMIT = timedelta(minutes=10)
"""The limit of each undo; a Job that is left then ends by its own deadline."""

NO_LIMITS = Limits()
"""Neither a budget nor the breaker delays a drill: it disrupts nothing, and ends when its service has a problem."""


@dataclass(kw_only=True)
class DrillGate:
    """The gate of one drill. `begun_in` is the daemon's mode when it began: in observe only a person begins one."""

    begun_in: Mode
    deps: RunnerDeps
    ledger: Ledger
    journal: Journal

    def admission(
        self, scope: StepScope, _command: Command | None = None, *, phase: Phase | None = None
    ) -> "DrillAdmission":
        """Return the gate before a change of the drill."""
        return DrillAdmission(gate=self, phase=phase or scope.phase)

    async def release(self, child: StepPath) -> None:
        """Do nothing: a drill takes no locks of services."""

    async def ask(self, scope: StepScope, path: StepPath, question: str) -> None:
        """Raise ExecutionStopped: a drill's runbook may not ask a person."""
        raise ExecutionStopped(path, f"a drill cannot ask for approval: {question}")

    async def blocked_by(self) -> str:
        """Return why the drill must end now, "" when it may go on. An unknown state is no reason to end it."""
        run, observed = self.journal.run, self.deps.observed
        if annotated := observed.annotation_pause(run.namespace):
            return annotated
        history = await self.ledger.run_requests.history(run.service, run.namespace, self.deps.clock())
        for pause in history.pauses:
            if covers(pause, namespace=run.namespace, rule=RULE, service=run.service):
                return f"paused by {pause.who}: {pause.why}"
        found = objection(run.service, observed.views.get(run.service), history.incident)
        return f"the drill is ended: {found[1]}" if found is not None and found[0] is not Reason.STALE else ""

    async def decide(self, phase: Phase) -> AdmissionResult:
        """Decide on a change now; what a drill takes back is bound by less. Raises StaleEpoch."""
        run, observed, now = self.journal.run, self.deps.observed, self.deps.clock()
        constraints = await self.ledger.admissions.constraints(run.namespace, now, now)
        attempt = Attempt(
            phase=phase,
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


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillAdmission:
    """The gate of a drill before the attempts of one effect; implements `executor.Admission`."""

    gate: DrillGate
    phase: Phase

    async def admit(self) -> str:
        """
        Wait until the change can be seen. Raises TriggerResolved when the drill must give way, WritesForbidden when nothing may be written.

        What a drill takes back it takes back whatever goes on, but in mode observe or under a freeze.
        """
        while True:
            if self.phase is Phase.FORWARD and (why := await self.gate.blocked_by()):
                raise TriggerResolved(RUN, why)
            result = await self.gate.decide(self.phase)
            if result.decision is AdmissionDecision.ADMIT:
                return ""
            if result.decision is AdmissionDecision.DENY:
                raise WritesForbidden(RUN, result.reason)
            log.info("drill change waiting", run=self.gate.journal.run.id, why=result.reason)
            await asyncio.sleep(self.gate.deps.poll_interval.total_seconds())

    async def objection(self) -> str:
        """Return the objection to the attempt at this moment, "" for none. Raises StaleEpoch."""
        return (await self.gate.decide(self.phase)).reason

    def budget(self, now: datetime) -> Budget | None:
        """Return None: a drill disrupts nothing."""
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillOutcome:
    """The outcome of the steps of a drill."""

    state: IncidentState
    reason: str


@dataclass(kw_only=True)
class DrillDriver:
    """One drill under way. A person may end it: its changes are undone."""

    deps: RunnerDeps
    ledger: Ledger
    catalog: Catalog
    runbook: Runbook
    incident: Incident
    journal: Journal
    gate: DrillGate
    _ended: str = field(default="", init=False)

    @property
    def run(self) -> RunRecord:
        """Return the run as it was last committed."""
        return self.journal.run

    def request_rollback(self, who: str, _shown: SeenWorkload | None = None) -> None:
        """End the drill now and undo its changes."""
        self._ended = f"ended by {who}"

    def request_abort(self, reason: str) -> None:
        """End the drill now and undo its changes."""
        self._ended = reason

    async def drive(self) -> RunRecord:
        """Continue from the drill's state until it is over and all of its changes are undone."""
        while not self.run.state.is_final:
            outcome = self._noted() or await self._executed()
            left = await self._undo_all()
            await self._move(outcome, left)
        return self.run

    def _noted(self) -> DrillOutcome | None:
        state, reason = self.journal.fact(OUTCOME, "state"), self.journal.fact(OUTCOME, "reason")
        return DrillOutcome(state=IncidentState(str(state)), reason=str(reason)) if state is not None else None

    async def _executed(self) -> DrillOutcome:
        """Execute the steps, and keep their outcome."""
        outcome = await self._execute_steps()
        facts = {"state": outcome.state.value, "reason": outcome.reason}
        await self.journal.note(OUTCOME, "How the drill ended", facts, now=self.deps.clock())
        return self._noted() or outcome

    async def _execute_steps(self) -> DrillOutcome:
        catalog = await self._about_scratch()
        context = self._context(self.run.deadline - self.deps.clock())
        try:
            execution = Interpreter(context, catalog).execute_steps(self.runbook.steps, self._scope(Phase.FORWARD))
            await until_stopped(
                execution,
                self._reasons_to_stop,
                lambda: self.deps.poll_interval,
                name=f"drill {self.run.id}",
                conclude=raise_resolved_first,
            )
        except TriggerResolved as cleared:
            return DrillOutcome(state=IncidentState.CANCELLED, reason=cleared.why)
        except ExecutionAborted as failure:
            blocked_by = await self.gate.blocked_by()
            if blocked_by:
                return DrillOutcome(state=IncidentState.CANCELLED, reason=f"{blocked_by}; {failure}")
            return DrillOutcome(state=IncidentState.FAILED, reason=f"the drill did not pass: {failure}")
        report = report_of(self.run, self.journal.all(), now=self.deps.clock())
        return DrillOutcome(state=IncidentState.PASSED, reason=summary_of(report))

    async def _about_scratch(self) -> Catalog:
        """Return the catalog in which the service's integrity checks ask the scratch database."""
        service = self.catalog.services[self.run.service]
        database, scratch = str(self.run.parameters[DATABASE]), scratch_of(self.incident.id)
        checks, left_out = turned(service.checks.get(INTEGRITY, ()), database, scratch)
        if left_out:
            facts = {"checks": list(left_out)}
            await self.journal.note(LEFT_OUT, "Checks that do not test the backup", facts, now=self.deps.clock())
        about = replace(service, checks={**service.checks, INTEGRITY: checks})
        return replace(self.catalog, services={**self.catalog.services, service.name: about})

    async def _reasons_to_stop(self) -> list[BaseException | None]:
        """Return why the drill must end now: a person's request, the deadline, or the gate's reason."""
        if self._ended:
            return [TriggerResolved(RUN, self._ended)]
        if self.deps.clock() >= self.run.deadline:
            longest = format_duration(self.run.deadline - self.run.started)
            return [ExecutionStopped(RUN, f"it did not finish within {longest}")]
        blocked_by = await self.gate.blocked_by()
        return [TriggerResolved(RUN, blocked_by)] if blocked_by else []

    async def _undo_all(self) -> str:
        """Undo all changes as far as possible; return what could not be undone."""
        interpreter, scope = Interpreter(self._context(UNDO_LIMIT), self.catalog), self._scope(Phase.ROLLBACK)
        changes = interpreter.changes
        parts: list[Callable[[], Awaitable[object]]] = [
            lambda: changes.settle(scope),
            lambda: changes.end_workers(scope),
        ]
        if self._restored_anything():
            parts.append(lambda: interpreter.execute_steps(self.runbook.rollback.steps, scope))
        left = [what for part in parts if (what := await _tried(part))]
        for step, undo in left_to_undo(self.journal):
            left += [what for what in [await _tried(partial(changes.undo, step, undo, scope))] if what]
        return "; ".join(left)

    def _restored_anything(self) -> bool:
        """Return whether there may be a scratch database."""
        return any(restore_of(step) is not None for step in self.journal.changes(Phase.FORWARD))

    async def _move(self, outcome: DrillOutcome, left: str) -> None:
        state, reason = outcome.state, outcome.reason
        if left:
            state = IncidentState.FAILED if state is IncidentState.PASSED else state
            reason = f"{reason}; these changes could not be undone: {left}"
        self.journal.run = await self.ledger.runs.move_run(self.run.id, state, reason, self.deps.clock())
        log.info("drill finished", run=self.run.id, incident=self.incident.id, state=state, reason=reason)

    def _scope(self, phase: Phase) -> StepScope:
        parameters: Mapping[str, object] = self.run.parameters
        return StepScope(phase=phase, service=self.run.service, runbook=self.runbook.name, parameters=parameters)

    def _context(self, within: timedelta) -> RunContext:
        retry_until = self.deps.clock() + within
        return RunContext(
            deps=self.deps, gate=self.gate, journal=self.journal, incident=self.incident, retry_until=retry_until
        )


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
