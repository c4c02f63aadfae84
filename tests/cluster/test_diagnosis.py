"""
What is wrong with a workload is named on a real Kubernetes: cause, object and field, in the kubelet's, scheduler's and controllers' own words.

Each fault has a namespace of its own, with a Deployment of two pods that are ready before it.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from kintsugi.kube.client import KubeClient
from kintsugi.model.records import Target
from kintsugi.pipeline.diagnoser import Diagnoser
from kintsugi.settings import KubeSettings
from kubediagnosis.causes import CauseKind, Confidence, Diagnosis
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.images import WEB_BAD, WEB_BETTER
from tests.harness.waiting import eventually

pytestmark = pytest.mark.cluster

NAME = f"{manifests.WEB}-deployment"
WORKLOAD, SERVICE = f"deployment/{NAME}", f"service/{manifests.WEB}-service"
Deed = Callable[[RealCluster, str], object]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How a workload is broken, and what has to be named; `confidence` where it has to be certain."""

    deed: Deed
    kind: CauseKind
    object: str
    field: str
    confidence: Confidence | None = None


def run(*command: str) -> Deed:
    """Return a deed of kubectl."""
    return lambda cluster, namespace: cluster.kubectl("-n", namespace, *command)


def patched(kind: str, name: str, change: Mapping[str, Any]) -> Deed:
    """Return a deed that patches an object."""
    return lambda cluster, namespace: cluster.api.patch(kind, name, change, namespace)


def container(**change: Any) -> Deed:
    """Return a deed that changes the template's container."""
    body = {"spec": {"template": {"spec": {"containers": [{"name": "web", **change}]}}}}
    return run("patch", WORKLOAD, "--patch", json.dumps(body))


def short_of_quota(cluster: RealCluster, namespace: str) -> None:
    """Allow as many pods as there are, and ask for one more."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": namespace},
        "spec": {"hard": {"pods": "2"}},
    }
    cluster.apply(quota)
    run("scale", WORKLOAD, "--replicas=3")(cluster, namespace)


KEY = {"name": "CURRENCY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "currency"}}}
FAULTS: Mapping[str, Fault] = {
    "an image that nobody serves": Fault(
        deed=container(image="localhost:5000/none-such:1", imagePullPolicy="IfNotPresent"),
        kind=CauseKind.IMAGE_PULL,
        object=WORKLOAD,
        field="containers[web].image",
        confidence=Confidence.CERTAIN,
    ),
    "a ConfigMap that is not there": Fault(
        deed=container(env=[KEY]),
        kind=CauseKind.MISSING_CONFIGURATION,
        object=WORKLOAD,
        field="containers[web].env[CURRENCY]",
        confidence=Confidence.CERTAIN,
    ),
    "a version that ends with 1": Fault(
        deed=run("set", "image", WORKLOAD, f"web={WEB_BAD}"),
        kind=CauseKind.CONTAINER_EXIT,
        object=WORKLOAD,
        field="containers[web].image",
    ),
    "more processors than any node has": Fault(
        deed=container(resources={"requests": {"cpu": "900"}}),
        kind=CauseKind.UNSCHEDULABLE,
        object=WORKLOAD,
        field="containers[web].resources.requests.cpu",
        confidence=Confidence.CERTAIN,
    ),
    "a quota": Fault(
        deed=short_of_quota, kind=CauseKind.POD_CREATION, object="resourcequota/few", field="spec.hard[pods]"
    ),
    "no replicas": Fault(
        deed=run("scale", WORKLOAD, "--replicas=0"),
        kind=CauseKind.SCALED_TO_ZERO,
        object=WORKLOAD,
        field="spec.replicas",
    ),
    "a selector that no pod meets": Fault(
        deed=patched("service", f"{manifests.WEB}-service", {"spec": {"selector": {"app": "other"}}}),
        kind=CauseKind.SERVICE_ROUTING,
        object=SERVICE,
        field="spec.selector[app]",
    ),
}


@pytest.fixture
async def kube(cluster: RealCluster) -> AsyncIterator[KubeClient]:
    """Yield a client of the administrator."""
    async with KubeClient.connect(KubeSettings(kubeconfig=cluster.kubeconfig)) as client:
        yield client


async def diagnosed(kube: KubeClient, namespace: str) -> Diagnosis:
    """Return the diagnosis of the Deployment."""
    target = Target(kind="deployment", namespace=namespace, name=NAME)
    return await Diagnoser(kube=kube, clock=lambda: datetime.now(UTC)).diagnose(target)


def deploy(cluster: RealCluster, namespace: str) -> None:
    """Have the Deployment and its Service, ready."""
    cluster.apply(manifests.web_deployment(namespace, replicas=2), manifests.service(namespace, kind="ClusterIP"))
    cluster.kubectl("rollout", "status", WORKLOAD, "-n", namespace, "--timeout=120s")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_is_named_by_cause_object_and_field(cluster: RealCluster, kube: KubeClient, fault: Fault) -> None:
    with cluster.namespace("diagnosis") as namespace:
        deploy(cluster, namespace)
        assert (await diagnosed(kube, namespace)).causes == ()
        fault.deed(cluster, namespace)
        seen: list[Diagnosis] = []

        async def is_named() -> bool:
            seen.append(await diagnosed(kube, namespace))
            first = next(iter(seen[-1].causes), None)
            return first is not None and (first.kind, first.object, first.field) == (
                fault.kind,
                fault.object,
                fault.field,
            )

        await eventually(is_named, within=60, every=0.5, describe=lambda: seen[-1])
        assert fault.confidence in (None, seen[-1].causes[0].confidence), seen[-1]
        print(seen[-1].summary)
        certain = [cause for each in seen for cause in each.causes if cause.confidence is Confidence.CERTAIN]
        assert {(each.kind, each.object) for each in certain} <= {(fault.kind, fault.object)}, certain


async def test_a_good_rollout_has_no_cause(cluster: RealCluster, kube: KubeClient) -> None:
    with cluster.namespace("diagnosis") as namespace:
        deploy(cluster, namespace)
        run("set", "image", WORKLOAD, f"web={WEB_BETTER}")(cluster, namespace)
        found: list[Diagnosis] = []

        async def is_over() -> bool:
            found.append(await diagnosed(kube, namespace))
            status = cluster.get("deployment", NAME, namespace)["status"]
            return {status.get(each, 0) for each in ("updatedReplicas", "readyReplicas", "replicas")} == {2}

        await eventually(is_over, within=60, every=0.2, describe=lambda: found[-1])
        assert [each for each in found if any(cause.confidence is Confidence.CERTAIN for cause in each.causes)] == []
        assert (await diagnosed(kube, namespace)).causes == ()
