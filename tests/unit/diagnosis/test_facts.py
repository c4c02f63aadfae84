"""What is read of a workload and of what stands around it."""

from typing import Any

import msgspec
import pytest

from kubediagnosis import object_facts
from kubediagnosis.facts import ConfigurationType, FieldChange, HostReference
from kubediagnosis.references import references
from kubeobjects.specified import SpecifiedPod
from tests.unit.diagnosis.around import node, service
from tests.unit.diagnosis.workload import ago, iso


def managed(manager: str, seconds: float, fields: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of the managed fields."""
    return {"manager": manager, "operation": "Update", "time": iso(ago(seconds)), "fieldsV1": fields}


def keys(*names: str) -> dict[str, Any]:
    """Return the fields of data with these keys."""
    return {"f:data": {".": {}, **{f"f:{name}": {} for name in names}}}


def test_a_secret_passes_with_the_names_of_its_keys_alone() -> None:
    entries = [managed("kubectl-create", 900, keys("token")), managed("kubectl-edit", 60, keys("user"))]
    secret = {"metadata": {"name": "token", "managedFields": entries}}
    found = object_facts.configuration_facts(ConfigurationType.SECRET, "token", secret)
    assert (found.reference, found.exists, found.keys) == ("secret/token", True, frozenset({"token", "user"}))


@pytest.mark.parametrize(
    ("last", "changed"),
    [(("currency",), ("currency",)), (("currency", "locale"), ())],
    ids=["one key", "several, of which nobody says which"],
)
def test_the_key_that_was_written_last_is_known_where_its_writer_wrote_no_other(
    last: tuple[str, ...], changed: tuple[str, ...]
) -> None:
    entries = [
        managed("kubectl-create", 900, keys("currency", "locale")),
        managed("kubectl-patch", 60, keys(*last)),
        managed("labeller", 5, {"f:metadata": {"f:labels": {}}}),
    ]
    obj = {"metadata": {"name": "settings", "managedFields": entries}}
    found = object_facts.configuration_facts(ConfigurationType.CONFIG_MAP, "settings", obj)
    assert (found.changed, found.changed_by, found.changed_keys) == (ago(60), "kubectl-patch", changed)


def test_the_one_who_wrote_the_replicas_last_is_who_scaled() -> None:
    entries = [
        managed("helm", 900, {"f:spec": {"f:replicas": {}, "f:template": {}}}),
        managed("kubectl", 60, {"f:spec": {"f:replicas": {}}}),
        managed("controller", 5, {"f:status": {}}),
    ]
    assert object_facts.written_by({"metadata": {"managedFields": entries}}, "f:replicas") == FieldChange(
        manager="kubectl", at=ago(60)
    )
    assert object_facts.written_by({"metadata": {}}, "f:replicas") is None


@pytest.mark.parametrize(
    ("spec", "updated", "by"),
    [
        ({"paused": True}, 0, FieldChange(manager="kubectl-rollout", at=ago(60))),
        ({"paused": True}, 1, None),
        ({}, 0, None),
    ],
    ids=["paused before its first pod", "a pod is of its template", "not paused"],
)
def test_a_rollout_is_held_by_who_paused_it_before_any_pod_was_made(
    spec: dict[str, Any], updated: int, by: FieldChange | None
) -> None:
    entries = [managed("kubectl-rollout", 60, {"f:spec": {"f:paused": {}}})]
    status = {"updatedReplicas": updated} if updated else {}
    workload = {"metadata": {"managedFields": entries}, "spec": spec, "status": status}
    assert object_facts.paused_before_start(workload) == by


def test_events_are_those_of_the_objects_that_were_asked_about() -> None:
    def event(name: str, **more: Any) -> dict[str, Any]:
        involved = {"kind": "Pod", "name": name, "fieldPath": "spec.containers{app}"}
        return {"kind": "Event", "metadata": {}, "reason": "Failed", "message": "x", "involvedObject": involved, **more}

    series = {"count": 7, "lastObservedTime": iso(ago(3))}
    found = list(
        object_facts.events_of_facts(
            [event("web-1", count=4, lastTimestamp=iso(ago(9))), event("web-1", series=series), event("other")],
            frozenset({"pod/web-1"}),
        )
    )
    assert [(each.about, each.times, each.at) for each in found] == [
        ("pod/web-1", 4, ago(9)),
        ("pod/web-1", 7, ago(3)),
    ]


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
    ("command", "named"),
    [
        ("until nslookup depot; do sleep 2; done", [("depot", 0)]),
        ("until nc -z -w 2 depot.shop.svc 8080; do sleep 1; done", [("depot.shop.svc", 8080)]),
        ("until pg_isready -h db -p 5432; do sleep 2; done", [("db", 5432)]),
        ("getent hosts cache && wget -qO- http://api/health", [("cache", 0), ("api", 80)]),
        ("while ! curl -sf http://$(API_HOST)/; do sleep 1; done; exec migrate --to 7", []),
    ],
)
def test_what_an_init_container_asks_for_is_kept_as_host_and_port(command: str, named: list[tuple[str, int]]) -> None:
    template = {"initContainers": [{"name": "wait", "command": ["sh", "-c", command]}]}
    found = object_facts.hosts_of({"spec": {"template": {"spec": template}}})
    field = "initContainers[wait].command"
    assert list(found) == [HostReference(field=field, host=host, port=port) for host, port in named]


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
