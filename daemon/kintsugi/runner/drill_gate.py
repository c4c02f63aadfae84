"""
What stands before every change of a drill: a recovery of its service, its health, a person's pause, our own sight.

A recovery waits for an approval or for a change to take effect; a drill waits for nobody and gives way.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kintsugi.admission import AdmissionFacts, Attempt, Decision, Ruling, admit
from kintsugi.drills.decision import RULE, trouble
from kintsugi.guards import Limits, Observer, covers
from kintsugi.ledger.admissions import Stops
from kintsugi.model.bounds import Budget
from kintsugi.model.command import Command
from kintsugi.model.documents import Mode
from kintsugi.model.history import History
from kintsugi.model.records import Phase, Reason
from kintsugi.runner.ends import Cleared, Parked, Stopped
from kintsugi.runner.journal import Journal
from kintsugi.runner.memory import Bearings
from kintsugi.runner.tools import Tools
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

NO_LIMITS = Limits()
"""A drill is held up by neither budget nor breaker: it disrupts nobody, and gives way where anybody is in trouble."""


class DrillLedger(Protocol):
    """What the gate asks of the ledger."""

    async def stops(self, namespace: str, since: datetime, now: datetime) -> Stops: ...

    async def history(self, service: str, namespace: str, now: datetime) -> History: ...


@dataclass(kw_only=True)
class DrillGate:
    """The gate of one drill. `begun_in` is the daemon's mode when it began: in observe only a person begins one."""

    begun_in: Mode
    tools: Tools
    ledger: DrillLedger
    journal: Journal

    def admission(
        self, at: Bearings, _command: Command | None = None, *, phase: Phase | None = None
    ) -> "DrillAdmission":
        """Return the gate as it stands before a change of the drill."""
        return DrillAdmission(gate=self, phase=phase or at.phase)

    async def release(self, child: str) -> None:
        """Do nothing: a drill takes no locks of services."""

    async def ask(self, phase: Phase, path: str, question: str) -> None:
        """Ask nobody: no drill's runbook is loaded that would."""
        raise Stopped(path, f"a drill asks nobody: {question}")

    async def hindrance(self) -> str:
        """Say why the drill must end now, "" when it may go on. What is not known now is no reason to end it."""
        run, world = self.journal.run, self.tools.world
        if annotated := world.annotation_pause(run.namespace):
            return annotated
        history = await self.ledger.history(run.service, run.namespace, self.tools.clock())
        for pause in history.pauses:
            if covers(pause, namespace=run.namespace, rule=RULE, service=run.service):
                return f"paused by {pause.who}: {pause.why}"
        found = trouble(run.service, world.views.get(run.service), history.incident)
        return f"the drill gives way: {found[1]}" if found is not None and found[0] is not Reason.STALE else ""

    async def decide(self, phase: Phase) -> Decision:
        """Decide on a change now; what a drill takes back is bound by less. Raises StaleEpoch."""
        run, world, now = self.journal.run, self.tools.world, self.tools.clock()
        stops = await self.ledger.stops(run.namespace, now, now)
        attempt = Attempt(
            phase=phase,
            rule=RULE,
            namespaces=frozenset({run.namespace}),
            services=frozenset({run.service}),
        )
        standing = AdmissionFacts(
            mode=Mode.AUTO if self.begun_in is Mode.OBSERVE else world.mode,
            observer=Observer(blind=world.blind),
            approved=True,
            stopping=self.tools.stopping.is_set(),
            pauses=stops.pauses,
        )
        return admit(attempt, standing, NO_LIMITS)


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillAdmission:
    """The gate of a drill as it stands before the attempts of one effect; implements `executor.Admission`."""

    gate: DrillGate
    phase: Phase

    @property
    def namespace(self) -> str:
        """Return the drill's namespace."""
        return self.gate.journal.run.namespace

    @property
    def stopping(self) -> bool:
        """Return whether the daemon is stopping."""
        return self.gate.tools.stopping.is_set()

    async def admit(self) -> str:
        """
        Wait until the change can be seen. Raises Cleared when the drill must give way, Parked when nothing may be written.

        What a drill takes back it takes back whatever goes on, but in mode observe or under a freeze.
        """
        while True:
            if self.phase is Phase.FORWARD and (why := await self.gate.hindrance()):
                raise Cleared("", why)
            decision = await self.gate.decide(self.phase)
            if decision.ruling is Ruling.ADMIT:
                return ""
            if decision.ruling is Ruling.PARK:
                raise Parked("", decision.reason)
            log.info("a change of a drill waits", run=self.gate.journal.run.id, why=decision.reason)
            await asyncio.sleep(self.gate.tools.pace.total_seconds())

    async def objection(self) -> str:
        """Return what stands against the attempt at this very moment, or nothing. Raises StaleEpoch."""
        return (await self.gate.decide(self.phase)).reason

    def budget(self, now: datetime) -> Budget | None:
        """Return none: a drill disrupts nobody."""
        return None
