"""
The daemon's metrics for Prometheus.

Names are stable, since people alert on them. No label has text from an alert or an object, so that no one else can
create series. Counters with known labels start at zero: there is no rate over a series that was absent.
"""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from kintsugi.telemetry.containment import FailureScope

_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RUN_BUCKETS = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600)


class Metrics:
    """Every metric of the daemon, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.info = Info("kintsugi", "The version of the daemon, and the name of its cluster.", registry=self.registry)
        self.signals_received = counter(
            "kintsugi_signals_received_total", "Signals committed to the ledger.", ["source"]
        )
        self.verdicts = counter("kintsugi_verdicts_total", "Verdicts given to signals.", ["verdict", "reason"])
        self.signals_pending = gauge("kintsugi_signals_pending", "Signals without a verdict.")
        self.dead_letters = counter(
            "kintsugi_dead_letters_total",
            "Dead letters: alerts, request bodies and stored signals that could not be read.",
        )
        self.alerts_left_out = counter(
            "kintsugi_alerts_left_out_total",
            "Alerts that Alertmanager left out of a group. polled: Kintsugi polls Alertmanager. unknown: it does not.",
            ["outcome"],
        )
        self.webhook_answers = counter(
            "kintsugi_webhook_answers_total",
            "Answers to webhook requests by HTTP status. A 4xx loses alerts.",
            ["status"],
        )
        self.webhook_waiting = gauge(
            "kintsugi_webhook_waiting_alerts", "Alerts that wait to be committed to the ledger."
        )
        self.polls = counter("kintsugi_alertmanager_polls_total", "Polls of Alertmanager by outcome.", ["outcome"])
        self.runs = counter("kintsugi_runs_total", "Ended runs by runbook and outcome.", ["runbook", "outcome"])
        self.steps = counter(
            "kintsugi_steps_total", "Steps of ended runs by action and outcome.", ["action", "outcome"]
        )
        self.run_seconds = histogram(
            "kintsugi_run_seconds", "Seconds from the start to the end of a run.", buckets=_RUN_BUCKETS
        )
        self.watchdogs = gauge(
            "kintsugi_watchdogs",
            "Watchdogs of open recovery runs by state. overdue: the run is past its deadline.",
            ["state"],
        )
        self.runs_reconciled = counter(
            "kintsugi_runs_reconciled_total",
            "Open runs without a task, or silent past their deadline, that were resumed, restarted or handed over.",
            ["action"],
        )
        self.in_doubt = gauge(
            "kintsugi_in_doubt", "1 while Kintsugi does not trust the observed state and starts no run."
        )
        self.watch_lag = gauge(
            "kintsugi_watch_lag_seconds",
            "Seconds since the last message of a watch. +Inf: no message so far.",
            ["resource"],
        )
        self.ledger_commit_seconds = histogram(
            "kintsugi_ledger_commit_seconds", "Seconds of one commit of signals to the ledger.", buckets=_COMMIT_BUCKETS
        )
        self.event_loop_lag = histogram(
            "kintsugi_event_loop_lag_seconds",
            "Delay of the event loop in seconds, measured four times a second.",
            buckets=_LAG_BUCKETS,
        )
        self.service_healthy = gauge(
            "kintsugi_service_healthy", "1 while the service is healthy, otherwise 0.", ["service"]
        )
        self.service_serving = gauge(
            "kintsugi_service_serving", "1 while the service is known to serve, otherwise 0.", ["service"]
        )
        self.service_held = gauge(
            "kintsugi_service_held", "1 while an incident of the service is held, otherwise 0.", ["service"]
        )
        self.unnotified = gauge(
            "kintsugi_untold_seconds",
            "Seconds for which the service has been down without a repair and without a notice to a person, otherwise 0.",
            ["service"],
        )
        self.needless = counter(
            "kintsugi_needless_restarts_total",
            "Restarts of pods whose fault still stood ten minutes later.",
            ["service"],
        )
        self.changes_left = gauge(
            "kintsugi_namespace_changes_left",
            "Changes left in the namespace's budget (guards.budget) within guards.budgetWindow.",
            ["namespace"],
        )
        self.disruptions_allowed = gauge(
            "kintsugi_service_disruptions_allowed", "Serving pods of the service that may be deleted now.", ["service"]
        )
        self.slots_left = gauge("kintsugi_slots_left", "Free slots: further services that may be under recovery now.")
        self.namespace_slots_left = gauge(
            "kintsugi_namespace_slots_left", "Free slots of the namespace.", ["namespace"]
        )
        self.drills = counter(
            "kintsugi_drills_total",
            "Drills that ended or were refused, by service and outcome.",
            ["service", "outcome"],
        )
        self.drill_passed = gauge(
            "kintsugi_drill_last_success_timestamp_seconds",
            "Unix time of the end of the last passed drill. 0: no drill has passed.",
            ["service"],
        )
        self.drill_age = gauge(
            "kintsugi_drill_age_seconds",
            "Seconds since the end of the last passed drill. +Inf: no drill has passed.",
            ["service"],
        )
        self.catalog_loads = counter(
            "kintsugi_catalog_loads_total",
            "New versions of the catalog. taken: now in force. refused: it contains mistakes.",
            ["outcome"],
        )
        self.contained = counter(
            "kintsugi_contained_total",
            "Errors in Kintsugi, each contained to one item, by the kind of the item.",
            ["scope"],
        )
        self.notices = counter("kintsugi_notices_total", "Attempts to send a notice by outcome.", ["outcome"])
        for metric, labels in (
            (self.webhook_answers, ("200", "400", "401", "413", "415", "503")),
            (self.alerts_left_out, ("polled", "unknown")),
            (self.polls, ("ok", "failed")),
            (self.catalog_loads, ("taken", "refused")),
            (self.contained, tuple(FailureScope)),
            (self.notices, ("sent", "failed")),
        ):
            for label in labels:
                metric.labels(label)

    def exposition(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
