"""A node of two is lost with its pods: Kubernetes replaces them, and Kintsugi says why it does not."""

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import ClusterStory
from tests.harness import manifests
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.second_node import SecondNode

EVICTED_AFTER = 60
"""Seconds after which Kubernetes gives a lost node's pods up, where it is 300 by default."""

DURATIONS = 0.2
"""The scale of durations: what the rules wait for must come after the node is NotReady, some 50 s after its loss."""

PODS = 6
"""Half of them on each node: three are enough for the shipped runbook, which scales where fewer are ready."""


@pytest.fixture
def shop(own_cluster: RealCluster, second: SecondNode, production: str) -> str:
    """Deploy the web service over both nodes, ready, and the API that it depends on on the first one."""
    api, front = manifests.tier(production, "api")
    api["spec"]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "node-1"}
    web = manifests.web_deployment(production, replicas=PODS)
    pod = web["spec"]["template"]["spec"]
    pod["topologySpreadConstraints"] = [manifests.evenly(manifests.WEB)]
    pod["tolerations"] = [tolerated("unreachable"), tolerated("not-ready")]
    own_cluster.apply(api, front, web, manifests.service(production))
    for name in ("web-app-deployment", "api-deployment"):
        own_cluster.kubectl("rollout", "status", f"deployment/{name}", "-n", production, "--timeout=60s")
    return production


def test_no_pod_of_a_lost_node_is_deleted_by_the_daemon_which_says_that_the_node_needs_mending(
    own_cluster: RealCluster, second: SecondNode, shop: str, daemon: StartDaemon
) -> None:
    """P6, E32: one of two nodes is no sign against the observer; its pods are evicted and made anew by Kubernetes alone."""
    story = ClusterStory(own_cluster, shop, daemon(durations=DURATIONS)).begin(good="web-service")
    lost = {each["metadata"]["uid"] for each in story.pods() if each["spec"]["nodeName"] == second.name}
    assert len(lost) == PODS // 2, story.state()

    story.at("the second node loses its power", second.lose)
    story.within(90).sees("it is NotReady", lambda: story.ready_of_node(second.name) == "Unknown")
    story.within(60).verdict("started", rule="web-service-pods-unhealthy")
    step = story.within(60).refuses("the node needs repair")
    assert f"the node {second.name} of pod/web-app-deployment" in step["error"]
    story.within(120).sees("Kubernetes has evicted its pods", lambda: all(on_first(each) for each in story.pods()))
    story.within(120).ready(PODS)
    story.within(120).ends("no-action", service="web-service")

    assert story.writes() == []
    assert [each["service"] for each in story.daemon.incidents()] == ["web-service"], story.state()
    evicted = own_cluster.audit().writes().where(resource="pods", verb="delete")
    assert lost <= {each.uid for each in evicted} | {each["metadata"]["uid"] for each in terminating(own_cluster, shop)}


def tolerated(taint: str) -> Object:
    """Return for how long a pod stays on a node with such a taint."""
    key = f"node.kubernetes.io/{taint}"
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": EVICTED_AFTER}


def on_first(pod: Object) -> bool:
    """Return whether a pod is on the node that is left."""
    return bool(pod["spec"].get("nodeName") == "node-1")


def terminating(cluster: RealCluster, namespace: str) -> list[Object]:
    """Return the pods that were deleted, and whose kubelet cannot end them."""
    return [each for each in cluster.list("pod", namespace) if each["metadata"].get("deletionTimestamp")]
