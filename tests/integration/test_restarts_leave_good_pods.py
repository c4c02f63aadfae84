"""How many good pods a restart leaves whose new pods never become ready: what is foretold is what the controllers do."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kintsugi.actions import api_objects
from kintsugi.kube.client import PatchKind
from kintsugi.verbs.rollout_restart import good_pods, survivors
from kintsugi_demo.shop import workload
from kubediagnosis.templates import RESTARTED
from kubeobjects.kept import Pod
from kubeobjects.resources import DEPLOYMENTS, PODS, REPLICASETS, STATEFULSETS, Resource
from kubesim.images import GOOD, NEVER_READY
from tests.integration.process_stage import NAMESPACE, ProcessStage

pytestmark = pytest.mark.long

IMAGE = "shop/web:1"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[ProcessStage]:
    """Return a cluster whose image is good so far."""
    async with ProcessStage.set(tmp_path, {IMAGE: GOOD}) as stage:
        yield stage


def web(resource: Resource, replicas: int, strategy: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a Deployment or StatefulSet of web pods, made all at once."""
    field = "strategy" if resource == DEPLOYMENTS else "updateStrategy"
    spec: dict[str, Any] = {"replicas": replicas, field: strategy}
    if resource == STATEFULSETS:
        spec |= {"serviceName": "web", "podManagementPolicy": "Parallel"}
    else:
        spec |= {"progressDeadlineSeconds": 36_000}  # its clock must not be what the controller goes on by
    return workload(resource.kind, "web", {"app": "web"}, {"containers": [{"name": "web", "image": IMAGE}]}, **spec)


def rolling(**bounds: Any) -> Mapping[str, Any]:
    """Describe a rolling update."""
    return {"type": "RollingUpdate", "rollingUpdate": bounds}


CASES = (
    (DEPLOYMENTS, 3, {"type": "Recreate"}, 0),
    (DEPLOYMENTS, 3, {"type": "Recreate"}, 1),
    (DEPLOYMENTS, 1, rolling(maxSurge="25%", maxUnavailable="25%"), 0),
    (DEPLOYMENTS, 1, rolling(maxSurge=0, maxUnavailable=1), 0),
    (DEPLOYMENTS, 4, rolling(maxSurge="25%", maxUnavailable="25%"), 0),
    (DEPLOYMENTS, 4, rolling(maxSurge="25%", maxUnavailable="25%"), 1),
    (DEPLOYMENTS, 4, rolling(maxSurge=0, maxUnavailable="60%"), 1),
    (DEPLOYMENTS, 4, rolling(maxSurge=0, maxUnavailable="60%"), 3),
    (DEPLOYMENTS, 4, rolling(maxSurge=1, maxUnavailable="100%"), 2),
    (DEPLOYMENTS, 3, rolling(maxSurge="10%", maxUnavailable="10%"), 0),
    (STATEFULSETS, 1, rolling(partition=0), 0),
    (STATEFULSETS, 3, rolling(partition=0), 0),
    (STATEFULSETS, 3, rolling(partition=2), 0),
    (STATEFULSETS, 3, {"type": "OnDelete"}, 0),
)
"""Kind, replicas, strategy, and how many of its pods (the first ones by name) are not ready beforehand."""


@pytest.mark.parametrize(("resource", "replicas", "strategy", "ill"), CASES)
async def test_a_restart_leaves_as_many_good_pods_as_is_foretold(
    stage: ProcessStage, resource: Resource, replicas: int, strategy: Mapping[str, Any], ill: int
) -> None:
    stage.cluster.apply(web(resource, replicas, strategy))

    def pods() -> list[Pod]:
        return [api_objects.convert(each, Pod) for each in stage.cluster.find(PODS, NAMESPACE)]

    await stage.until(lambda: len(good_pods(pods())) == replicas)
    for each in sorted(pods(), key=lambda pod: pod.metadata.name)[:ill]:
        stage.cluster.faults.make_unready(each.metadata.uid)
    await stage.until(lambda: len(good_pods(pods())) == replicas - ill)
    before = {each.metadata.uid for each in pods()}
    foretold = survivors(resource, stage.get(resource, "web"), pods())

    stage.cluster.images.add(IMAGE, NEVER_READY)
    stamp = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: "2026-01-01T00:00:00Z"}}}}}
    await stage.kube.patch(resource, "web", NAMESPACE, stamp, kind=PatchKind.MERGE)

    def left() -> int:
        """Count the good pods that are still those from before."""
        return sum(each.metadata.uid in before for each in good_pods(pods()))

    await stage.until(lambda: left() <= foretold and is_seen(stage, resource))
    await rest(stage)
    assert left() == foretold, [each.metadata.name for each in pods()]


async def rest(stage: ProcessStage) -> None:
    """Wait until the controllers have nothing more to do: in twenty looks nothing has changed, and no pod is on its way out."""
    seen: object = None
    looks = 0

    def is_quiet() -> bool:
        nonlocal seen, looks
        found = [*stage.cluster.find(PODS, NAMESPACE), *stage.cluster.find(REPLICASETS, NAMESPACE)]
        now = [each["metadata"]["resourceVersion"] for each in found]
        looks = looks + 1 if now == seen and not any(each["metadata"].get("deletionTimestamp") for each in found) else 0
        seen = now
        return looks >= 20

    await stage.until(is_quiet)


def is_seen(stage: ProcessStage, resource: Resource) -> bool:
    """Return whether the controller has taken the restart up, and made new pods where it makes any by itself."""
    found = stage.get(resource, "web")
    status = found["status"]
    quiet = found["spec"].get("updateStrategy", {}).get("type") == "OnDelete"
    return bool(
        status["observedGeneration"] == found["metadata"]["generation"]
        and (quiet or status.get("updatedReplicas", 0) > 0)
    )
