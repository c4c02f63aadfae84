"""Kept structs are read from the API server's bytes: leniently where the API is, and in little memory."""

import gc
import tracemalloc

import msgspec
import orjson
import pytest

from kintsugi.kube.interning import Interner
from kubeobjects.kept import KEPT, Deployment, EndpointSlice, Object, Pod

PODS_IN_STORE = 500
TRACKED = "argocd.argoproj.io/tracking-id"


@pytest.mark.parametrize("kept", KEPT.values(), ids=lambda kept: kept.__name__)
def test_every_field_has_a_default_and_its_name_of_the_api(kept: type[Object]) -> None:
    """The API leaves out what is empty. Expressions read the names that kubectl prints: written and read it is the same."""
    assert msgspec.json.decode(b"{}", type=kept) == kept()
    written = orjson.loads(msgspec.json.encode(kept()))
    assert "creationTimestamp" in written["metadata"]
    assert msgspec.convert(written, type=kept) == kept()


def test_acronyms_are_spelt_as_the_api_spells_them() -> None:
    """podIP is not podIp: a misspelt name would be silently empty."""
    body = b"""{"status": {"podIP": "10.0.0.1", "hostIP": "10.1.0.1",
                "containerStatuses": [{"containerID": "containerd://1"}]}}"""
    pod = msgspec.json.decode(body, type=Pod)
    assert (pod.status.pod_ip, pod.status.host_ip) == ("10.0.0.1", "10.1.0.1")
    assert pod.status.container_statuses[0].container_id == "containerd://1"


def test_an_empty_list_that_is_written_as_null_is_empty() -> None:
    """A Service without endpoints has a slice with `endpoints: null`."""
    found = msgspec.json.decode(b'{"endpoints": null, "ports": null}', type=EndpointSlice)
    assert (found.endpoints, found.ports) == ((), ())


def test_kubectls_copy_of_the_manifest_is_not_kept() -> None:
    """It can be as large as the object itself."""
    body = b'{"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}}}'
    assert msgspec.json.decode(body, type=Pod).metadata.annotations == {"a": "b"}


def a_pod(number: int) -> bytes:
    """Make a pod of two containers as an API server writes it (6 kB)."""
    time = "2026-11-24T10:00:00Z"
    names = ("web", "proxy")
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10, "failureThreshold": 3}
    sizes = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
    environment = [{"name": f"VARIABLE_{index}", "value": "x" * 40} for index in range(20)]
    return orjson.dumps(
        {
            "metadata": {
                "name": f"web-app-deployment-5d4f7c9b8-{number:05d}",
                "namespace": "production",
                "uid": f"00000000-0000-4000-8000-{number:012d}",
                "resourceVersion": str(100_000 + number),
                "creationTimestamp": time,
                "labels": {"app": "web-app", "pod-template-hash": "5d4f7c9b8", "tier": "frontend"},
                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs-1", "controller": True}
                ],
            },
            "spec": {
                "nodeName": f"node-{number % 50}",
                "containers": [
                    {"name": name, "image": f"registry.example.com/team/{name}:v1.2.3", "resources": sizes}
                    | {"readinessProbe": probe, "livenessProbe": probe, "env": environment}
                    for name in names
                ],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
            "status": {
                "phase": "Running",
                "podIP": f"10.0.{number // 250}.{number % 250}",
                "startTime": time,
                "conditions": [
                    {"type": kind, "status": "True", "lastTransitionTime": time}
                    for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
                ],
                "containerStatuses": [
                    {"name": name, "image": f"registry.example.com/team/{name}:v1.2.3", "ready": True, "started": True}
                    | {"containerID": f"containerd://{number:064x}", "state": {"running": {"startedAt": time}}}
                    for name in names
                ],
            },
        }
    )


def test_a_cached_pod_takes_less_than_four_kibibytes() -> None:
    """The figure that the memory of the daemon is planned with."""
    bodies = [a_pod(number) for number in range(PODS_IN_STORE)]
    decoder, sharing, store = msgspec.json.Decoder(Pod), Interner(), {}
    gc.collect()
    tracemalloc.start()
    for body in bodies:
        pod = decoder.decode(body)
        sharing.share(pod)
        store[pod.metadata.namespace, pod.metadata.name] = pod
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / PODS_IN_STORE < 4096


@pytest.mark.parametrize(
    ("annotations", "cached"),
    [
        ({"team": "shop", "large": "x" * 250_000}, {"team": "shop"}),
        ({"team": "shop"} | {f"key-{number}": "" for number in range(20_000)}, {}),
        ({"kintsugi.dev/paused": "x" * 250_000}, {"kintsugi.dev/paused": "x" * 1024}),
        ({TRACKED: "shop:a"} | {str(number): "x" * 500 for number in range(500)}, {TRACKED: "shop:a"}),
    ],
    ids=["one large", "many", "one that is read", "many beside one that is read"],
)
def test_an_object_in_the_cache_keeps_the_annotations_that_are_read_and_no_large_ones(
    annotations: dict[str, str], cached: dict[str, str]
) -> None:
    """Anybody who may create a pod may annotate it with 256 KiB; thousands of such pods must not fill the memory."""
    metadata = {"metadata": {"annotations": annotations}}
    body = orjson.dumps({**metadata, "spec": {"template": metadata}})
    pod, workload = (msgspec.json.decode(body, type=kept) for kept in (Pod, Deployment))
    assert isinstance(workload, Deployment)
    assert pod.metadata.annotations == annotations, "what is written back is read whole"
    for each in (pod, workload):
        Interner().share(each)
    for kept in (pod.metadata, workload.metadata, workload.spec.template.metadata):
        assert kept.annotations == cached


def test_sharing_changes_no_value() -> None:
    """A pod that shares is equal to one that does not, and differs where it really differs."""
    sharing = Interner()
    first = msgspec.json.decode(a_pod(1), type=Pod)
    other = msgspec.json.decode(a_pod(2).replace(b"v1.2.3", b"v9"), type=Pod)
    for fresh in (first, other):
        untouched = msgspec.convert(msgspec.to_builtins(fresh), type=Pod)
        sharing.share(fresh)
        assert fresh == untouched
    assert first.metadata.labels is other.metadata.labels
    assert other.spec.containers[0].image.endswith("v9")


def test_a_pod_shares_what_has_not_changed_with_its_last_state() -> None:
    """Most events change a condition, and nothing else; a change is never lost."""
    sharing = Interner()
    known, later = (msgspec.json.decode(a_pod(1), type=Pod) for _ in range(2))
    body = a_pod(1).replace(b'"type":"Ready","status":"True"', b'"type":"Ready","status":"False"')
    unready = msgspec.json.decode(body, type=Pod)
    sharing.share(known)
    for fresh in (later, unready):
        sharing.share(fresh, known)
        assert fresh.spec.containers is known.spec.containers
        assert fresh.status.container_statuses is known.status.container_statuses
    assert later.status.conditions is known.status.conditions
    assert unready == msgspec.json.decode(body, type=Pod) != known
