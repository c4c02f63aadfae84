"""
Drills: rehearsals of a restore, into a server of their own. Nothing live is changed, so that no budget and no lock is asked.

A drill makes a change only while its service is healthy and not under recovery, no pause holds, and what is seen can be
trusted.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from kintsugi.decisions.admission import AdmissionDecision, AdmissionInput, AdmissionResult, Attempt, admit
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.drills import (
    DATABASE,
    INTEGRITY,
    LEFT_OUT,
    RULE,
    report_of,
    retargeted,
    summary_of,
)
from kintsugi.decisions.guards import Limits
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.change_limits import Budget
from kintsugi.model.command import Command
from kintsugi.model.records import IncidentState, Phase, Reason
from kintsugi.model.restores import scratch_of
from kintsugi.model.rules import Mode
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.context import RunnerDeps, StepScope
from kintsugi.runner.ends import ExecutionStopped, TriggerResolved, WritesForbidden
from kintsugi.runner.journal import Journal
from kintsugi.runner.rehearsal import RehearsalDriver, reason_to_end

log = structlog.get_logger(__name__)

GIVES_WAY_TO = frozenset({Reason.ACTIVE_RUN, Reason.LOCKED})
"""A drill ends also when its service is not healthy: it would add load."""

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
        """Return why the drill must end now, "" when it may go on."""
        return await reason_to_end(self.deps, self.ledger, self.journal.run, GIVES_WAY_TO)

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
