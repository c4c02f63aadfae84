"""What `kintsugi init` writes is right as it stands, whatever a workload is called."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from kintsugi.catalog import catalog_paths, load
from kintsugi.catalog.scaffold import FoundWorkload, document, file_names
from kintsugi.cli.found_check import check_url, leading_services
from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import RuleSource
from kintsugi.model.services import WorkloadRef
from kubeobjects.resources import DAEMONSETS, DEPLOYMENTS, STATEFULSETS, Resource
from kubeobjects.selectors import NOTHING


def found(resource: Resource, name: str, selector: str = "app=web", *managers: str) -> FoundWorkload:
    """Make a workload of the namespace `shop`."""
    workload = WorkloadRef(resource=resource, name=name)
    return FoundWorkload(workload=workload, namespace="shop", selector=selector, managers=managers)


def loaded(folder: Path, *workloads: FoundWorkload) -> Catalog:
    """Write their documents, and load them as `kintsugi run --catalog` does."""
    names = file_names([(each.namespace, each.workload) for each in workloads])
    for each, name in zip(workloads, names, strict=True):
        (folder / f"{name}.yaml").write_text(document(each, name, str(folder)))
    return load(catalog_paths(None, [folder], example=False))


@pytest.mark.parametrize("resource", [DEPLOYMENTS, STATEFULSETS, DAEMONSETS], ids=lambda each: each.singular)
def test_the_document_of_a_workload_is_a_service_that_derives_the_rest(tmp_path: Path, resource: Resource) -> None:
    catalog = loaded(tmp_path, found(resource, "web"))
    (service,) = catalog.services.values()
    assert (service.name, service.namespace, service.selector) == ("web", "shop", NOTHING)
    assert service.workload == WorkloadRef(resource=resource, name="web")
    assert service.runbook == "workload-recovery"
    assert {rule.service for rule in catalog.rules.values()} == {"web"}


def test_each_derived_value_stands_in_a_comment_and_means_what_is_derived(tmp_path: Path) -> None:
    each = found(DEPLOYMENTS, "web")
    (derived,) = loaded(tmp_path, each).services.values()
    text = document(each, "web", "catalog").partition("  # A ready pod")[0]
    (tmp_path / "web.yaml").write_text(re.sub(r"^  # (\w+:)", r"  \1", text, flags=re.MULTILINE))
    (said,) = load(catalog_paths(None, [tmp_path], example=False)).services.values()
    assert str(said.selector) == "app=web"
    assert replace(said, selector=NOTHING, healthy=derived.healthy) == derived
    assert said.healthy.source == derived.healthy.source


NAMES = ["web", "123", "true", "null", "1e3", "0x1f", "web.v1", f"{'w' * 120}", "off"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_never_read_as_something_else(tmp_path: Path, name: str) -> None:
    (service,) = loaded(tmp_path, found(DEPLOYMENTS, name)).services.values()
    assert service.workload.name == name


def test_workloads_of_one_name_are_told_apart_by_their_types_and_else_by_their_namespaces(tmp_path: Path) -> None:
    catalog = loaded(
        tmp_path,
        found(DEPLOYMENTS, "web"),
        found(STATEFULSETS, "web"),
        found(DAEMONSETS, "agent"),
        found(DEPLOYMENTS, "api"),
        replace(found(DEPLOYMENTS, "api"), namespace="till"),
    )
    assert set(catalog.services) == {
        "deployment-web",
        "statefulset-web",
        "agent",
        "shop-deployment-api",
        "till-deployment-api",
    }


def test_the_manager_of_a_workload_is_said_beside_it() -> None:
    text = document(found(DEPLOYMENTS, "web", "app=web", "Argo CD shop"), "web", "catalog")
    assert "# Argo CD shop would revert changes of its template: Kintsugi refuses those." in text


def test_a_check_is_written_for_the_rule_that_asks_it(tmp_path: Path) -> None:
    url = "http://web.shop:8080/health?full=yes&deep=1"
    catalog = loaded(tmp_path, replace(found(DEPLOYMENTS, "web"), check=url))
    assert list(catalog.services["web"].checks) == ["smoke"]
    rule = catalog.rules["web-does-not-answer"]
    assert (rule.on, rule.check) == (RuleSource.CHECK, "smoke")
    secure = document(replace(found(DEPLOYMENTS, "web"), check="https://web.shop/"), "web", "catalog")
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
    workload = {"metadata": {"namespace": "shop"}, "spec": {"template": template}}
    own, other, elsewhere = (
        {"metadata": {"name": name, "namespace": place}, "spec": {"selector": {"app": app}, "ports": [port]}}
        for name, place, app in (("web", "shop", "web"), ("other", "shop", "other"), ("a", "till", "web"))
    )
    leading = leading_services(workload, [other, elsewhere, own])
    assert leading == [own]
    assert check_url(workload, leading) == url
