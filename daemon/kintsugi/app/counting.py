"""
Puts what happens into the metrics: verdicts, runs, steps as they end; gauges when they are looked at.
"""

import math
from collections.abc import Iterable

from kintsugi.app.core import Core
from kintsugi.model.command import Verb
from kintsugi.model.documents import Catalog
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
from kintsugi.reconciliation import Care
from kintsugi.telemetry import KnownLabels, Metrics

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
DRILLS = (IncidentState.PASSED, IncidentState.FAILED, IncidentState.CANCELLED, REFUSED)
WATCHDOGS = ("pending", "overdue")


class Counting:
    """Listens to the daemon's parts and counts."""

    def __init__(self, core: Core, metrics: Metrics) -> None:
        self._core = core
        self._metrics = metrics
        self._strays = 0
        metrics.preset(known_labels(core.in_force.catalog))
        core.watch.on_told(metrics.signals_received.labels(SignalSource.WATCH).inc)
        core.pipeline.on_verdict(self._verdict)
        core.roster.on_end(self._run)
        for care in (Care.TAKE_UP, Care.RESTART, Care.HAND_OVER):
            metrics.runs_cared_for.labels(care.value)
        core.roster.on_care(lambda care: metrics.runs_cared_for.labels(care.value).inc())
        core.containment.on_contained(lambda border: metrics.contained.labels(border).inc())
        core.drilling.on_refused(lambda service: metrics.drills.labels(service, REFUSED).inc())

    async def look(self) -> None:
        """Set the gauges to what is so now."""
        core, metrics, now = self._core, self._metrics, self._core.world.clock()
        metrics.signals_unjudged.set(await core.ledger.unjudged())
        metrics.dead_letters.inc(core.ledger.strays - self._strays)
        self._strays = core.ledger.strays
        runs = [run for run in await core.ledger.open_runs() if run.kind is RunKind.RECOVERY]
        overdue = sum(run.deadline < now for run in runs)
        metrics.watchdogs.labels("overdue").set(overdue)
        metrics.watchdogs.labels("pending").set(len(runs) - overdue)
        for name, view in core.services.views.items():
            metrics.service_healthy.labels(name).set(view.healthy is True)
        known = await core.ledger.drills()
        for name in (each.name for each in core.in_force.catalog.services.values() if each.drill is not None):
            passed = known[name].passed if name in known else None
            metrics.drill_passed.labels(name).set(passed.timestamp() if passed is not None else 0)
            metrics.drill_age.labels(name).set((now - passed).total_seconds() if passed is not None else math.inf)
        for name, age in core.caches.ages():
            metrics.watch_lag.labels(name).set(age)

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
                self._metrics.steps.labels(verb_of(step.text), step.state).inc()


def verb_of(text: str) -> str:
    """Give the row of the grammar that a command's text belongs to; no label carries anything else of it."""
    return next((verb.value for verb in sorted(Verb, key=len, reverse=True) if text.startswith(verb.value)), "other")


def known_labels(catalog: Catalog) -> KnownLabels:
    """List the label values that are known at start."""
    return KnownLabels(
        sources=tuple(SignalSource),
        verdicts=COMMON_VERDICTS,
        outcomes=tuple(sorted(FINAL_STATES)),
        runbooks=tuple(catalog.runbooks),
        actions=tuple(verb.value for verb in Verb),
        step_outcomes=(StepState.DONE, StepState.FAILED, StepState.SKIPPED),
        watchdogs=WATCHDOGS,
        services=tuple(catalog.services),
        drills=tuple(
            (each.name, end) for each in catalog.services.values() if each.drill is not None for end in DRILLS
        ),
    )
