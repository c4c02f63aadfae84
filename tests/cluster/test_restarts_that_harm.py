"""
A restart that could only do harm is refused for what a real cluster says of the workload and its pods.

And it is only said: in each case nothing is written, and the pods that were good stay the same ones.

B24.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import Refused
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from tests.cluster.kubectl import Object, kubectl, workload
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.images import WEB_BAD
from tests.harness.waiting import eventually

pytestmark = pytest.mark.cluster

SETTINGS = "cart-settings"
WITHIN = 120.0
"""Seconds that a cluster may take to say what is wrong."""

TWO_OF_TWO: dict[str, Any] = {"type": "Recreate"}
ONE_MORE: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
ONE_LESS: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


@pytest.fixture
def place(cluster: RealCluster) -> Iterator[str]:
    """Return a namespace with nothing in it."""
    with cluster.namespace("restarts") as name:
        yield name


@pytest.fixture
async def actions(cluster: RealCluster) -> AsyncIterator[Actions]:
    """Return the actions as the administrator."""
    async with KubeClient.connect(KubeSettings(kubeconfig=cluster.kubeconfig)) as kube:
        yield Actions(kube, Clients.restricted_to(AddressRule()))


async def restart(actions: Actions, what: str, namespace: str) -> EffectPlan:
    """Judge a restart, as a step of a run does."""
    now = datetime.now(UTC)
    about = ChangeContext(incident="i-1", run="r-1", path="restart", now=now, startup=timedelta(seconds=20))
    return await actions.plan_effect(parse(f"kubectl rollout restart {what}", namespace=namespace), about)


async def refused(actions: Actions, what: str, namespace: str) -> str:
    """Return why a restart is refused; "" while it may be made."""
    try:
        await restart(actions, what, namespace)
    except Refused as refusal:
        return str(refusal)
    return ""


def cart(namespace: str, *, replicas: int = 2, strategy: Object | None = None, **container: Any) -> Object:
    """Make a Deployment `cart-deployment`; what else is said replaces parts of its container."""
    made = manifests.web_deployment(namespace, app="cart", replicas=replicas)
    made["spec"]["strategy"] = strategy or ONE_MORE
    (web,) = made["spec"]["template"]["spec"]["containers"]
    web["env"] = [*web["env"], *container.pop("env", [])]
    web.update(container)
    return made


def good_pods(cluster: RealCluster, namespace: str) -> set[str]:
    """Return the uids of the pods that are ready and not on their way out."""
    return {
        pod["metadata"]["uid"]
        for pod in cluster.list("pods", namespace)
        if "deletionTimestamp" not in pod["metadata"]
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))
    }


async def are_good(cluster: RealCluster, namespace: str, count: int) -> set[str]:
    """Wait until so many pods are ready."""

    async def are_so_many() -> bool:
        return len(good_pods(cluster, namespace)) == count

    await eventually(are_so_many, within=WITHIN, describe=lambda: kubectl(cluster, namespace, "kubectl describe pods"))
    return good_pods(cluster, namespace)


async def come(cluster: RealCluster, actions: Actions, what: str, namespace: str, words: str) -> str:
    """Wait until a restart is refused for a reason with these words in it."""
    said = ""

    async def is_refused_so() -> bool:
        nonlocal said
        said = await refused(actions, what, namespace)
        return words in said

    def state() -> str:
        return f"{said!r}\n{kubectl(cluster, namespace, 'kubectl describe pods,replicasets')}"

    await eventually(is_refused_so, within=WITHIN, describe=state)
    return said


@pytest.mark.parametrize("strategy", [TWO_OF_TWO, ONE_MORE], ids=["recreate", "rolling"])
async def test_a_workload_whose_new_pod_lacks_a_key_of_a_config_map_is_not_restarted(
    cluster: RealCluster, place: str, actions: Actions, strategy: Object
) -> None:
    """One of two pods is made anew and cannot start; the other one serves, and goes on to."""
    key = {"name": "CURRENCY", "valueFrom": {"configMapKeyRef": {"name": SETTINGS, "key": "currency"}}}
    config: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": SETTINGS, "namespace": place},
        "data": {"currency": "EUR", "other": "x"},
    }
    cluster.apply(config, cart(place, strategy=strategy, env=[key]))
    both = await are_good(cluster, place, 2)
    generation = cluster.get("deployment", "cart-deployment", place)["metadata"]["generation"]
    cluster.api.patch("configmap", SETTINGS, {"data": {"currency": None}}, place)
    gone = next(each for each in cluster.list("pods", place))["metadata"]
    kubectl(cluster, place, f"kubectl delete pod {gone['name']}")
    said = await come(cluster, actions, "deployment/cart-deployment", place, "CreateContainerConfigError")
    assert "couldn't find key currency in ConfigMap" in said
    assert good_pods(cluster, place) == both - {gone["uid"]}
    assert cluster.get("deployment", "cart-deployment", place)["metadata"]["generation"] == generation


async def test_a_workload_whose_pods_crash_at_once_is_not_restarted(
    cluster: RealCluster, place: str, actions: Actions
) -> None:
    """Exit code and time are the kubelet's."""
    cluster.apply(cart(place, replicas=1, image=WEB_BAD))
    said = await come(cluster, actions, "deployment/cart-deployment", place, "again and again")
    assert "(exit code 1)" in said


