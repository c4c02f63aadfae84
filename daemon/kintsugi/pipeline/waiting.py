"""
Incidents that no run carries: held for an upstream, waiting for a person, or left behind. Looked at again until they start
or end.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import structlog

from kintsugi.errors import WrongState
from kintsugi.ledger import Claim, Claimed, Decide
from kintsugi.model.documents import Rule
from kintsugi.model.records import (
    Approval,
    Incident,
    IncidentState,
    RunRecord,
    Signal,
    SignalStatus,
    Verdict,
    VerdictKind,
)
from kintsugi.model.trigger import Trigger
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.roster import Roster
from kintsugi.planner import Plan, plan
from kintsugi.reconciliation import Deed, Need, OpenIncident, hold_over, need_of
from kintsugi.runner.trigger import clear_since
from kintsugi.telemetry import Border

log = structlog.get_logger(__name__)

MOST_INCIDENTS = 10_000
"""Open incidents looked at; there is one a service at most, and one drill."""

_ENDS = frozenset({VerdictKind.REFUSED, VerdictKind.OBSERVED})


class WaitingLedger(Protocol):
    """What waiting asks of the ledger."""

    async def incidents(
        self, *, limit: int = 50, service: str = "", open_only: bool = False
    ) -> tuple[Incident, ...]: ...

    async def trigger_of(self, incident: str) -> Trigger: ...

    async def open_runs(self) -> tuple[RunRecord, ...]: ...

    async def incident(self, incident: str) -> Incident: ...

    async def signals_of(self, incident: str) -> tuple[tuple[Signal, Verdict | None], ...]: ...

    async def approvals(self, incident: str) -> tuple[Approval, ...]: ...

    async def runs_of(self, incident: str) -> tuple[RunRecord, ...]: ...

    async def move_incident(
        self, incident: str, state: IncidentState, reason: str, now: datetime, *, told: bool = False
    ) -> Incident: ...

    async def start_held(self, incident: str, claim: Claim, decide: Decide, now: datetime) -> Claimed: ...

    async def tell_once(self, incident: str, kind: IncidentState, text: str, now: datetime) -> None: ...


class Waiting:
    """Tends the incidents that no run carries."""

    def __init__(
        self, ledger: WaitingLedger, pipeline: Pipeline, in_force: InForce, world: World, roster: Roster
    ) -> None:
        self._ledger = ledger
        self._pipeline = pipeline
        self._in_force = in_force
        self._world = world
        self._roster = roster
        self._containment = roster.containment

    async def tend(self) -> None:
        """
        See to it that each open incident without a run is judged again, asked about, started or closed.

        Held ones are judged anew by their signals as long as these are. One that cannot be tended keeps no other from it.
        Raises LedgerUnavailable, StaleEpoch.
        """
        found = await self._ledger.incidents(limit=MOST_INCIDENTS, open_only=True)
        carried = {run.incident for run in await self._ledger.open_runs()}
        for incident in found:
            if incident.id not in carried:
                with self._containment.around(Border.INCIDENT, incident.id):
                    await self._tend(incident.id)

    async def _tend(self, known_as: str) -> None:
        now = self._world.clock()
        standing = await self._standing(known_as)
        if standing is None:
            return
        incident = standing.incident
        over = hold_over(incident, self._world.hold_limit, now=now)
        if over and not standing.clear:
            await self._ledger.tell_once(incident.id, IncidentState.HELD, over, now)
        need = need_of(standing, now=now)
        try:
            await self._do(need, incident, [signal for signal, _ in standing.signals])
        except WrongState as moved:
            log.info("an incident has moved on meanwhile", incident=incident.id, error=str(moved))

    async def _standing(self, known_as: str) -> OpenIncident | None:
        """Read how an incident stands; None when it has been closed or taken up meanwhile."""
        # the signals first: verdict and state change together, and an older state would not fit to a newer verdict
        signals = await self._ledger.signals_of(known_as)
        incident, runs = await self._ledger.incident(known_as), await self._ledger.runs_of(known_as)
        if incident.closed is not None or any(run.finished is None for run in runs):
            return None
        trigger = await self._ledger.trigger_of(known_as)
        asked = await self._ledger.approvals(incident.id) if incident.state is IncidentState.AWAITING_APPROVAL else ()
        return OpenIncident(
            incident=incident,
            had_run=bool(runs),
            clear=trigger.lasting and clear_since(incident, trigger) is not None,
            signals=signals,
            approvals=[approval for approval in asked if approval.path == ""],
        )

    async def _do(self, need: Need, incident: Incident, signals: Sequence[Signal]) -> None:
        match need.deed:
            case Deed.END:
                await self._end(incident, need.state, need.reason, told=need.told)
            case Deed.ASK:
                await self._ask(incident)
            case Deed.START:
                await self._judge(incident, signals[-1], need.approval)
            case Deed.JUDGE:
                going_on = [signal for signal in signals if signal.status is SignalStatus.FIRING]
                await self._judge(incident, (going_on or signals)[0], None)
            case Deed.WAIT:
                pass

    async def _ask(self, incident: Incident) -> None:
        """Ask what was not asked, or whose answer has come to nothing."""
        planned = self._plan(incident)
        if planned is None:
            await self._end(incident, IncidentState.CANCELLED, f"rule {incident.rule} or its service is gone")
            return
        _, bound = planned
        log.info("asking for approval", incident=incident.id)
        await self._pipeline.ask(incident.id, bound)

    async def _judge(self, incident: Incident, signal: Signal, approval: Approval | None) -> None:
        """Start what was approved, if it still is the plan that was shown, or was held; the guards are asked again."""
        planned = self._plan(incident)
        if planned is None:
            await self._end(incident, IncidentState.CANCELLED, f"rule {incident.rule} or its service is gone")
            return
        rule, bound = planned
        if approval is not None and bound.digest != approval.plan:
            await self._end(incident, IncidentState.CANCELLED, "the plan has changed since it was approved")
            return
        claim = self._pipeline.claim_of(signal, rule, bound)
        decide = self._pipeline.decision(rule, bound, signal, approved=approval is not None)
        claimed = await self._ledger.start_held(incident.id, claim, decide, self._world.clock())
        verdict = claimed.verdict
        if claimed.run is not None and claimed.run.finished is None:
            log.info("started", incident=incident.id, approved_by=approval.who if approval is not None else "nobody")
            self._roster.start(claimed.run)  # once: also one whose claim's answer was lost
            return
        self._pipeline.wake()  # it has another verdict now, and with it another moment
        if verdict.kind in _ENDS and verdict.until is None:
            await self._end(incident, IncidentState.CANCELLED, verdict.text)

    def _plan(self, incident: Incident) -> tuple[Rule, Plan] | None:
        """Bind the incident's rule as it is now; None when it is gone."""
        catalog = self._in_force.catalog
        rule, service = catalog.rules.get(incident.rule), catalog.services.get(incident.service)
        if rule is None or service is None:
            return None
        return rule, plan(rule, service, catalog, now=self._world.clock())

    async def _end(self, incident: Incident, state: IncidentState, reason: str, *, told: bool = False) -> None:
        await self._ledger.move_incident(incident.id, state, reason, self._world.clock(), told=told)
        log.info("incident closed", incident=incident.id, state=state, reason=reason)
