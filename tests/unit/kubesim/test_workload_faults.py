"""What is wrong with a pod or a template stays wrong, and only a new pod or another template cures it."""

from typing import Any

import pytest

from kubeobjects import resources
from kubesim import EmbeddedCluster, KubesimError, PodFault
from kubesim.manifest import condition, is_true
from tests.contract.kube.objects import deployment, of_kind
from tests.unit.kubesim.waiting import until

Pods = list[dict[str, Any]]


def pods(embedded: EmbeddedCluster) -> Pods:
    """List the pods."""
    return embedded.find(resources.PODS, "default")


def all_ready(embedded: EmbeddedCluster, count: int) -> Pods:
    """List the pods when there are so many and all are ready."""
    found = pods(embedded)
    return found if len(found) == count and all(is_true(pod, "Ready") for pod in found) else []


async def deployed(embedded: EmbeddedCluster, *, replicas: int = 2) -> Pods:
    """Apply a Deployment, and return its pods when all are ready."""
    embedded.apply(deployment(replicas=replicas))
    ready: Pods = await until(lambda: all_ready(embedded, replicas), lambda: pods(embedded))
    return ready


def waiting(embedded: EmbeddedCluster, uid: str) -> str:
    """Return why a pod's container waits."""
    for pod in pods(embedded):
        if pod["metadata"]["uid"] == uid:
            return str(pod["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason", ""))
    return ""


async def test_a_pod_crashes_until_it_is_replaced(embedded: EmbeddedCluster) -> None:
    victim, other = await deployed(embedded)
    uid = victim["metadata"]["uid"]
    embedded.faults.crash_loop(uid)
    await until(lambda: waiting(embedded, uid) == "CrashLoopBackOff", lambda: pods(embedded))
    await until(lambda: restarts(embedded, uid) >= 3, lambda: pods(embedded))
    assert waiting(embedded, other["metadata"]["uid"]) == ""
    embedded.delete(resources.PODS, victim["metadata"]["name"])
    healed = await until(lambda: all_ready(embedded, 2), lambda: pods(embedded))
    assert uid not in {pod["metadata"]["uid"] for pod in healed}


