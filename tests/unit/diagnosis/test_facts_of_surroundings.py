"""Objects around a workload, made into facts: hosts without values, volumes, metrics, name servers, Services that are shared."""

from typing import Any

import msgspec
import pytest

from kubediagnosis import object_facts
from kubediagnosis.facts import HostReference
from kubediagnosis.references import references
from kubeobjects.specified import SpecifiedPod
from tests.unit.diagnosis.around import node, service


def workload(value: str) -> dict[str, Any]:
    """Return a workload with one variable."""
    container = {"name": "app", "env": [{"name": "URL", "value": value}]}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ("http://depot", "depot", 80),
        ("https://depot.shop:8443/path", "depot.shop", 8443),
        ("postgres://user:hunter2secret@db/shop", "db", 5432),
        ("cache:6379", "cache", 6379),
        ("nats://queue", "queue", 4222),
    ],
)
def test_the_value_of_a_variable_is_kept_as_host_and_port_alone(value: str, host: str, port: int) -> None:
    found = list(object_facts.hosts_of(workload(value)))
    assert found == [HostReference(field="containers[app].env[URL]", host=host, port=port)]
    assert "hunter2secret" not in repr(found)


@pytest.mark.parametrize(
    "value",
    [
        *("", "EUR", "http://10.0.0.7:80", "http://[::1]/", "a b: 80", "http://[", "Bearer abc", "10:30"),
        *("postgres://app@$(DATABASE_SERVICE_HOST):5432/app", "http://{{ host }}/"),
    ],
)
def test_a_value_that_names_no_host_is_not_kept(value: str) -> None:
    assert list(object_facts.hosts_of(workload(value))) == []


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"hostPath": {"path": "/x"}}, "spec.hostPath.path"),
        ({"local": {"path": "/x"}}, "spec.local.path"),
        ({"nfs": {"server": "s", "path": "/x"}}, "spec.nfs.path"),
        ({"csi": {"driver": "d", "volumeHandle": "h"}}, "spec.csi.volumeHandle"),
        ({"iscsi": {"iqn": "x"}}, ""),
    ],
)
def test_a_claim_knows_the_source_of_its_volume(source: dict[str, Any], field: str) -> None:
    assert object_facts.source_of({"spec": source}) == field


def pod(name: str, owner: str, *, ready: bool = True, **spec: Any) -> dict[str, Any]:
    """Return a pod that somebody controls."""
    return {
        "metadata": {"name": name, "labels": {"app": owner}, "ownerReferences": [{"uid": owner, "controller": True}]},
        "spec": spec,
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def test_pods_of_others_on_a_node_are_counted_without_those_on_its_own_network() -> None:
    items = [
        pod("a", "web", ready=False),
        pod("b", "api", ready=False),
        pod("c", "db"),
        pod("d", "proxy", hostNetwork=True),
    ]
    found = object_facts.with_others(node(), items, frozenset({"web"}))
    assert (found.others, found.others_ready) == (2, 1)
    assert found.status == node().status


def test_a_node_is_read_with_what_its_kubelet_reports() -> None:
    obj = {"metadata": {"name": "n"}, "status": {"conditions": [{"type": "DiskPressure", "status": "True"}]}}
    assert [(each.type, each.status) for each in object_facts.node_facts(obj).status.conditions] == [
        ("DiskPressure", "True")
    ]


@pytest.mark.parametrize(
    ("slices", "ready"),
    [
        ([], None),
        ([{"endpoints": None}], 0),
        ([{"endpoints": [{"conditions": {"ready": False}}]}], 0),
        ([{"endpoints": [{"conditions": {"ready": True}}, {"conditions": {}}]}], 2),
    ],
)
def test_the_cluster_s_dns_is_away_where_no_endpoint_is_ready(slices: list[dict[str, Any]], ready: int | None) -> None:
    assert object_facts.name_server_of("kube-dns", slices).ready == ready


def test_a_service_is_shared_with_pods_of_others_and_with_the_services_that_lead_to_those() -> None:
    items = [pod("web-1", "web"), pod("depot-0", "depot")]
    found = object_facts.shared_of(service("web"), items, frozenset({"web"}), (service("depot"), service("x", app="x")))
    assert found is not None
    assert (found.pods, found.own) == (("depot-0",), ("depot",))
    assert object_facts.shared_of(service("web"), items[:1], frozenset({"web"}), ()) is None


def test_a_projected_volume_names_what_it_shows() -> None:
    parts = [
        {"configMap": {"name": "routes", "items": [{"key": "main"}]}},
        {"secret": {"name": "token"}},
        {"serviceAccountToken": {"path": "x"}},
    ]
    spec = {"volumes": [{"name": "all", "projected": {"sources": parts}}]}
    found = references(msgspec.convert(spec, SpecifiedPod))
    assert [(str(each.type), each.name, each.key, each.field) for each in found] == [
        ("configmap", "routes", "main", "volumes[all].projected"),
        ("secret", "token", "", "volumes[all].projected"),
    ]
