"""
Makes the driver of a run in the ledger: of one about a service, about all services, or of a rehearsal.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import Incident, RunKind, RunRecord
from kintsugi.model.services import STACK
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.runner import Journal, RunnerDeps
from kintsugi.runner.context import ChangeGate, Children
from kintsugi.runner.drill import DrillDriver, DrillGate
from kintsugi.runner.driver import RunDriver
from kintsugi.runner.gate import RunGate
from kintsugi.runner.rehearsal import RehearsalDriver
from kintsugi.runner.run_watchdog import RunWatchdog
from kintsugi.runner.stack import StackDriver

AnyDriver = RunDriver | RehearsalDriver | StackDriver


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPolicy:
    """The figures of every run."""

    timings: WatchdogTimings
    limits: Limits
    approval_expiry: timedelta
    retry_after: timedelta


class DriverFactory:
    """Makes drivers. `children` starts the child runs of a run about all services; it is set before any run is started."""

    def __init__(self, deps: RunnerDeps, ledger: Ledger, active_catalog: ActiveCatalog, policy: RunPolicy) -> None:
        self._deps = deps
        self._ledger = ledger
        self._active_catalog = active_catalog
        self._policy = policy
        self.children: Children | None = None

    async def of(self, run: RunRecord, clock: Callable[[], datetime]) -> AnyDriver:
        """Make the driver of a run with the run's own documents. Raises LedgerUnavailable; KeyError when its runbook is missing."""
        deps = replace(self._deps, clock=clock)
        catalog = await self._active_catalog.by_digest(run.catalog)
        incident = await self._ledger.incidents.get(run.incident)
        journal = await Journal.read(run, self._ledger)
        if run.kind is RunKind.DRILL:
            drills = DrillGate(begun_in=incident.mode, deps=deps, ledger=self._ledger, journal=journal)
            return self._rehearsal(DrillDriver, deps, catalog, incident, journal, drills)
        gate = RunGate(
            deps=deps,
            ledger=self._ledger,
            journal=journal,
            incident=incident,
            limits=self._policy.limits,
            plan=catalog.runbooks[run.runbook].digest,
            expiry=self._policy.approval_expiry,
            parent=(await self._ledger.runs.get(run.parent)).incident if run.parent else "",
        )
        if run.kind is RunKind.REHEARSAL:
            return self._rehearsal(RehearsalDriver, deps, catalog, incident, journal, gate)
        make = self._stack if run.service == STACK else self._recovery
        return make(deps, catalog, incident, journal, gate)

    def _rehearsal(
        self,
        driver: type[RehearsalDriver],
        deps: RunnerDeps,
        catalog: Catalog,
        incident: Incident,
        journal: Journal,
        gate: ChangeGate,
    ) -> RehearsalDriver:
        return driver(
            deps=deps,
            ledger=self._ledger,
            catalog=catalog,
            runbook=catalog.runbooks[journal.run.runbook],
            incident=incident,
            journal=journal,
            gate=gate,
        )

    def _stack(
        self, deps: RunnerDeps, catalog: Catalog, incident: Incident, journal: Journal, gate: RunGate
    ) -> StackDriver:
        assert self.children is not None, "it is set before any run is started"
        return StackDriver(
            deps=deps,
            ledger=self._ledger,
            catalog=catalog,
            runbook=catalog.runbooks[journal.run.runbook],
            incident=incident,
            journal=journal,
            gate=gate,
            children=self.children,
        )

    def _recovery(
        self, deps: RunnerDeps, catalog: Catalog, incident: Incident, journal: Journal, gate: RunGate
    ) -> RunDriver:
        runbook = catalog.runbooks[journal.run.runbook]
        return RunDriver(
            deps=deps,
            ledger=self._ledger,
            catalog=catalog,
            runbook=runbook,
            incident=incident,
            journal=journal,
            watchdog=RunWatchdog(
                deps=deps,
                journal=journal,
                runbook=runbook,
                timings=self._policy.timings,
            ),
            gate=gate,
        )
