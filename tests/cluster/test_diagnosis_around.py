"""
What stands around a workload is named as its cause on a real Kubernetes: volumes, Services, policies, budgets, autoscalers, nodes, upstreams.

Each fault has a namespace of its own, with a Deployment of two pods that are ready, and an upstream, before it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kintsugi.kube.client import KubeClient
from kintsugi.model.records import Target
from kintsugi.pipeline.diagnoser import Diagnoser, ServiceFacts
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis
from kubediagnosis.facts import CheckFacts
from tests.cluster.test_diagnosis import (
    NAME,
    SERVICE,
    WORKLOAD,
    Deed,
    container,
    deploy,
    kube,
    patched,
    run,
)
from tests.harness import manifests
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.images import WEB_BETTER
from tests.harness.waiting import eventually, wait_for

pytestmark = pytest.mark.cluster
__all__ = ["kube"]

UPSTREAM = "deployment/api-deployment"
HOLD = "kintsugi.test/hold"
Named = Callable[[RealCluster, str], str]


def nothing(_: RealCluster, __: str) -> None:
    """Do nothing."""


def also(*deeds: Deed) -> Deed:
    """Return a deed of several."""

    def all_of_them(cluster: RealCluster, namespace: str) -> None:
        for deed in deeds:
            deed(cluster, namespace)

    return all_of_them


def rolled_out(*deeds: Deed) -> Deed:
    """Return deeds after each of which the rollout ends well."""
    over = run("rollout", "status", WORKLOAD, "--timeout=240s")
    return also(*(each for deed in deeds for each in (deed, over)))


def pods(cluster: RealCluster, namespace: str) -> list[Object]:
    """Return the Deployment's pods."""
    return cluster.list("pod", namespace, selector=f"app={manifests.WEB}")


def first_node(cluster: RealCluster, namespace: str) -> str:
    """Return the node of the first pod."""
    return str(pods(cluster, namespace)[0]["spec"]["nodeName"])


@dataclass(frozen=True, kw_only=True)
class Fault:
    """
    How a workload is prepared, broken and freed again, and what has to be named.

    `object` is asked for once it is broken; `unmet`: the daemon's check of the service is not met from then on.
    """

    before: Deed = nothing
    deed: Deed
    undo: Deed = nothing
    kind: CauseKind
    object: str | Named
    field: str
    confidence: Confidence | None = None
    unmet: bool = False


def applied(*objects: Callable[[str], Object]) -> Deed:
    """Return a deed that applies objects in the namespace."""
    return lambda cluster, namespace: cluster.apply(*(each(namespace) for each in objects))


def claimed(storage_class: str, volume: str = "") -> Callable[[str], Object]:
    """Return a claim of a class, or of a volume."""

    def claim(namespace: str) -> Object:
        spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        named = {"volumeName": f"{namespace}-{volume}"} if volume else {}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": namespace},
            "spec": {**spec, **named, "storageClassName": storage_class},
        }

    return claim


def bound(cluster: RealCluster, namespace: str) -> None:
    """Wait until the claim has its volume: before, it is itself the cause."""
    cluster.kubectl("wait", "pvc/data", "--for=jsonpath={.status.phase}=Bound", "-n", namespace, "--timeout=240s")


def folder_that_is_not_there(namespace: str) -> Object:
    """Return a volume whose folder nobody has made."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Mi"},
            "storageClassName": "",
            "hostPath": {"path": f"/none-such/{namespace}", "type": "Directory"},
            "claimRef": {"namespace": namespace, "name": "data"},
        },
    }


def shut_upstream(namespace: str) -> Object:
    """Return a policy that lets nobody reach the upstream."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny-api", "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Ingress"], "ingress": []},
    }


def let_web_in(namespace: str) -> Object:
    """Return a policy that lets the Deployment reach the upstream."""
    policy = shut_upstream(namespace)
    peer = {"podSelector": {"matchLabels": {"app": manifests.WEB}}}
    return {
        **policy,
        "metadata": {**policy["metadata"], "name": "let-web-in"},
        "spec": {**policy["spec"], "ingress": [{"from": [peer]}]},
    }


