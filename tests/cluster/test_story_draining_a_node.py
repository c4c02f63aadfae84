"""A person has a node of two drained by a runbook on a real Kubernetes: its pods move, never more at once than their budget allows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import PATIENT, StartDaemon
from tests.cluster.small_catalog import service, write
from tests.cluster.story import ClusterStory, Json
from tests.harness import manifests
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.daemon import kubeconfig, rights
from tests.harness.second_node import SecondNode
from tests.harness.waiting import wait_for

WEB, PODS = "web-app", 4
ACCOUNT = "drains"
RULES: list[Json] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
]
"""The rights that the guide names for `kubectl drain`, besides those that every daemon has."""

DRAIN = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: drain-node}
spec:
  title: Drain a node
  parameters:
    node: {type: string, default: node-2}
  steps:
    - {id: drain, name: Drain it, run: "kubectl drain ${params.node} --ignore-daemonsets", within: 1h}
    - {id: well, name: The service is well, expect: service.healthy, within: 1h}
  rollback: {after: 8h, then: leave}
"""


@pytest.fixture
def story(
    own_cluster: RealCluster, second: SecondNode, production: str, tmp_path: Path, daemon: StartDaemon
) -> Iterator[ClusterStory]:
    """Return the story of a web that is spread over both nodes, of which one pod may be missing."""
    web, *rest = manifests.tier(production, WEB, replicas=PODS)
    web["spec"]["template"]["spec"]["topologySpreadConstraints"] = [manifests.evenly(WEB)]
    own_cluster.apply(web, *rest, budget(production))
    catalog = write(tmp_path / "catalog", service(WEB, runbook="drain-node", priority=1), DRAIN)
    login = kubeconfig(own_cluster, "default", account=ACCOUNT, rules=[*rights(), *RULES])
    started = daemon(kubeconfig=login, catalog=catalog, deadlines=PATIENT)
    made = ClusterStory(own_cluster, production, started, user=f"system:serviceaccount:default:{ACCOUNT}").ready(PODS)
    wait_for(lambda: made.service(WEB).get("healthy"), within=60, describe=made.state)
    yield made.begin()
    own_cluster.api.delete("poddisruptionbudget", WEB, production)


def test_a_node_is_drained_pod_by_pod_within_the_budget_of_its_pods(
    own_cluster: RealCluster, second: SecondNode, story: ClusterStory
) -> None:
    """P2, P3: each of its pods is evicted once, by uid, and by nothing but the eviction subresource."""
    there = {each["metadata"]["uid"] for each in story.pods() if each["spec"]["nodeName"] == second.name}
    assert len(there) == PODS // 2, story.state()

    story.at("a person has the node drained", lambda: drain(story))
    incident = story.within(120).ends("recovered", service=WEB)
    story.ready(PODS)
    assert own_cluster.get("node", second.name)["spec"].get("unschedulable") is True
    assert {each["spec"]["nodeName"] for each in story.pods()} == {"node-1"}
    steps = [each for each in story.steps(incident) if each["state"] == "done" and "eviction" in each["text"]]
    assert {each["facts"]["uid"] for each in steps} == there
    assert len(steps) == len(there)
    made = [each for each in story.written_by_daemon("pods") if each.subresource == "eviction"]
    assert len(made) == len(there), made
    assert story.deleted_by_daemon() == []


def drain(story: ClusterStory) -> None:
    """Start the runbook by hand."""
    path, wish = "/api/v1/runbooks/drain-node/recover", {"why": "its disk is failing", "service": WEB}
    status, shown = story.daemon.post(path, wish)
    assert status == 200, shown
    status, begun = story.daemon.post(path, {**wish, "confirm": True, "digest": shown["digest"]})
    assert begun.get("begun"), (status, shown, begun)


def budget(namespace: str) -> Object:
    """Return a PodDisruptionBudget of the web that allows one pod to be missing."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": WEB, "namespace": namespace},
        "spec": {"minAvailable": PODS - 1, "selector": {"matchLabels": {"app": WEB}}},
    }