def restarts(embedded: EmbeddedCluster, uid: str) -> int:
    """Count the restarts of a pod."""
    return sum(
        int(pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in pods(embedded)
        if pod["metadata"]["uid"] == uid
    )


async def test_an_unready_pod_runs_and_takes_no_traffic(embedded: EmbeddedCluster) -> None:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    embedded.apply(of_kind("v1", "Service", "web", spec=spec))
    victim, _ = await deployed(embedded)
    embedded.faults.make_unready(victim["metadata"]["uid"])

    def ready_names() -> list[str]:
        slices = embedded.find(resources.ENDPOINTSLICES, "default")
        endpoints = [endpoint for each in slices for endpoint in each["endpoints"]]
        return [each["targetRef"]["name"] for each in endpoints if each["conditions"]["ready"]]

    await until(lambda: len(ready_names()) == 1, ready_names)
    assert victim["metadata"]["name"] not in ready_names()
    found = embedded.get(resources.PODS, victim["metadata"]["name"])
    assert found is not None
    assert found["status"]["phase"] == "Running"
    assert (condition(found, "Ready") or {})["reason"] == "ContainersNotReady"


async def test_a_broken_template_is_cured_by_another(embedded: EmbeddedCluster) -> None:
    web, *_ = await deployed(embedded)
    embedded.faults.break_template(web["metadata"]["labels"]["pod-template-hash"], PodFault.UNREADY)
    await until(lambda: not any(is_true(pod, "Ready") for pod in pods(embedded)), lambda: pods(embedded))
    embedded.delete(resources.PODS, pods(embedded)[0]["metadata"]["name"])
    embedded.apply(deployment(image="web:2"))
    healed = await until(lambda: all_ready(embedded, 2), lambda: pods(embedded))
    assert {pod["spec"]["containers"][0]["image"] for pod in healed} == {"web:2"}


async def test_a_pod_finds_no_node(embedded: EmbeddedCluster) -> None:
    web, *_ = await deployed(embedded)
    embedded.faults.break_template(web["metadata"]["labels"]["pod-template-hash"], PodFault.UNSCHEDULABLE)
    embedded.delete(resources.PODS, pods(embedded)[0]["metadata"]["name"])

    def unschedulable() -> Pods:
        return [
            pod for pod in pods(embedded) if (condition(pod, "PodScheduled") or {}).get("reason") == "Unschedulable"
        ]

    (pending,) = await until(unschedulable, lambda: pods(embedded))
    assert pending["status"]["phase"] == "Pending"
    assert "Insufficient cpu" in (condition(pending, "PodScheduled") or {})["message"]


async def test_two_pods_that_are_not_ready_do_not_end_in_order_until_one_is_deleted(
    embedded: EmbeddedCluster,
) -> None:
    """As in Kubernetes: the last may not go before the first is ready, and the first not before the last is gone."""
    embedded.apply(stateful(replicas=2))
    _, last = await until(lambda: all_ready(embedded, 2), lambda: pods(embedded))
    for pod in pods(embedded):
        embedded.faults.make_unready(pod["metadata"]["uid"])
    await until(lambda: not any(is_true(pod, "Ready") for pod in pods(embedded)), lambda: pods(embedded))

    embedded.apply(stateful(replicas=0))
    await until(lambda: is_observed(embedded), lambda: embedded.find(resources.STATEFULSETS, "default"))
    assert [pod["metadata"].get("deletionTimestamp") for pod in pods(embedded)] == [None, None]

    embedded.delete(resources.PODS, last["metadata"]["name"])
    await until(lambda: not pods(embedded), lambda: pods(embedded))


def stateful(*, replicas: int) -> dict[str, Any]:
    """Make a StatefulSet."""
    made = deployment(replicas=replicas)
    return {**made, "kind": "StatefulSet", "spec": {**made["spec"], "serviceName": "web"}}


def is_observed(embedded: EmbeddedCluster) -> bool:
    """Return whether the controller has seen the StatefulSet as it is."""
    (found,) = embedded.find(resources.STATEFULSETS, "default")
    return bool(found["status"].get("observedGeneration") == found["metadata"]["generation"])


async def test_a_claim_loses_its_volume(embedded: EmbeddedCluster) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    embedded.apply(of_kind("v1", "PersistentVolumeClaim", "data", spec=spec))

    def phase() -> str:
        found = embedded.get(resources.PVCS, "data")
        return str(found["status"]["phase"]) if found else ""

    await until(lambda: phase() == "Bound", phase)
    volume = embedded.lose_volume("data")
    await until(lambda: phase() == "Lost", phase)
    assert embedded.get(resources.PVS, volume, None) is None
    with pytest.raises(KubesimError, match="has no volume"):
        embedded.lose_volume("data")


async def test_a_pod_that_ignores_sigterm_takes_its_whole_grace(embedded: EmbeddedCluster) -> None:
    (pod,) = await deployed(embedded, replicas=1)
    embedded.faults.break_pod(pod["metadata"]["uid"], PodFault.IGNORES_SIGTERM)
    began = embedded.time.clock()
    embedded.delete(resources.PODS, pod["metadata"]["name"], grace=10)
    await until(lambda: embedded.get(resources.PODS, pod["metadata"]["name"]) is None, lambda: pods(embedded))
    assert embedded.time.clock() - began >= 10 / 20


async def test_a_silent_node_is_found_not_ready(embedded: EmbeddedCluster) -> None:
    (pod,) = await deployed(embedded, replicas=1)
    embedded.faults.node_down("node-1")

    def node_ready() -> str:
        found = embedded.get(resources.NODES, "node-1", None)
        return str((condition(found or {}, "Ready") or {}).get("status"))

    await until(lambda: node_ready() == "Unknown", node_ready)
    found = embedded.get(resources.PODS, pod["metadata"]["name"])
    assert found is not None
    assert not is_true(found, "Ready")
    embedded.delete(resources.PODS, pod["metadata"]["name"])
    assert embedded.get(resources.PODS, pod["metadata"]["name"]) is not None
