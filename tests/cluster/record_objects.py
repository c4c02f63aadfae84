"""
Write down what a real Kubernetes shows of each kept kind: `tests/data/objects.jsonl`, from which the fuzzers make wrong ones.

Run it again when a kind is kept that was not: `python -m tests.harness.network -- python -m tests.cluster.record_objects`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kubeobjects.kept import KEPT
from kubeobjects.resources import EVENTS, PODS, Resource
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.images import POSTGRES, WEB_BAD, WEB_GOOD
from tests.harness.metrics_server import MetricsServer
from tests.harness.waiting import wait_for
from tests.unit.answers.objects import FILE

Object = dict[str, Any]
NAMESPACE = "production"
MACHINE = {
    **dict.fromkeys(("machineID", "systemUUID", "bootID"), "00000000-0000-4000-8000-000000000001"),
    "kernelVersion": "6.1.0",
}
"""What is written of the machine that it was recorded on."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MOST: Mapping[Resource, int] = {PODS: 8, EVENTS: 8}
"""Objects of a kind that are written down, three of any other: the fuzzers change them anyway."""


def main() -> None:
    """Start a cluster, have one of everything in it, and write it down."""
    cluster = RealCluster.start()
    try:
        server = MetricsServer(cluster)
        server.start()
        _set_up(cluster)
        _wait_for_trouble(cluster)
        server.offer(namespace=NAMESPACE, pods=_running(cluster))
        lines = [json.dumps(line, separators=(",", ":")) for line in _lines(cluster)]
        server.stop()
    finally:
        cluster.stop()
    FILE.write_text("\n".join(lines) + "\n")


def _set_up(cluster: RealCluster) -> None:
    cluster.load_images(POSTGRES)
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *manifests.web_stack(NAMESPACE),
        *manifests.postgres_pair(NAMESPACE),
        manifests.web_deployment(NAMESPACE, app="api", replicas=1, image=WEB_BAD),
        manifests.web_deployment(NAMESPACE, app="missing", replicas=1, image="web:never-built"),
        *_others(),
    )
    for workload in ("deployment/web-app-deployment", "statefulset/database"):
        cluster.kubectl("rollout", "status", workload, "-n", NAMESPACE, "--timeout=300s", limit=330)


def _others() -> Iterator[Object]:
    """Yield one of each kind that the shop has none of."""
    container = {"name": "main", "image": WEB_GOOD}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    once = {
        **pod,
        "restartPolicy": "Never",
        "containers": [{**container, "command": ["/bin/sh", "-c", ":"]}],
    }
    labels = {"app": "agent"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-app-deployment"}
    backend = {"service": {"name": "web-app-service", "port": {"number": 80}}}
    yield _object("apps/v1", "DaemonSet", "agent", {"selector": {"matchLabels": labels}, "template": template})
    yield _object("batch/v1", "Job", "once", {"template": {"spec": once}})
    schedule = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": once}}}}
    yield _object("batch/v1", "CronJob", "nightly", schedule)
    usage = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }
    scaling = {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 5, "metrics": [usage]}
    yield _object("autoscaling/v2", "HorizontalPodAutoscaler", "web", scaling)
    budget = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web-app"}}}
    yield _object("policy/v1", "PodDisruptionBudget", "web", budget)
    rule = {"host": "shop.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    yield _object("networking.k8s.io/v1", "Ingress", "web", {"rules": [rule]})
    yield {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard"},
        "provisioner": "example.com/none",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard"}
    room = {"resources": {"requests": {"storage": "1Gi"}}}
    yield _object("v1", "PersistentVolumeClaim", "unbound", {**claim, **room})


def _object(version: str, kind: str, name: str, spec: Mapping[str, object]) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": dict(spec)}


def _wait_for_trouble(cluster: RealCluster) -> None:
    """Wait until pods crash and lack their image, jobs are over, and the nightly one has run."""

    def states() -> set[str]:
        pods = cluster.list("pod", NAMESPACE)
        statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", ())]
        return {state.get("reason", kind) for status in statuses for kind, state in status["state"].items()}

    wanted = {"running", "CrashLoopBackOff", "ErrImageNeverPull", "Completed"}
    wait_for(lambda: states() >= wanted, within=300, describe=states)
    wait_for(
        lambda: cluster.find("cronjob", "nightly", NAMESPACE)["status"].get("lastScheduleTime"),  # type: ignore[index]
        within=200,
        describe=lambda: cluster.find("cronjob", "nightly", NAMESPACE),
    )


def _running(cluster: RealCluster) -> int:
    """Count the pods that are measured."""
    pods = cluster.list("pod", NAMESPACE)
    return sum(any("running" in status["state"] for status in pod["status"]["containerStatuses"]) for pod in pods)


def _lines(cluster: RealCluster) -> Iterator[Object]:
    """Yield each object that is written down, with the name of its resource, those of different names first."""
    for resource in KEPT:
        found = cluster.api.request("GET", resource.path(NAMESPACE if resource.namespaced else None))["items"]
        if not found:
            found = cluster.api.request("GET", resource.path(None))["items"]
        assert found, f"there is no {resource.singular}"
        for each in _varied(found)[: MOST.get(resource, 3)]:
            each["metadata"].pop("managedFields", None)
            each["metadata"].get("annotations", {}).pop(LAST_APPLIED, None)
            each.get("status", {}).get("nodeInfo", {}).update(MACHINE)
            yield {"resource": resource.qualified, "object": each}


def _varied(found: Sequence[Object]) -> Sequence[Object]:
    """Order objects so that those of one app, or about one thing, do not stand before all others."""
    seen: Counter[str] = Counter()
    ranked = []
    for each in found:
        about = each.get("reason") or each["metadata"].get("labels", {}).get("app", "")
        ranked.append((seen[about], each))
        seen[about] += 1
    return [each for _, each in sorted(ranked, key=lambda pair: pair[0])]


if __name__ == "__main__":
    main()
