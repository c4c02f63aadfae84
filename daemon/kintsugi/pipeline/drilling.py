"""
Begins drills: because a person says so, or because the moment of a schedule has come.

A drill is claimed like a recovery, in one transaction; the moment of its schedule moves with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import structlog

from kintsugi.drills import due, may_drill
from kintsugi.drills.decision import RULE
from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Claim, Claimed
from kintsugi.ledger.claims import Decide
from kintsugi.model.documents import Service
from kintsugi.model.drills import DrillMemory
from kintsugi.model.history import History
from kintsugi.model.records import Incident, RunKind, Verdict, VerdictKind
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.roster import Roster
from kintsugi.planner import parameters_for
from kintsugi.telemetry import Border

log = structlog.get_logger(__name__)


class DrillLedger(Protocol):
    """What drilling asks of the ledger."""

    async def claim(self, claim: Claim, decide: Decide, now: datetime) -> Claimed: ...

    async def drills(self) -> Mapping[str, DrillMemory]: ...

    async def begin_schedule(self, service: str, schedule: str, now: datetime) -> None: ...


class Drilling:
    """Begins drills."""

    def __init__(self, ledger: DrillLedger, in_force: InForce, world: World, roster: Roster) -> None:
        self._ledger = ledger
        self._in_force = in_force
        self._world = world
        self._roster = roster
        self._containment = roster.containment
        self._told: dict[str, datetime] = {}
        self._listeners: list[Callable[[str], None]] = []

    def on_refused(self, listener: Callable[[str], None]) -> None:
        """Tell `listener` the service of each drill that did not begin; of a scheduled one once a moment."""
        self._listeners.append(listener)

    async def begin(self, name: str, who: str) -> Incident:
        """Begin a drill because a person says so. Raises NotRecorded for no such service, WrongState when it may not be."""
        service = self._in_force.catalog.services.get(name)
        if service is None:
            raise NotRecorded(f"there is no service {name}")
        claimed = await self._claim(service, f"asked for by {who}")
        if claimed.verdict.kind is VerdictKind.STARTED and claimed.incident is not None:
            return claimed.incident
        self._refused(name)
        raise WrongState(f"no drill is begun: {self._why(claimed.verdict)}")

    async def tend(self) -> None:
        """Begin what is due; a drill that may not begin now is tried again."""
        known = await self._ledger.drills()
        for service in self._in_force.catalog.services.values():
            if service.drill is not None and service.drill.schedule:
                with self._containment.around(Border.SERVICE, service.name):
                    await self._tend(service, service.drill.schedule, known.get(service.name))

    async def _tend(self, service: Service, schedule: str, known: DrillMemory | None) -> None:
        now = self._world.clock()
        if known is None or known.slot is None or known.schedule != schedule:
            await self._ledger.begin_schedule(service.name, schedule, now)
            return
        slot = due(schedule, known.slot, now)
        if slot is None:
            return
        claimed = await self._claim(service, f"scheduled for {slot:%Y-%m-%d %H:%M} UTC ({schedule})", slot=slot)
        if claimed.verdict.kind is not VerdictKind.STARTED and self._told.get(service.name) != slot:
            self._told[service.name] = slot
            log.warning("a drill waits", service=service.name, slot=str(slot), why=self._why(claimed.verdict))
            self._refused(service.name)

    async def _claim(self, service: Service, reason: str, *, slot: datetime | None = None) -> Claimed:
        now = self._world.clock()
        question = self._world.drill(service, scheduled=slot is not None)

        def decide(history: History) -> Verdict:
            verdict = may_drill(question, history, self._world.limits, now=now)
            return replace(verdict, text=reason) if verdict.kind is VerdictKind.STARTED else verdict

        if service.drill is None:
            return Claimed(verdict=decide(History()))
        runbook = self._in_force.catalog.runbooks[service.drill.runbook]
        claim = Claim(
            signal=None,
            service=service.name,
            namespace=service.namespace,
            rule=RULE,
            runbook=runbook.name,
            mode=self._world.mode,
            catalog=self._in_force.catalog.digest,
            parameters=parameters_for(runbook, service),
            deadline=now + runbook.rollback.after,
            kind=RunKind.DRILL,
            slot=slot,
        )
        claimed = await self._ledger.claim(claim, decide, now)
        if claimed.run is not None and claimed.run.finished is None:
            if claimed.verdict.kind is VerdictKind.STARTED:
                log.info("a drill begins", service=service.name, incident=claimed.run.incident, reason=reason)
            self._roster.start(claimed.run)  # once: also one whose claim's answer was lost
        return claimed

    def _why(self, verdict: Verdict) -> str:
        under_way = f"a drill is under way already: {verdict.text}"
        return under_way if verdict.kind is VerdictKind.ATTACHED else verdict.text

    def _refused(self, service: str) -> None:
        for listener in self._listeners:
            listener(service)
