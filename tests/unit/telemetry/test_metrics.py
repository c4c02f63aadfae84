"""The names that people alert on, there from the start; a failure is kept from others, named and counted."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from kintsugi.app.metrics_recorder import preset
from kintsugi.errors import LedgerUnavailable, ProbeFailed, StaleEpoch
from kintsugi.model.services import DrillTerms
from kintsugi.telemetry import Containment, FailureScope, Metrics
from tests.unit.factories import shop, web

PROMISED = """
signals_received_total verdicts_total signals_pending runs_total steps_total run_seconds watchdogs in_doubt
watch_lag_seconds ledger_commit_seconds event_loop_lag_seconds dead_letters_total service_healthy service_serving
service_held drills_total drill_last_success_timestamp_seconds drill_age_seconds
"""


def test_the_promised_metrics_exist() -> None:
    exposition = Metrics().exposition().decode()

    typed = {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE")}
    assert typed >= {f"kintsugi_{name}" for name in PROMISED.split()}


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


def test_an_error_of_one_item_is_said_with_its_name_and_counted_and_the_next_has_its_turn() -> None:
    """B16."""
    containment, metrics, reached = Containment(), Metrics(), []
    containment.on_contained(lambda scope: metrics.contained.labels(scope).inc())
    with capture_logs() as said:
        for name in ("web", "api"):
            with containment.around(FailureScope.SERVICE, name) as attempt:
                reached.append(int("v7" if name == "web" else "7"))
            assert attempt.failed is (name == "web")
    assert reached == [7]
    (line,) = said
    assert (line["scope"], line["name"], line["failures"]) == ("service", "web", 1)
    assert "ValueError" in line["error"]
    assert b'kintsugi_contained_total{scope="service"} 1.0' in metrics.exposition()


def test_a_failure_that_comes_again_and_again_is_said_ever_more_seldom() -> None:
    containment = Containment()
    with capture_logs() as said:
        for _ in range(100):
            with containment.around(FailureScope.RULE, "web-pods"):
                raise ProbeFailed("no answer")
    assert [line["failures"] for line in said] == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize(
    "error",
    [
        StaleEpoch("another daemon leads"),
        LedgerUnavailable("the disk is full"),
        ExceptionGroup("tasks", [ValueError("x"), StaleEpoch("another daemon leads")]),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_is_not_about_one_item_passes(error: BaseException) -> None:
    """P2."""
    containment = Containment()
    with pytest.raises(type(error)), containment.around(FailureScope.INCIDENT, "inc-1"):
        raise error
    if isinstance(error, Exception):
        with pytest.raises(type(error)):
            containment.contain(FailureScope.INCIDENT, "inc-1", error)
