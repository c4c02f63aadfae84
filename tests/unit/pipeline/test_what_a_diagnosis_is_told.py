"""A diagnosis is told what no object says: what a workload's service depends on, how its checks are answered, our own sight."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.model.records import Target
from kintsugi.pipeline.declared_workloads import DeclaredWorkloads, ServiceFacts
from kubediagnosis.related_objects import CheckFacts, ObserverFacts
from tests.unit import factories

CATALOG = factories.catalog(
    factories.service_text("db", namespace="data"),
    factories.service_text("web", depends_on=("db",)),
    factories.runbook_text(),
)
START_UP = timedelta(seconds=12)
UNMET = CheckFacts(name="smoke", met=False, answer="HTTP 502")


def declared(observer: ObserverHealth | None = None) -> DeclaredWorkloads:
    """Return what is tested, with one check of `web` that is not met."""
    return DeclaredWorkloads(
        catalog=lambda: CATALOG,
        answers=lambda name: (UNMET,) if name == "web" else (),
        observer=lambda: observer or ObserverHealth(),
        share=0.5,
        view=lambda name: replace(factories.view(ready=0 if name == "web" else 3), host=f"{name}-front.data.svc"),
        start_up=START_UP,
    )


@pytest.mark.parametrize("kind", ["Deployment", "deploy", "deployment"])
def test_a_workload_is_known_by_its_service_with_what_that_depends_on(kind: str) -> None:
    service, upstream = CATALOG.services["web"], CATALOG.services["db"]
    found = declared()(Target(kind=kind, namespace=service.namespace, name=service.workload.name))
    assert (found.service, found.checks, found.serving, found.start_up) == ("web", (UNMET,), False, START_UP)
    assert found.recreate == "kintsugi manifest web | kubectl apply -f -"
    assert found.upstreams == (
        Target(kind=upstream.workload.resource.kind, namespace="data", name=upstream.workload.name),
    )


def test_a_workload_is_told_which_services_are_behind_the_names_that_its_variables_may_have() -> None:
    service, db = CATALOG.services["web"], CATALOG.services["db"]
    found = declared()(Target(kind="Deployment", namespace=service.namespace, name=service.workload.name))
    kind = db.workload.resource.kind
    assert found.exposed == {"db-front.data": Target(kind=kind, namespace="data", name=db.workload.name)}


@pytest.mark.parametrize(
    ("namespace", "kind"), [("elsewhere", "Deployment"), ("production", "StatefulSet")], ids=["namespace", "type"]
)
def test_a_workload_that_no_service_has_is_not_declared(namespace: str, kind: str) -> None:
    name = CATALOG.services["web"].workload.name
    assert declared()(Target(kind=kind, namespace=namespace, name=name)) == ServiceFacts(start_up=START_UP)


@pytest.mark.parametrize(
    ("observer", "sight"),
    [
        (ObserverHealth(stale_reason="pods are stale"), ObserverFacts(stale="pods are stale")),
        (
            ObserverHealth(names="no answer"),
            ObserverFacts(
                doubt="the observer is suspected first: Kintsugi's own name server does not answer (no answer)",
            ),
        ),
    ],
)
def test_our_own_sight_is_told_of_any_workload(observer: ObserverHealth, sight: ObserverFacts) -> None:
    found = declared(observer)(Target(kind="Deployment", namespace="elsewhere", name="x"))
    assert found.observer == sight