async def test_a_workload_whose_program_is_not_there_is_not_restarted(
    cluster: RealCluster, place: str, actions: Actions
) -> None:
    """The container runtime says so, and the kubelet tries again and again."""
    cluster.apply(cart(place, replicas=1, command=["/no-such-program"]))
    await come(cluster, actions, "deployment/cart-deployment", place, "no such file")


async def test_a_workload_whose_pod_finds_no_volume_is_not_restarted(
    cluster: RealCluster, place: str, actions: Actions
) -> None:
    """Its container waits as one that is being made; that it has not begun to run for its start-up says enough."""
    made = cart(place, replicas=1)
    pods = made["spec"]["template"]["spec"]
    pods["volumes"].append({"name": "settings", "configMap": {"name": "not-there"}})
    pods["containers"][0]["volumeMounts"].append({"name": "settings", "mountPath": "/settings"})
    cluster.apply(made)
    await come(cluster, actions, "deployment/cart-deployment", place, "no container of it has started on")


async def test_a_workload_whose_pods_are_refused_by_a_quota_is_not_restarted(
    cluster: RealCluster, place: str, actions: Actions
) -> None:
    """A Deployment's ReplicaSet says so; a StatefulSet only has fewer pods than it should."""
    cluster.apply(cart(place, replicas=1), workload("statefulset", place, "cart", replicas=1))
    good = await are_good(cluster, place, 2)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": place}}
    cluster.apply({**quota, "spec": {"hard": {"pods": "2"}}})

    async def is_counted() -> bool:
        status = cluster.get("resourcequota", "small", place).get("status", {})
        return bool(status.get("used", {}).get("pods") == "2")

    await eventually(is_counted, within=WITHIN, describe=lambda: kubectl(cluster, place, "kubectl describe quota"))
    kubectl(cluster, place, "kubectl scale deployment/cart-deployment statefulset/cart-statefulset --replicas=2")
    await come(cluster, actions, "deployment/cart-deployment", place, "exceeded quota: small")
    await come(cluster, actions, "statefulset/cart-statefulset", place, "only 1 of its 2 pods have been made")
    assert good_pods(cluster, place) == good


async def test_the_last_good_pod_of_a_workload_is_never_ended_by_a_restart(
    cluster: RealCluster, place: str, actions: Actions
) -> None:
    """All is well, and stays so; where a new pod comes first the same restart may be made, and is."""
    cluster.apply(
        cart(place, replicas=1, strategy=TWO_OF_TWO),
        workload("statefulset", place, "one", replicas=1),
        workload("daemonset", place, "node", replicas=1),
    )
    good = await are_good(cluster, place, 2 + len(cluster.list("nodes")))
    whole = ["deployment/cart-deployment", "statefulset/one-statefulset"]
    if len(cluster.list("nodes")) == 1:
        whole.append("daemonset/node-daemonset")
    for each in whole:
        assert "would end its only ready pod before a new one is ready" in await refused(actions, each, place)
    cluster.api.patch("deployment", "cart-deployment", {"spec": {"strategy": {**ONE_LESS}}}, place)
    assert "maxUnavailable 1" in await refused(actions, "deployment/cart-deployment", place)
    cluster.api.patch("deployment", "cart-deployment", {"spec": {"strategy": {**ONE_MORE}}}, place)
    assert good_pods(cluster, place) == good
    await actions.apply(await restart(actions, "deployment/cart-deployment", place))
    kubectl(cluster, place, "kubectl rollout status deployment/cart-deployment --timeout=60s")