def mounting(claim: str) -> Deed:
    """Return a deed that mounts a claim in the template, beside what is mounted."""
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    mount = {"name": "data", "mountPath": "/data"}
    spec = {"volumes": [volume], "containers": [{"name": "web", "volumeMounts": [mount]}]}
    return run("patch", WORKLOAD, "--patch", json.dumps({"spec": {"template": {"spec": spec}}}))


def held_pod(cluster: RealCluster, namespace: str) -> None:
    """Delete a pod that somebody's finalizer holds."""
    name = pods(cluster, namespace)[0]["metadata"]["name"]
    cluster.api.patch("pod", name, {"metadata": {"finalizers": [HOLD]}}, namespace)
    cluster.kubectl("-n", namespace, "delete", "pod", name, "--wait=false")


def the_held_pod(cluster: RealCluster, namespace: str) -> str:
    """Return the pod that is held."""
    held = [each for each in pods(cluster, namespace) if HOLD in each["metadata"].get("finalizers", ())]
    return f"pod/{held[0]['metadata']['name']}"


def freed(cluster: RealCluster, namespace: str) -> None:
    """Let go what a finalizer holds."""
    for each in pods(cluster, namespace):
        if each["metadata"].get("finalizers"):
            cluster.api.patch("pod", each["metadata"]["name"], {"metadata": {"finalizers": None}}, namespace)


def on_the_node(*command: str) -> Deed:
    """Return a deed of kubectl about the node of the first pod."""
    return lambda cluster, namespace: cluster.kubectl(
        *(part.replace("NODE", first_node(cluster, namespace)) for part in command)
    )


def tainted(cluster: RealCluster, namespace: str) -> None:
    """Keep pods away from the node, and have one made anew."""
    found = pods(cluster, namespace)[0]
    cluster.kubectl("taint", "node", found["spec"]["nodeName"], "dedicated=batch:NoSchedule", "--overwrite")
    cluster.kubectl("-n", namespace, "delete", "pod", found["metadata"]["name"], "--wait=false")


def untainted(cluster: RealCluster, _: str) -> None:
    """Take the taint away from wherever it is."""
    for node in cluster.list("node"):
        if any(taint["key"] == "dedicated" for taint in node["spec"].get("taints", ())):
            cluster.kubectl("taint", "node", node["metadata"]["name"], "dedicated-")


def uncordoned(cluster: RealCluster, _: str) -> None:
    """Let pods onto every node again."""
    for node in cluster.list("node"):
        cluster.kubectl("uncordon", node["metadata"]["name"])


