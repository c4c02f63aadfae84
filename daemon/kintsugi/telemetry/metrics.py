"""
The daemon's metrics for Prometheus.

Names are stable, since people alert on them. No label has text from an alert or an object, so that no one else can
create series. Counters with known labels start at zero: there is no rate over a series that was absent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from kintsugi.telemetry.containment import FailureScope

_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RUN_BUCKETS = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600)


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownLabels:
    """Label values that are known at start; the composition root takes them from the enums and the catalog."""

    sources: Iterable[str] = ()
    verdicts: Iterable[tuple[str, str]] = ()
    outcomes: Iterable[str] = ()
    runbooks: Iterable[str] = ()
    actions: Iterable[str] = ()
    step_outcomes: Iterable[str] = ()
    watchdogs: Iterable[str] = ()
    services: Iterable[str] = ()
    drills: Iterable[tuple[str, str]] = ()


class Metrics:
    """Every metric of the daemon, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.signals_received = counter(
            "kintsugi_signals_received_total", "Signals committed to the ledger.", ["source"]
        )
        self.verdicts = counter("kintsugi_verdicts_total", "Verdicts given to signals.", ["verdict", "reason"])
        self.signals_unjudged = gauge("kintsugi_signals_unjudged", "Signals received that have no verdict yet.")
        self.dead_letters = counter("kintsugi_dead_letters_total", "Alerts and bodies that could not be understood.")
        self.alerts_left_out = counter(
            "kintsugi_alerts_left_out_total",
            "Alerts that Alertmanager left out of a group: polled for, or unknown where nothing polls.",
            ["outcome"],
        )
        self.webhook_answers = counter(
            "kintsugi_webhook_answers_total", "Answers to webhooks; any 4xx loses alerts.", ["status"]
        )
        self.webhook_waiting = gauge("kintsugi_webhook_waiting_alerts", "Alerts waiting for their commit.")
        self.polls = counter("kintsugi_alertmanager_polls_total", "Polls of Alertmanager.", ["outcome"])
        self.runs = counter("kintsugi_runs_total", "Runs that ended.", ["runbook", "outcome"])
        self.steps = counter("kintsugi_steps_total", "Steps that ended.", ["action", "outcome"])
        self.run_seconds = histogram("kintsugi_run_seconds", "From a run's start to its end.", buckets=_RUN_BUCKETS)
        self.watchdogs = gauge("kintsugi_watchdogs", "Watchdogs by state.", ["state"])
        self.runs_cared_for = counter(
            "kintsugi_runs_cared_for_total",
            "Open runs found without a task, or overdue and silent: taken up, restarted, or handed to a person.",
            ["care"],
        )
        self.blind = gauge("kintsugi_blind", "1 while what is seen is in doubt, and nothing is changed.")
        self.watch_lag = gauge("kintsugi_watch_lag_seconds", "Since a watch was last heard of.", ["resource"])
        self.ledger_commit_seconds = histogram(
            "kintsugi_ledger_commit_seconds", "One commit of signals.", buckets=_COMMIT_BUCKETS
        )
        self.event_loop_lag = histogram(
            "kintsugi_event_loop_lag_seconds", "How late the event loop was, four times a second.", buckets=_LAG_BUCKETS
        )
        self.service_healthy = gauge(
            "kintsugi_service_healthy", "1 while a service is healthy, 0 while it is not.", ["service"]
        )
        self.service_serving = gauge(
            "kintsugi_service_serving", "1 while a service is known to serve, 0 while it is not.", ["service"]
        )
        self.service_held = gauge(
            "kintsugi_service_held", "1 while a service's run is held for what it depends on.", ["service"]
        )
        self.changes_left = gauge(
            "kintsugi_namespace_changes_left",
            "Changes that a namespace may still see within the window.",
            ["namespace"],
        )
        self.disruptions_allowed = gauge(
            "kintsugi_service_disruptions_allowed", "Pods that serve and may be deleted now.", ["service"]
        )
        self.slots_left = gauge("kintsugi_slots_left", "Services that may still be recovered at the same time.")
        self.namespace_slots_left = gauge("kintsugi_namespace_slots_left", "The same of one namespace.", ["namespace"])
        self.drills = counter("kintsugi_drills_total", "Drills that ended, or did not start.", ["service", "outcome"])
        self.drill_passed = gauge(
            "kintsugi_drill_last_success_timestamp_seconds", "When the last good drill ended; 0 for never.", ["service"]
        )
        self.drill_age = gauge(
            "kintsugi_drill_age_seconds", "Since the last good drill ended; +Inf for never.", ["service"]
        )
        self.catalog_loads = counter(
            "kintsugi_catalog_loads_total",
            "New versions of the rules and runbooks: taken into force, or refused for their mistakes.",
            ["outcome"],
        )
        self.contained = counter(
            "kintsugi_contained_total", "Failures of one item that were kept from the others.", ["scope"]
        )
        self.notices = counter("kintsugi_notices_total", "Notices by outcome.", ["outcome"])
        _preset_own_labels(self)

    def preset(self, known: KnownLabels) -> None:
        """Start every series whose labels are known at zero."""
        for source in known.sources:
            self.signals_received.labels(source)
        for verdict, reason in known.verdicts:
            self.verdicts.labels(verdict, reason)
        for runbook in known.runbooks:
            for outcome in known.outcomes:
                self.runs.labels(runbook, outcome)
        for action in known.actions:
            for outcome in known.step_outcomes:
                self.steps.labels(action, outcome)
        for state in known.watchdogs:
            self.watchdogs.labels(state)
        for service, outcome in known.drills:
            self.drills.labels(service, outcome)
        for service in known.services:
            self.service_healthy.labels(service)
            self.service_serving.labels(service)
            self.service_held.labels(service)
            self.disruptions_allowed.labels(service)

    def exposition(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def _preset_own_labels(metrics: Metrics) -> None:
    """Start the series whose labels are fixed here."""
    for status in ("200", "400", "401", "413", "503"):
        metrics.webhook_answers.labels(status)
    for outcome in ("polled", "unknown"):
        metrics.alerts_left_out.labels(outcome)
    for outcome in ("ok", "failed"):
        metrics.polls.labels(outcome)
    for outcome in ("taken", "refused"):
        metrics.catalog_loads.labels(outcome)
    for scope in FailureScope:
        metrics.contained.labels(scope)
    for outcome in ("sent", "failed"):
        metrics.notices.labels(outcome)
