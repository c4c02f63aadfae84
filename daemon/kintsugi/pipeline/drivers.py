"""
Makes the driver of a run in the ledger: of one about a service, about all services, or of a rehearsal.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypedDict

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import Incident, RunKind, RunRecord
from kintsugi.model.runbooks import Runbook
from kintsugi.model.services import STACK
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.runner import Journal, RunnerDeps
from kintsugi.runner.context import Children
from kintsugi.runner.drill import DrillDriver, DrillGate
from kintsugi.runner.driver import Driver, RunDriver
from kintsugi.runner.gate import RunGate
from kintsugi.runner.rehearsal import RehearsalDriver
from kintsugi.runner.run_watchdog import RunWatchdog
from kintsugi.runner.stack import StackDriver


class DriverParts(TypedDict):
    """What every driver is made of, besides its gate."""

    deps: RunnerDeps
    ledger: Ledger
    catalog: Catalog
    runbook: Runbook
    incident: Incident
    journal: Journal


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

    async def of(self, run: RunRecord, clock: Callable[[], datetime]) -> Driver:
        """Make the driver of a run with the run's own documents. Raises LedgerUnavailable; KeyError when its runbook is missing."""
        deps = replace(self._deps, clock=clock)
        catalog = await self._active_catalog.by_digest(run.catalog)
        incident = await self._ledger.incidents.get(run.incident)
        journal = await Journal.read(run, self._ledger)
        parts = DriverParts(
            deps=deps,
            ledger=self._ledger,
            catalog=catalog,
            runbook=catalog.runbooks[run.runbook],
            incident=incident,
            journal=journal,
        )
        if run.kind is RunKind.DRILL:
            drill_gate = DrillGate(begun_in=incident.mode, deps=deps, ledger=self._ledger, journal=journal)
            return DrillDriver(**parts, gate=drill_gate)
        gate = RunGate(
            deps=deps,
            ledger=self._ledger,
            journal=journal,
            incident=incident,
            limits=self._policy.limits,
            plan=parts["runbook"].digest,
            expiry=self._policy.approval_expiry,
            parent=(await self._ledger.runs.get(run.parent)).incident if run.parent else "",
        )
        if run.kind is RunKind.REHEARSAL:
            return RehearsalDriver(**parts, gate=gate)
        if run.service == STACK:
            assert self.children is not None, "it is set before any run is started"
            return StackDriver(**parts, gate=gate, children=self.children)
        watchdog = RunWatchdog(deps=deps, journal=journal, runbook=parts["runbook"], timings=self._policy.timings)
        return RunDriver(**parts, gate=gate, watchdog=watchdog)
