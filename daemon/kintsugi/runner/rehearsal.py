"""
Drives one rehearsal from its state in the ledger to its end: it executes the steps, then undoes all that they have changed.

The outcome of the steps is kept before anything is undone, so that a restart in between does not change it. No watchdog judges
a rehearsal, since none of its changes last. It gives way: it ends, and undoes, as soon as a recovery of its service is needed or
a pause holds. A recovery never waits for more than that.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import ClassVar

import structlog
from typing_extensions import override

from kintsugi.decisions.guards import covers
from kintsugi.decisions.rehearsals import OUTCOME, objection
from kintsugi.durations import format_duration
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import IncidentState, Phase, Reason, RunRecord
from kintsugi.model.step_path import RUN
from kintsugi.runner.context import RunnerDeps
from kintsugi.runner.driver import Driver, Ends, until_stopped
from kintsugi.runner.ends import ExecutionAborted, ExecutionStopped, TriggerResolved, raise_most_severe
from kintsugi.runner.holds import CLOCK_STOPPED
from kintsugi.runner.interpreter import Interpreter
from kintsugi.runner.journal import left_to_undo
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
    history = await ledger.run_requests.history(run.service, run.namespace, deps.clock())
    for pause in history.pauses:
        if covers(pause, namespace=run.namespace, rule=run.rule, service=run.service):
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
        self.journal.run = await self.ledger.runs.move_run(self.run.id, state, text, self.deps.clock())
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
