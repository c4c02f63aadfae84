"""
Begins drills: when a person asks for one, or at the times of a schedule.

A drill is requested like a recovery, in one transaction; the moment of its schedule moves with it.
"""

from dataclasses import replace
from datetime import datetime

import structlog

from kintsugi.decisions.drills import RULE, due, may_drill
from kintsugi.decisions.planner import parameters_for
from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Ledger, RunRequest, RunRequestResult
from kintsugi.model.drills import DrillMemory
from kintsugi.model.history import History
from kintsugi.model.records import Incident, RunKind, Verdict, VerdictKind
from kintsugi.model.services import Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.telemetry import FailureScope, Listeners

log = structlog.get_logger(__name__)


class DrillScheduler:
    """Begins drills; `on_refused` hears of the service of each one that did not begin, of a scheduled one once a moment."""

    def __init__(
        self,
        ledger: Ledger,
        active_catalog: ActiveCatalog,
        observed: ObservedState,
        supervisor: RunSupervisor,
    ) -> None:
        self._ledger = ledger
        self._active_catalog = active_catalog
        self._observed = observed
        self._supervisor = supervisor
        self._containment = supervisor.containment
        self._notified: dict[str, datetime] = {}
        self.on_refused: Listeners[[str]] = Listeners(supervisor.containment)

    async def begin(self, name: str, who: str) -> Incident:
        """Begin a drill for a person. Raises NotRecorded for an unknown service, WrongState when it may not begin."""
        service = self._active_catalog.catalog.services.get(name)
        if service is None:
            raise NotRecorded(f"there is no service {name}")
        result = await self._request_run(service, f"requested by {who}")
        if result.verdict.kind is VerdictKind.STARTED and result.incident is not None:
            return result.incident
        self.on_refused.notify(name, name)
        raise WrongState(f"no drill is started: {self._why(result.verdict)}")

    async def reconcile(self) -> None:
        """Begin the drills that are due; one that may not begin now is tried again."""
        known = await self._ledger.good_state.drills()
        for service in self._active_catalog.catalog.services.values():
            if service.drill is not None and service.drill.schedule:
                with self._containment.around(FailureScope.SERVICE, service.name):
                    await self._reconcile(service, service.drill.schedule, known.get(service.name))

    async def _reconcile(self, service: Service, schedule: str, known: DrillMemory | None) -> None:
        now = self._observed.clock()
        if known is None or known.slot is None or known.schedule != schedule:
            await self._ledger.good_state.begin_schedule(service.name, schedule, now)
            return
        slot = due(schedule, known.slot, now)
        if slot is None:
            return
        result = await self._request_run(service, f"scheduled for {slot:%Y-%m-%d %H:%M} UTC ({schedule})", slot=slot)
        if result.verdict.kind is not VerdictKind.STARTED and self._notified.get(service.name) != slot:
            self._notified[service.name] = slot
            log.warning("drill waiting", service=service.name, slot=str(slot), why=self._why(result.verdict))
            self.on_refused.notify(service.name, service.name)

    async def _request_run(self, service: Service, reason: str, *, slot: datetime | None = None) -> RunRequestResult:
        now = self._observed.clock()
        question = self._observed.drill(service, scheduled=slot is not None)

        def decide(history: History) -> Verdict:
            verdict = may_drill(question, history, self._observed.limits, now=now)
            return replace(verdict, text=reason) if verdict.kind is VerdictKind.STARTED else verdict

        if service.drill is None:
            return RunRequestResult(verdict=decide(History()))
        runbook = self._active_catalog.catalog.runbooks[service.drill.runbook]
        request = RunRequest(
            signal=None,
            service=service.name,
            namespace=service.namespace,
            rule=RULE,
            runbook=runbook.name,
            mode=self._observed.mode,
            catalog=self._active_catalog.catalog.digest,
            parameters=parameters_for(runbook, service),
            deadline=now + runbook.rollback.after,
            kind=RunKind.DRILL,
            slot=slot,
        )
        result = await self._ledger.incidents.request_run(request, decide, now)
        if result.run is not None and result.run.finished is None:
            if result.verdict.kind is VerdictKind.STARTED:
                log.info("drill started", service=service.name, incident=result.run.incident, reason=reason)
            self._supervisor.start(result.run)  # once: also one whose request's answer was lost
        return result

    def _why(self, verdict: Verdict) -> str:
        under_way = f"a drill is already running: {verdict.text}"
        return under_way if verdict.kind is VerdictKind.ATTACHED else verdict.text
