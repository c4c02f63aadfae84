"""Records the metrics: verdicts, runs and steps as they end; gauges when they are scraped."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import product

from kintsugi.app.core import Core
from kintsugi.commands import by_verb
from kintsugi.decisions.breaker import doubt
from kintsugi.decisions.disruptions import pod_budget
from kintsugi.decisions.reconciliation import ReconcileAction
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import (
    FINAL_STATES,
    IncidentState,
    Reason,
    RunKind,
    RunRecord,
    Signal,
    SignalSource,
    StepRecord,
    StepState,
    Verdict,
    VerdictKind,
)
from kintsugi.pipeline.pending_incidents import MOST_INCIDENTS
from kintsugi.telemetry import Metrics

COMMON_VERDICTS = (
    (VerdictKind.STARTED, Reason.MATCHED),
    (VerdictKind.ATTACHED, Reason.ACTIVE_RUN),
    (VerdictKind.HELD, Reason.UPSTREAM),
    (VerdictKind.AWAITING_APPROVAL, Reason.APPROVAL),
    (VerdictKind.OBSERVED, Reason.MODE),
    (VerdictKind.NO_RULE, Reason.NO_RULE),
    (VerdictKind.DEAD_LETTER, Reason.MALFORMED),
)
REFUSED = "refused"
OTHER = "other"
"""The label of a step without a command of the grammar, such as the run of a child."""
DRILLS = (IncidentState.PASSED, IncidentState.FAILED, IncidentState.CANCELLED, REFUSED)


class MetricsRecorder:
    """Listens to the daemon's parts and counts."""

    def __init__(self, core: Core, metrics: Metrics) -> None:
        self._core = core
        self._metrics = metrics
        self._unreadable_rows = 0
        preset(metrics, core.active_catalog.catalog)
        core.watch.on_signals(metrics.signals_received.labels(SignalSource.WATCH).inc)
        core.pipeline.on_verdict(self._verdict)
        core.supervisor.on_end(self._run)
        core.supervisor.on_reconciled(lambda action: metrics.runs_reconciled.labels(action.value).inc())
        core.containment.on_contained(lambda scope: metrics.contained.labels(scope).inc())
        core.outages.on_needless(lambda service, count: metrics.needless.labels(service).inc(count))
        core.drill_scheduler.on_refused(lambda service: metrics.drills.labels(service, REFUSED).inc())

    async def collect(self) -> None:
        """Set the gauges to what is so now."""
        core, metrics, now = self._core, self._metrics, self._core.observed.clock()
        # First: without the ledger the other gauges stay as they were.
        metrics.in_doubt.set(bool(doubt(core.observed.observer(), core.observed.limits.breaker_share)))
        metrics.signals_pending.set(await core.ledger.signals.pending())
        metrics.dead_letters.inc(core.ledger.signals.unreadable_rows - self._unreadable_rows)
        self._unreadable_rows = core.ledger.signals.unreadable_rows
        runs = [run for run in await core.ledger.incidents.open_runs() if run.kind is RunKind.RECOVERY]
        overdue = sum(run.deadline < now and run.state is not IncidentState.HELD for run in runs)
        metrics.watchdogs.labels("overdue").set(overdue)
        metrics.watchdogs.labels("pending").set(len(runs) - overdue)
        found = await core.ledger.incidents.newest(limit=MOST_INCIDENTS, open_only=True)
        held = {each.service for each in found if each.state is IncidentState.HELD}
        for name, view in core.services.views.items():
            metrics.service_healthy.labels(name).set(view.healthy is True)
            metrics.service_serving.labels(name).set(view.is_current and view.serving)
            metrics.service_held.labels(name).set(name in held)
            metrics.unnotified.labels(name).set(core.outages.unnotified.get(name, timedelta()).total_seconds())
        await self._collect_limits(now)
        known = await core.ledger.good_state.drills()
        for name in (each.name for each in core.active_catalog.catalog.services.values() if each.drill is not None):
            passed = known[name].passed if name in known else None
            metrics.drill_passed.labels(name).set(passed.timestamp() if passed is not None else 0)
            metrics.drill_age.labels(name).set((now - passed).total_seconds() if passed is not None else math.inf)
        for name, age in core.caches.ages():
            metrics.watch_lag.labels(name).set(age)

    async def _collect_limits(self, now: datetime) -> None:
        """Set what is left of each limit: changes and slots by namespace, pods by service."""
        core, metrics, limits = self._core, self._metrics, self._core.observed.limits
        namespaces = sorted({each.namespace for each in core.active_catalog.catalog.services.values()})
        changed = await core.ledger.incidents.disruptions(namespaces, now - limits.budget_window)
        slots = limits.slots(core.supervisor.slot_namespaces)
        metrics.slots_left.set(slots.left)
        for namespace in namespaces:
            metrics.namespace_slots_left.labels(namespace).set(slots.left_in(namespace))
            left = limits.budget - len(changed[namespace].moments)
            metrics.changes_left.labels(namespace).set(max(0, left))
        for name, view in core.services.views.items():
            disrupted = changed[view.service.namespace].objects if view.service.namespace in changed else frozenset()
            metrics.disruptions_allowed.labels(name).set(pod_budget(view, limits.max_unavailable).allowed(disrupted))

    def _verdict(self, _signal: Signal, verdict: Verdict) -> None:
        self._metrics.verdicts.labels(verdict.kind, verdict.reason).inc()

    def _run(self, run: RunRecord, steps: Iterable[StepRecord]) -> None:
        self._metrics.runs.labels(run.runbook, run.state).inc()
        if run.kind is RunKind.DRILL:
            self._metrics.drills.labels(run.service, run.state).inc()
        if run.finished is not None:
            self._metrics.run_seconds.observe((run.finished - run.started).total_seconds())
        for step in steps:
            if step.text:
                self._metrics.steps.labels(step.verb or OTHER, step.state).inc()


def preset(metrics: Metrics, catalog: Catalog) -> None:
    """Start every series at zero whose labels the enums or the catalog name."""
    for source in SignalSource:
        metrics.signals_received.labels(source)
    for verdict, reason in COMMON_VERDICTS:
        metrics.verdicts.labels(verdict, reason)
    for runbook, outcome in product(catalog.runbooks, sorted(FINAL_STATES)):
        metrics.runs.labels(runbook, outcome)
    for verb, state in product((*by_verb(), OTHER), (StepState.DONE, StepState.FAILED, StepState.SKIPPED)):
        metrics.steps.labels(verb, state)
    for watchdog in ("pending", "overdue"):
        metrics.watchdogs.labels(watchdog)
    for action in (ReconcileAction.TAKE_UP, ReconcileAction.RESTART, ReconcileAction.HAND_OVER):
        metrics.runs_reconciled.labels(action.value)
    for name in catalog.services:
        metrics.needless.labels(name)
    of_service = (metrics.service_healthy, metrics.service_serving, metrics.service_held)
    for gauge, name in product((*of_service, metrics.unnotified, metrics.disruptions_allowed), catalog.services):
        gauge.labels(name)
    for drilled, end in product((each for each in catalog.services.values() if each.drill is not None), DRILLS):
        metrics.drills.labels(drilled.name, end)
