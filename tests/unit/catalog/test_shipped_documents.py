"""The rules and runbooks that come with the product load, and say what the runbook page says."""

from datetime import timedelta

import pytest

from kintsugi.catalog import load, shipped_paths
from kintsugi.commands import render
from kintsugi.model.documents import Catalog, Mode, RuleSource, Run, Step


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(shipped_paths())


def line(step: Step) -> str:
    return step.do.command.source if isinstance(step.do, Run) else ""


def test_the_five_services_have_the_priorities_of_the_page(catalog: Catalog) -> None:
    priorities = {service.name: service.priority for service in catalog.services.values()}
    assert priorities == {
        "database": 1,
        "cache-service": 2,
        "api-service": 3,
        "web-service": 4,
        "ingress-controller": 5,
    }


def test_the_web_service_runbook_has_the_five_steps_of_the_page(catalog: Catalog) -> None:
    lines = [line(step) for step in catalog.runbooks["web-service-recovery"].steps]
    assert lines == [
        "kubectl get pods -l app=web-app",
        "kubectl delete pod ${each}",
        "kubectl scale deployment web-app-deployment --replicas=${params.replicas}",
        "kubectl get svc web-app-service",
        "curl http://${address(steps.balancer.item)}/health",
    ]


def test_the_web_service_rollback_has_the_four_steps_of_the_page(catalog: Catalog) -> None:
    rollback = catalog.runbooks["web-service-recovery"].rollback
    assert rollback.after == timedelta(minutes=30)
    assert [line(step).partition(" --")[0] for step in rollback.steps] == [
        "kubectl rollout history deployment/web-app-deployment",
        "kubectl rollout undo deployment/web-app-deployment",
        "kubectl rollout status deployment/web-app-deployment",
        "",
    ]


def test_commands_are_bound_to_the_service_s_namespace(catalog: Catalog) -> None:
    (check, *_) = catalog.runbooks["web-service-recovery"].steps
    assert isinstance(check.do, Run)
    assert render(check.do.command.bind({}, namespace="production")) == "kubectl get pods -n production -l app=web-app"


def test_every_service_has_rules_on_its_pods_its_readiness_and_its_alerts(catalog: Catalog) -> None:
    for name in catalog.services:
        sources = {rule.on for rule in catalog.rules.values() if rule.service == name}
        assert sources >= {RuleSource.POD, RuleSource.SERVICES, RuleSource.ALERT}, name


def test_what_no_restart_can_mend_is_observed(catalog: Catalog) -> None:
    volumes = [rule for rule in catalog.rules.values() if "volume" in rule.name]
    assert volumes
    assert {rule.mode for rule in volumes} == {Mode.OBSERVE}


def test_they_load_at_any_scale_of_durations(catalog: Catalog) -> None:
    fast = load(shipped_paths(), durations=0.001)
    assert fast.runbooks["web-service-recovery"].rollback.after == timedelta(seconds=1.8)
    assert fast.digest != catalog.digest
