"""
Incidents without a run: held for an upstream, waiting for a person, or left over. They are reconciled until they start or end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from kintsugi.decisions.planner import Plan, plan
from kintsugi.decisions.reconciliation import IncidentAction, IncidentNeed, OpenIncident, need_of, overdue_hold_notice
from kintsugi.errors import WrongState
from kintsugi.ledger import Decide, Ledger, RunRequest
from kintsugi.model.questions import Question
from kintsugi.model.records import Incident, IncidentState, RunKind, Signal, SignalStatus, VerdictKind, clear_since
from kintsugi.model.rules import Rule
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.affected_services import AffectedServices
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.telemetry import FailureScope

log = structlog.get_logger(__name__)

MOST_INCIDENTS = 10_000
"""Open incidents looked at; there is one a service at most, and one drill."""

_ENDS = frozenset({VerdictKind.REFUSED, VerdictKind.OBSERVED})


@dataclass(eq=False)
class PendingIncidents:
    """Reconciles the incidents without a run."""

    ledger: Ledger
    pipeline: Pipeline
    active_catalog: ActiveCatalog
    observed: ObservedState
    supervisor: RunSupervisor

    async def reconcile(self) -> None:
        """
        Evaluate again, ask about, start or close each open incident without a run.

        A held incident is evaluated by its signals while they fire. A failure with one does not affect the others.
        Raises LedgerUnavailable, StaleEpoch.
        """
        found = await self.ledger.incidents.newest(limit=MOST_INCIDENTS, open_only=True)
        with_run = {run.incident for run in await self.ledger.incidents.open_runs()}
        for incident in found:
            if incident.id not in with_run and incident.kind is not RunKind.OBSERVER:
                with self.supervisor.containment.around(FailureScope.INCIDENT, incident.id):
                    await self._reconcile(incident.id)

    async def _reconcile(self, known_as: str) -> None:
        open_incident = await self._incident_state(known_as)
        if open_incident is None:
            return
        now, incident = self.observed.clock(), open_incident.incident
        self.pipeline.requester.note_waiting(incident)
        over = overdue_hold_notice(incident, self.observed.limits.holds.limit, now=now)
        affected = AffectedServices(self.ledger.incidents, self.active_catalog, self.observed)
        if over and not open_incident.clear and not await affected.is_notified_elsewhere(incident):
            await self.ledger.outbox.put_notice_once(incident.id, IncidentState.HELD, over, now)
        need = need_of(open_incident, now=now)
        try:
            await self._do(need, incident, [signal for signal, _ in open_incident.signals])
        except WrongState as moved:
            log.info("incident moved meanwhile", incident=incident.id, error=str(moved))

    async def _incident_state(self, known_as: str) -> OpenIncident | None:
        """Return the state of an incident; None when it has been closed or got a run meanwhile."""
        # the signals first: verdict and state change together, and an older state would not fit to a newer verdict
        signals = await self.ledger.signals.of_incident(known_as)
        incident, runs = await self.ledger.incidents.get(known_as), await self.ledger.incidents.runs_of(known_as)
        if incident.closed is not None or any(run.finished is None for run in runs):
            return None
        trigger = await self.ledger.signals.trigger_of(known_as)
        asked = (
            await self.ledger.people.questions_of(incident.id)
            if incident.state is IncidentState.AWAITING_APPROVAL
            else ()
        )
        return OpenIncident(
            incident=incident,
            had_run=bool(runs),
            clear=trigger.lasting and clear_since(incident, trigger) is not None,
            signals=signals,
            questions=[approval for approval in asked if approval.path == ""],
            abort=await self.ledger.people.abort_of(incident.id),
        )

    async def _do(self, need: IncidentNeed, incident: Incident, signals: Sequence[Signal]) -> None:
        match need.action:
            case IncidentAction.END:
                await self._end(incident, need.state, need.reason, notify=need.notify)
            case IncidentAction.ASK:
                await self._ask(incident)
            case IncidentAction.START:
                await self._evaluate(incident, signals[-1], need.approval)
            case IncidentAction.EVALUATE:
                going_on = [signal for signal in signals if signal.status is SignalStatus.FIRING]
                await self._evaluate(incident, (going_on or signals)[0], None)
            case IncidentAction.WAIT:
                pass

    async def _ask(self, incident: Incident) -> None:
        """Ask a question that was not asked yet, or whose answer cannot be used any more."""
        if (planned := await self._plan(incident)) is not None:
            log.info("approval requested", incident=incident.id)
            await self.pipeline.requester.ask(incident, planned[1])

    async def _evaluate(self, incident: Incident, signal: Signal, approval: Question | None) -> None:
        """Start what was approved, if it still is the plan that was shown, or was held; the guards are asked again."""
        if (planned := await self._plan(incident)) is None:
            return
        rule, bound = planned
        if approval is not None and bound.digest != approval.bound:
            await self._end(incident, IncidentState.CANCELLED, "the plan has changed since it was approved")
            return
        request = self.pipeline.requester.request_of(signal, rule, bound)
        approved_until = approval.expires if approval is not None else None
        decide = self.pipeline.requester.decision(rule, bound, signal, approved_until=approved_until)
        if (
            approval is not None
            and await self._would_start(request, decide)
            and not await self.pipeline.requester.is_as_approved(incident, bound, approval)
        ):
            return  # a person is asked again
        result = await self.ledger.incidents.start_held(incident.id, request, decide, self.observed.clock())
        verdict = result.verdict
        if result.run is not None and result.run.finished is None:
            log.info(
                "run started", incident=incident.id, approved_by=approval.who if approval is not None else "nobody"
            )
            self.supervisor.start(result.run)  # once: also one whose request's answer was lost
            return
        self.pipeline.wake()  # it has another verdict now, and with it another moment
        if verdict.kind in _ENDS and verdict.until is None:
            await self._end(incident, IncidentState.CANCELLED, verdict.text)

    async def _would_start(self, request: RunRequest, decide: Decide) -> bool:
        """Return whether the guards let a run start now, so that a preview is made only then."""
        history = await self.ledger.incidents.history_for(request, self.observed.clock())
        return decide(history).kind is VerdictKind.STARTED

    async def _plan(self, incident: Incident) -> tuple[Rule, Plan] | None:
        """Bind the incident's rule as it is now; None when it is gone, which ends the incident."""
        catalog = self.active_catalog.catalog
        rule, service = catalog.rules.get(incident.rule), catalog.subject(incident.service)
        if rule is None or service is None:
            await self._end(incident, IncidentState.CANCELLED, f"rule {incident.rule} or its service is gone")
            return None
        alert = await self.ledger.signals.alert_that_began(incident.id)
        return rule, plan(rule, service, catalog, now=self.observed.clock(), alert=alert)

    async def _end(self, incident: Incident, state: IncidentState, reason: str, *, notify: bool = False) -> None:
        await self.ledger.incidents.move_incident(incident.id, state, reason, self.observed.clock(), notify=notify)
        log.info("incident closed", incident=incident.id, state=state, reason=reason)