CURRENCY = {"name": "CURRENCY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "currency"}}}
TARGET = "spec.ports[main].targetPort"
TO_9999 = {"spec": {"ports": [{"name": "main", "port": 80, "targetPort": 9999, "protocol": "TCP"}]}}
REQUEST = "containers[web].resources.requests.cpu"

FAULTS: dict[str, Fault] = {
    "a number that nobody listens on": Fault(
        deed=patched("service", f"{manifests.WEB}-service", TO_9999),
        kind=CauseKind.SERVICE_ROUTING,
        object=SERVICE,
        field=TARGET,
    ),
    "a Service that is gone": Fault(
        before=rolled_out(
            run("set", "env", WORKLOAD, "API_URL=http://api-service"),
            run("set", "image", WORKLOAD, f"web={WEB_BETTER}"),
        ),
        deed=run("delete", "service", "api-service"),
        kind=CauseKind.SERVICE_ROUTING,
        object="service/api-service",
        field="",
        unmet=True,
    ),
    "a name that was never there": Fault(
        deed=run("set", "env", WORKLOAD, "API_URL=http://apy-service"),
        kind=CauseKind.NAME_RESOLUTION,
        object=WORKLOAD,
        field="containers[web].env[API_URL]",
    ),
    "a claim of no class": Fault(
        deed=also(applied(claimed("none-such")), mounting("data")),
        kind=CauseKind.VOLUME,
        object="persistentvolumeclaim/data",
        field="spec.storageClassName",
        confidence=Confidence.CERTAIN,
    ),
    "a folder that is not there": Fault(
        deed=also(applied(folder_that_is_not_there, claimed("", "data")), bound, mounting("data")),
        kind=CauseKind.VOLUME,
        object=lambda _, namespace: f"persistentvolume/{namespace}-data",
        field="spec.hostPath.path",
    ),
    "a finalizer that holds a pod": Fault(
        deed=held_pod,
        undo=freed,
        kind=CauseKind.FINALIZER,
        object=the_held_pod,
        field=f"metadata.finalizers[{HOLD}]",
    ),
    "a budget on a node that is to be emptied": Fault(
        deed=also(
            run("create", "poddisruptionbudget", "web", f"--selector=app={manifests.WEB}", "--min-available=2"),
            on_the_node("cordon", "NODE"),
        ),
        undo=uncordoned,
        kind=CauseKind.DISRUPTION_BUDGET,
        object="poddisruptionbudget/web",
        field="spec.minAvailable",
        confidence=Confidence.CERTAIN,
    ),
    "a taint": Fault(
        deed=tainted,
        undo=untainted,
        kind=CauseKind.NODE,
        object=lambda cluster, namespace: f"node/{cluster.list('node')[0]['metadata']['name']}",
        field="spec.taints[dedicated]",
        confidence=Confidence.CERTAIN,
    ),
    "an autoscaler without a request to measure by": Fault(
        deed=run("autoscale", "deployment", NAME, "--cpu-percent=80", "--min=2", "--max=4"),
        kind=CauseKind.AUTOSCALER,
        object=WORKLOAD,
        field=REQUEST,
        confidence=Confidence.CERTAIN,
    ),
    "a setting that was changed and not read": Fault(
        before=also(
            run("create", "configmap", "settings", "--from-literal=currency=EUR"), rolled_out(container(env=[CURRENCY]))
        ),
        deed=patched("configmap", "settings", {"data": {"currency": "CHF"}}),
        kind=CauseKind.STALE_CONFIGURATION,
        object="configmap/settings",
        field="data[currency]",
    ),
    "a policy that shuts the upstream": Fault(
        before=run("get", "networkpolicies"),
        deed=applied(shut_upstream),
        kind=CauseKind.NETWORK_POLICY,
        object="networkpolicy/deny-api",
        field="spec.ingress",
        unmet=True,
    ),
    "a policy that lets in, and a Service that leads astray": Fault(
        before=applied(let_web_in),
        deed=patched("service", "api-service", TO_9999),
        kind=CauseKind.UPSTREAM,
        object="service/api-service",
        field=TARGET,
        unmet=True,
    ),
    "an upstream that is scaled to zero": Fault(
        deed=run("scale", UPSTREAM, "--replicas=0"),
        kind=CauseKind.UPSTREAM,
        object=UPSTREAM,
        field="spec.replicas",
        unmet=True,
    ),
    "a version that is ready and does not answer": Fault(
        deed=run("set", "image", WORKLOAD, f"web={WEB_BETTER}"),
        kind=CauseKind.NOT_ANSWERING,
        object=WORKLOAD,
        field="containers[web].image",
        unmet=True,
    ),
}


@dataclass(kw_only=True)
class Declared:
    """What the daemon would know: that the Deployment depends on the upstream, and whether its check is met."""

    namespace: str
    check: CheckFacts | None = None
    asked: list[str] = field(default_factory=list)

    def __call__(self, target: Target) -> ServiceFacts:
        """Return what is declared of a workload."""
        self.asked.append(target.name)
        if target.name != NAME:
            return ServiceFacts(service="api")
        upstream = Target(kind="Deployment", namespace=self.namespace, name=UPSTREAM.partition("/")[2])
        checks = (self.check,) if self.check is not None else ()
        return ServiceFacts(service="web", upstreams=(upstream,), checks=checks)


async def diagnosed(kube: KubeClient, declared: Declared) -> Diagnosis:
    """Return the diagnosis of the Deployment."""
    target = Target(kind="deployment", namespace=declared.namespace, name=NAME)
    return await Diagnoser(kube=kube, clock=lambda: datetime.now(UTC), declared=declared).diagnose(target)


def older_than_a_second(cluster: RealCluster, namespace: str) -> bool:
    """Return whether the pods' containers have run for more than a second: so fine are the API's times."""
    states = [status["state"] for pod in pods(cluster, namespace) for status in pod["status"]["containerStatuses"]]
    starts = [datetime.fromisoformat(state["running"]["startedAt"]) for state in states]
    return all(datetime.now(UTC) - each > timedelta(seconds=2) for each in starts)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_around_a_workload_is_named_by_cause_object_and_field(
    cluster: RealCluster, kube: KubeClient, fault: Fault
) -> None:
    with cluster.namespace("around") as namespace:
        cluster.apply(*manifests.tier(namespace, "api"))
        deploy(cluster, namespace)
        cluster.kubectl("rollout", "status", UPSTREAM, "-n", namespace, "--timeout=240s")
        fault.before(cluster, namespace)
        declared = Declared(namespace=namespace)
        wait_for(lambda: older_than_a_second(cluster, namespace), within=20)
        assert (await diagnosed(kube, declared)).causes == ()
        try:
            await broken(cluster, kube, fault, declared)
        finally:
            fault.undo(cluster, namespace)


async def broken(cluster: RealCluster, kube: KubeClient, fault: Fault, declared: Declared) -> None:
    """Break the workload, and wait until the fault's cause is the first that is named."""
    namespace, seen = declared.namespace, list[Diagnosis]()
    fault.deed(cluster, namespace)
    if fault.unmet:
        run("rollout", "status", WORKLOAD, "--timeout=240s")(cluster, namespace)
        declared.check = CheckFacts(name="answers", met=False, answer="HTTP 502", since=datetime.now(UTC))
    named = fault.object(cluster, namespace) if callable(fault.object) else fault.object

    async def is_named() -> bool:
        seen.append(await diagnosed(kube, declared))
        first = next(iter(seen[-1].causes), None)
        return first is not None and (first.kind, first.object, first.field) == (fault.kind, named, fault.field)

    await eventually(is_named, within=150, every=0.5, describe=lambda: seen[-1])
    assert fault.confidence in (None, seen[-1].causes[0].confidence), seen[-1]
    print(seen[-1].summary)
    found: list[Cause] = [cause for each in seen for cause in each.causes]
    certain = [each for each in found if each.confidence is Confidence.CERTAIN]
    assert {(each.kind, each.object) for each in certain} <= {(fault.kind, named)}, certain
    assert seen[-1].unknown == ()


async def test_a_node_whose_kubelet_is_not_heard_of_is_the_cause_of_pods_that_serve(
    own_cluster: RealCluster, kube: KubeClient
) -> None:
    with own_cluster.namespace("around") as namespace:
        cluster = own_cluster
        deploy(cluster, namespace)
        name, seen = first_node(cluster, namespace), list[Diagnosis]()
        declared = Declared(namespace=namespace)

        async def is_named() -> bool:
            seen.append(await diagnosed(kube, declared))
            first: Any = next(iter(seen[-1].causes), None)
            expected = (CauseKind.NODE, f"node/{name}", "status.conditions[Ready]")
            return first is not None and (first.kind, first.object, first.field) == expected

        with cluster.node_silent():
            await eventually(is_named, within=120, every=0.5, describe=lambda: seen[-1])
        assert seen[-1].causes[0].confidence is Confidence.CERTAIN
