"""What is left of each limit is a metric: changes and slots by namespace, pods by service."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from kintsugi.app.metrics_recorder import MetricsRecorder
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.guards import Limits
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, StepState
from kintsugi.telemetry import Containment, Metrics
from tests.harness.ledger_rows import keep
from tests.unit.factories import catalog, incident, moment, pod, rule_text, run, runbook_text, service_text, step, view

PODS = tuple(pod(f"web-{number}", ready=number < 5) for number in range(6))


async def change_two(ledger: Ledger) -> None:
    """Let two changes have been made in production of late, of which one has deleted web-1."""
    over = replace(run(state=IncidentState.RECOVERED), finished=moment(minutes=-5), changed=True)
    await keep(ledger, replace(incident(state=over.state), closed=over.finished), over)
    for minutes, uid in ((-9, "uid-web-1"), (-8, "uid-web")):
        made = step(f"{uid}#0", state=StepState.DONE)
        when = moment(minutes=minutes)
        made = replace(made, changes=True, namespace="production", facts={"uid": uid}, started=when, finished=when)
        await keep(ledger, made)


def core_of(ledger: Ledger, limits: Limits, places: tuple[str, ...] = (), *, stale: str = "") -> Any:
    """Return as much of a daemon as its metrics look at: web in production with five of six pods ready, api in staging."""
    known = catalog(service_text(), service_text(name="api", namespace="staging"), rule_text(), runbook_text())
    ignored = SimpleNamespace(
        on_signals=lambda _: None, on_verdict=lambda _: None, on_end=lambda _: None, on_reconciled=lambda _: None
    )
    return SimpleNamespace(
        ledger=ledger,
        observed=SimpleNamespace(clock=moment, limits=limits, observer=lambda: ObserverHealth(stale_reason=stale)),
        active_catalog=SimpleNamespace(catalog=known),
        services=SimpleNamespace(
            views={
                "web": view(known.services["web"], ready=5, desired=6, pods=PODS),
                "api": view(known.services["api"], ready=0, desired=2),
            }
        ),
        supervisor=SimpleNamespace(on_end=lambda _: None, on_reconciled=lambda _: None, slot_namespaces=places),
        watch=ignored,
        pipeline=ignored,
        containment=Containment(),
        outages=SimpleNamespace(unnotified={}, on_needless=lambda _: None),
        drill_scheduler=SimpleNamespace(on_refused=lambda _: None),
        caches=SimpleNamespace(ages=lambda: ()),
    )


async def test_the_rest_of_the_limits_is_told_by_namespace_and_by_service(ledger: Ledger) -> None:
    metrics = Metrics()
    await change_two(ledger)
    limits = Limits(
        budget=3, max_concurrent_services=3, max_concurrent_services_per_namespace=2, budget_window=timedelta(hours=1)
    )
    await MetricsRecorder(core_of(ledger, limits, ("production", "production")), metrics).collect()
    told = {
        "kintsugi_namespace_changes_left": {"production": 1, "staging": 3},
        "kintsugi_service_disruptions_allowed": {"web": 1, "api": 0},
        "kintsugi_namespace_slots_left": {"production": 0, "staging": 1},
        "kintsugi_slots_left": {"": 1},
    }
    for name, wanted in told.items():
        found = {
            "".join(each.labels.values()): each.value
            for family in metrics.registry.collect()
            for each in family.samples
            if each.name == name
        }
        assert found == wanted, name


async def test_an_overspent_limit_has_none_left(ledger: Ledger) -> None:
    metrics = Metrics()
    await change_two(ledger)
    await MetricsRecorder(
        core_of(ledger, Limits(budget=1, max_concurrent_services=1), ("production", "staging")), metrics
    ).collect()
    assert metrics.registry.get_sample_value("kintsugi_namespace_changes_left", {"namespace": "production"}) == 0
    assert metrics.registry.get_sample_value("kintsugi_slots_left") == 0


@pytest.mark.parametrize("stale", ["", "the watch of pods is silent"])
async def test_a_metric_tells_whether_what_is_seen_is_in_doubt(ledger: Ledger, stale: str) -> None:
    metrics = Metrics()
    await MetricsRecorder(core_of(ledger, Limits(), stale=stale), metrics).collect()
    assert metrics.registry.get_sample_value("kintsugi_in_doubt") == bool(stale)
