"""What `kintsugi init` writes is right as it stands, whatever a workload is called."""

from dataclasses import replace
from pathlib import Path

import pytest

from kintsugi.catalog import catalog_paths, load
from kintsugi.catalog.scaffold import FoundWorkload, documents, file_names
from kintsugi.cli.found_check import check_url
from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.model.services import WorkloadRef
from kubeobjects.resources import DAEMONSETS, DEPLOYMENTS, STATEFULSETS, Resource


def found(resource: Resource, name: str, selector: str = "app=web", *managers: str) -> FoundWorkload:
    """Make a workload of the namespace `shop`."""
    workload = WorkloadRef(resource=resource, name=name)
    return FoundWorkload(workload=workload, namespace="shop", selector=selector, managers=managers)


def loaded(folder: Path, *workloads: FoundWorkload) -> Catalog:
    """Write their documents, and load them as the daemon does: with the shipped runbooks, without the example."""
    for each, name in zip(workloads, file_names([each.workload for each in workloads]), strict=True):
        (folder / f"{name}.yaml").write_text(documents(each, name))
    return load(catalog_paths(None, [folder], example=False))


@pytest.mark.parametrize("resource", [DEPLOYMENTS, STATEFULSETS, DAEMONSETS], ids=lambda each: each.singular)
def test_the_documents_of_a_workload_load_beside_the_shipped_runbooks(tmp_path: Path, resource: Resource) -> None:
    catalog = loaded(tmp_path, found(resource, "web"))
    (service,) = catalog.services.values()
    assert (service.name, service.namespace, str(service.selector)) == ("web", "shop", "app=web")
    assert service.workload == WorkloadRef(resource=resource, name="web")
    assert service.runbook == "workload-recovery"
    assert {(rule.name, rule.on, rule.mode) for rule in catalog.rules.values()} == {
        ("web-pods-unhealthy", RuleSource.POD, Mode.OBSERVE),
        ("web-too-few-ready", RuleSource.SERVICES, Mode.OBSERVE),
    }


NAMES = ["web", "123", "true", "null", "1e3", "0x1f", "web.v1", f"{'w' * 120}", "off"]
SELECTORS = ["app in (a, b)", "!canary", "version=1.0", "app=web,!x,y notin (z)"]


@pytest.mark.parametrize(
    ("name", "selector"),
    [*((name, "app=web,tier=front") for name in NAMES), *(("web", selector) for selector in SELECTORS)],
)
def test_names_and_selectors_are_never_read_as_something_else(tmp_path: Path, name: str, selector: str) -> None:
    catalog = loaded(tmp_path, found(DEPLOYMENTS, name, selector))
    (service,) = catalog.services.values()
    assert service.workload is not None
    assert service.workload.name == name


def test_two_workloads_of_one_name_are_told_apart(tmp_path: Path) -> None:
    catalog = loaded(tmp_path, found(DEPLOYMENTS, "web"), found(STATEFULSETS, "web"), found(DAEMONSETS, "agent"))
    assert set(catalog.services) == {"deployment-web", "statefulset-web", "agent"}


def test_the_manager_of_a_workload_is_said_beside_it() -> None:
    text = documents(found(DEPLOYMENTS, "web", "app=web", "Argo CD shop"), "web")
    assert "# Argo CD shop would take changes of its template back: those are refused." in text


def test_a_check_is_written_with_a_rule_that_asks_it(tmp_path: Path) -> None:
    url = "http://web.shop:8080/health?full=yes&deep=1"
    catalog = loaded(tmp_path, replace(found(DEPLOYMENTS, "web"), check=url))
    assert list(catalog.services["web"].checks) == ["smoke"]
    rule = catalog.rules["web-does-not-answer"]
    assert (rule.on, rule.check, rule.mode) == (RuleSource.CHECK, "smoke", Mode.OBSERVE)
    assert (catalog.runbooks["workload-recovery"].name, catalog.services["web"].runbook) == ("workload-recovery",) * 2
    secure = documents(replace(found(DEPLOYMENTS, "web"), check="https://web.shop/"), "web")
    assert 'run: "curl -k https://web.shop/"' in secure


PROBE = {"path": "/health", "port": "http"}


@pytest.mark.parametrize(
    ("probe", "port", "url"),
    [
        (PROBE, {"port": 80, "targetPort": "http"}, "http://web.shop/health"),
        (PROBE, {"port": 81, "targetPort": 8080}, "http://web.shop:81/health"),
        (PROBE, {"port": 8080}, "http://web.shop:8080/health"),
        ({"port": 8080, "scheme": "HTTPS"}, {"port": 443, "targetPort": "http"}, "https://web.shop/"),
        (PROBE, {"port": 80, "targetPort": "metrics"}, ""),
        ({**PROBE, "host": "other"}, {"port": 80, "targetPort": "http"}, ""),
        ({**PROBE, "httpHeaders": [{"name": "Host", "value": "x"}]}, {"port": 80, "targetPort": "http"}, ""),
        ({}, {"port": 80, "targetPort": "http"}, ""),
    ],
)
def test_the_check_is_what_the_readiness_probe_asks_by_the_service_that_leads_there(
    probe: dict[str, object], port: dict[str, object], url: str
) -> None:
    ports = [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}]
    container = {"name": "web", "ports": ports, "readinessProbe": {"httpGet": probe}}
    template = {"metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": {"containers": [container]}}
    own, other = (
        {"metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": {"app": app}, "ports": [port]}}
        for name, app in (("web", "web"), ("other", "other"))
    )
    assert check_url({"spec": {"template": template}}, [other, own]) == url
