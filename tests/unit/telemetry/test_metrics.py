"""The names that people alert on, there from the start."""

from dataclasses import replace

from kintsugi.app.metrics_recorder import preset
from kintsugi.model.services import DrillTerms
from kintsugi.telemetry import Metrics
from tests.unit.factories import shop, web

PROMISED = {
    "kintsugi_signals_received_total",
    "kintsugi_verdicts_total",
    "kintsugi_signals_pending",
    "kintsugi_runs_total",
    "kintsugi_steps_total",
    "kintsugi_run_seconds",
    "kintsugi_watchdogs",
    "kintsugi_in_doubt",
    "kintsugi_watch_lag_seconds",
    "kintsugi_ledger_commit_seconds",
    "kintsugi_event_loop_lag_seconds",
    "kintsugi_dead_letters_total",
    "kintsugi_service_healthy",
    "kintsugi_service_serving",
    "kintsugi_service_held",
    "kintsugi_drills_total",
    "kintsugi_drill_last_success_timestamp_seconds",
    "kintsugi_drill_age_seconds",
}


def test_the_promised_metrics_exist() -> None:
    exposition = Metrics().exposition().decode()

    typed = {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE")}
    assert typed >= PROMISED


def test_known_series_start_at_zero() -> None:
    """A rate over a series that appears with its first event misses that event."""
    metrics = Metrics()
    preset(metrics, replace(shop(), services={"web": replace(web(), drill=DrillTerms(runbook="mend"))}))

    lines = metrics.exposition().decode().splitlines()
    for series in (
        'kintsugi_signals_received_total{source="alertmanager"} 0.0',
        'kintsugi_verdicts_total{reason="matched",verdict="started"} 0.0',
        'kintsugi_runs_total{outcome="recovered",runbook="mend"} 0.0',
        'kintsugi_steps_total{action="kubectl delete",outcome="done"} 0.0',
        'kintsugi_watchdogs{state="pending"} 0.0',
        'kintsugi_webhook_answers_total{status="503"} 0.0',
        'kintsugi_runs_reconciled_total{action="restarted"} 0.0',
        'kintsugi_service_held{service="web"} 0.0',
        'kintsugi_drills_total{outcome="passed",service="web"} 0.0',
        "kintsugi_dead_letters_total 0.0",
    ):
        assert series in lines


def test_two_daemons_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.dead_letters.inc()

    assert "kintsugi_dead_letters_total 0.0" in second.exposition().decode()
