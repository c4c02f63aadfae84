"""
Incidents that wait without a run: held for an upstream, or for a person. Looked at again until they start or end.
"""

from datetime import datetime
from typing import Protocol

import structlog

from kintsugi.ledger import Claim, Claimed, Decide
from kintsugi.model.records import Approval, Incident, IncidentState, RunRecord, Signal, VerdictKind
from kintsugi.model.trigger import Trigger
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.roster import Roster
from kintsugi.planner import plan
from kintsugi.runner.trigger import clear_since

log = structlog.get_logger(__name__)


class WaitingLedger(Protocol):
    """What waiting asks of the ledger."""

    async def incidents(
        self, *, limit: int = 50, service: str = "", open_only: bool = False
    ) -> tuple[Incident, ...]: ...

    async def trigger_of(self, incident: str) -> Trigger: ...

    async def newest_signal(self, incident: str) -> Signal | None: ...

    async def approvals(self, incident: str) -> tuple[Approval, ...]: ...

    async def runs_of(self, incident: str) -> tuple[RunRecord, ...]: ...

    async def move_incident(self, incident: str, state: IncidentState, reason: str, now: datetime) -> Incident: ...

    async def start_held(self, incident: str, claim: Claim, decide: Decide, now: datetime) -> Claimed: ...


class Waiting:
    """Tends the incidents that have no run yet."""

    def __init__(
        self, ledger: WaitingLedger, pipeline: Pipeline, in_force: InForce, world: World, roster: Roster
    ) -> None:
        self._ledger = ledger
        self._pipeline = pipeline
        self._in_force = in_force
        self._world = world
        self._roster = roster

    async def tend(self) -> None:
        """Close what has cleared or expired; start what was approved. Held ones are judged anew by their signals."""
        for incident in await self._ledger.incidents(limit=1000, open_only=True):
            if incident.state in (IncidentState.HELD, IncidentState.AWAITING_APPROVAL):
                await self._look_at(incident)

    async def _look_at(self, incident: Incident) -> None:
        if await self._ledger.runs_of(incident.id):
            return
        trigger = await self._ledger.trigger_of(incident.id)
        if trigger.lasting and clear_since(incident, trigger) is not None:
            await self._close_cleared(incident)
        elif incident.state is IncidentState.AWAITING_APPROVAL:
            await self._look_at_answer(incident)

    async def _close_cleared(self, incident: Incident) -> None:
        if incident.state is IncidentState.HELD:
            await self._end(
                incident, IncidentState.RECOVERED, f"upstream: it cleared while it was held ({incident.reason})"
            )
        else:
            await self._end(incident, IncidentState.NO_ACTION, "it cleared before anybody answered")

    async def _look_at_answer(self, incident: Incident) -> None:
        now = self._world.clock()
        asked = [approval for approval in await self._ledger.approvals(incident.id) if approval.path == ""]
        if asked and asked[-1].answered is not None:
            await self._start(incident, asked[-1])
        elif asked and asked[-1].expires <= now:
            await self._end(incident, IncidentState.CANCELLED, f"nobody approved by {asked[-1].expires:%H:%M:%S}")

    async def _start(self, incident: Incident, approval: Approval) -> None:
        """Start what was approved, if it still is the plan that was shown; the guards are asked again."""
        catalog, now = self._in_force.catalog, self._world.clock()
        rule, service = catalog.rules.get(incident.rule), catalog.services.get(incident.service)
        signal = await self._ledger.newest_signal(incident.id)
        if rule is None or service is None or signal is None:
            await self._end(incident, IncidentState.CANCELLED, f"rule {incident.rule} or its service is gone")
            return
        bound = plan(rule, service, catalog, now=now)
        if bound.digest != approval.plan:
            await self._end(incident, IncidentState.CANCELLED, "the plan has changed since it was approved")
            return
        claim = self._pipeline.claim_of(signal, rule, bound)
        decide = self._pipeline.decision(rule, bound, signal, approved=True)
        claimed = await self._ledger.start_held(incident.id, claim, decide, now)
        if claimed.run is not None and claimed.verdict.kind is VerdictKind.STARTED:
            log.info("approved", incident=incident.id, who=approval.who)
            self._roster.start(claimed.run)
        else:
            self._pipeline.wake()  # it has another verdict now, and with it another moment

    async def _end(self, incident: Incident, state: IncidentState, reason: str) -> None:
        await self._ledger.move_incident(incident.id, state, reason, self._world.clock())
        log.info("incident closed", incident=incident.id, state=state, reason=reason)
