"""A node of two is lost: the generic runbook cordons it and evicts the service's pods, long before Kubernetes gives them up."""

from pathlib import Path

import pytest

from tests.cluster.conftest import PATIENT, StartDaemon
from tests.cluster.small_catalog import service, write
from tests.cluster.story import ClusterStory, Json
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.daemon import ROOT, kubeconfig, rights
from tests.harness.second_node import SecondNode
from tests.harness.waiting import wait_for

WEB, PODS = "web-app", 4
ACCOUNT = "moves"
RULES: list[Json] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
]
"""The rights that the chart grants by `nodes.cordon` and `evictions`."""

UNHEALTHY = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: web-pods-unhealthy}
spec: {on: pod, service: web-app, when: object.unhealthy, for: 1m, mode: auto, cooldown: 10m}
"""


@pytest.fixture
def story(
    own_cluster: RealCluster, second: SecondNode, production: str, tmp_path: Path, daemon: StartDaemon
) -> ClusterStory:
    """Return the story of a web that is spread over both nodes; all of it fits on one."""
    web, *rest = manifests.tier(production, WEB, replicas=PODS)
    web["spec"]["template"]["spec"]["topologySpreadConstraints"] = [manifests.evenly(WEB)]
    own_cluster.apply(web, *rest)
    shipped = [(ROOT / "runbooks" / f"{name}.yaml").read_text() for name in ("workload-recovery", "start-service")]
    catalog = write(tmp_path / "catalog", service(WEB, runbook="workload-recovery"), UNHEALTHY, *shipped)
    login = kubeconfig(own_cluster, "default", account=ACCOUNT, rules=[*rights(), *RULES])
    started = daemon(kubeconfig=login, catalog=catalog, deadlines=PATIENT)
    made = ClusterStory(own_cluster, production, started, user=f"system:serviceaccount:default:{ACCOUNT}").ready(PODS)
    wait_for(lambda: made.service(WEB).get("healthy"), within=60, describe=made.state)
    return made.begin()


def test_pods_are_moved_from_a_node_that_is_lost(
    own_cluster: RealCluster, second: SecondNode, story: ClusterStory
) -> None:
    lost = {each["metadata"]["name"] for each in story.pods() if each["spec"]["nodeName"] == second.name}
    assert len(lost) == PODS // 2, story.state()

    story.at("the second node loses its power", second.lose)
    incident = story.within(240).ends("recovered", service=WEB)
    steps = {each["path"]: each for each in story.steps(incident)}
    assert steps["diagnosis"]["result"]["remedy"] == "move-pods", steps["diagnosis"]
    assert f"stays in force until a person runs kubectl uncordon {second.name}" in incident["reason"], incident
    assert own_cluster.get("node", second.name)["spec"].get("unschedulable") is True
    (cordon,) = story.written_by_daemon("nodes")
    assert (cordon.verb, cordon.name) == ("patch", second.name)
    evicted = story.written_by_daemon("pods")
    assert {(each.verb, each.subresource) for each in evicted} == {("create", "eviction")}
    assert {each.name for each in evicted} == lost
    assert {each["spec"]["nodeName"] for each in story.pods()} == {"node-1"}
    story.within(60).ready(PODS)
