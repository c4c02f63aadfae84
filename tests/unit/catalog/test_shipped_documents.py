"""The rules and runbooks that come with the product load, and say what the runbook page says."""

from datetime import timedelta

import pytest

from kintsugi.catalog import load, shipped_paths
from kintsugi.commands import render
from kintsugi.model.documents import Catalog, Mode, RuleSource, Run, Step
from kintsugi.scope.values import StepOutcome, Surroundings, step_names
from tests.unit.factories import NOW, pod


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


def test_the_database_runbook_has_the_five_checks_of_the_page_in_their_order(catalog: Catalog) -> None:
    lines = [line(step) for step in catalog.runbooks["database-recovery"].steps]
    page = [
        "kubectl get pods -l app=database",
        "kubectl get pv,pvc -n production",
        "kubectl logs -f ${each} --since=15m",
        "kubectl exec -it statefulset/database -- psql -U postgres -c 'SELECT 1'",
        "kubectl exec -it statefulset/database -- psql -U postgres -c 'SELECT * FROM pg_stat_replication'",
    ]
    places = [lines.index(each) for each in page]
    assert places == sorted(places)
    assert [each for each in lines if " delete " in each] == ["kubectl delete pod ${each}"]


def finding(means: str) -> dict[str, object]:
    return {"severity": "critical", "means": means, "line": "", "pod": "database-0", "sqlstate": ""}


@pytest.mark.parametrize(
    ("ready", "lost", "findings", "restarts"),
    [
        (False, False, [], True),
        (False, False, [finding("client"), finding("failure"), finding("recovering")], True),
        (True, False, [], False),
        (False, True, [], False),
        (False, False, [finding("corruption")], False),
        (False, False, [finding("disk-full")], False),
    ],
)
def test_a_database_is_not_restarted_while_its_data_are_in_doubt(
    catalog: Catalog, ready: bool, lost: bool, findings: list[dict[str, object]], restarts: bool
) -> None:
    """Nor is a pod that is well: what may be the last healthy member is left alone."""
    restart = next(step for step in catalog.runbooks["database-recovery"].steps if step.id == "restart")
    assert restart.when is not None
    names = step_names(
        Surroundings(now=NOW),
        earlier={
            "lost": StepOutcome(ran=True, met=not lost),
            "logs": StepOutcome(ran=True, met=not findings, result={"findings": findings}),
        },
        each=pod("database-0", ready=ready),
    )
    assert restart.when.evaluate(names) is restarts


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
