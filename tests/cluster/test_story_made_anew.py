"""
What `kubectl rollout undo` alone does not mend: a Deployment that was deleted and applied anew, and a StatefulSet that waits for its bad pod.

Without Alertmanager, by the shipped generic runbook.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import TIME_FOR_PODS, StartDaemon
from tests.cluster.small_catalog import service, write
from tests.cluster.story import ClusterStory, Json, log_lines
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.daemon import ROOT
from tests.harness.images import WEB_BAD, WEB_GOOD
from tests.harness.registry import Registry, served
from tests.harness.waiting import wait_for

SERVICE, APP = "api-service", "api"
DEPLOYMENT, STATEFUL_SET = "deployment/api-deployment", "statefulset/depot"
MISSING = "shop:2.1"
GREETING = {"name": "GREETING", "value": "a value that is kept nowhere"}
RUNBOOKS = [ROOT / "runbooks" / f"{name}.yaml" for name in ("workload-recovery", "start-service")]

STUCK = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: depot-unready}
spec:
  on: services
  service: depot
  when: service.ready < service.desired && service.pods.exists(p, !ready(p) && restarts(p) > 0)
  for: 30s
  mode: auto
  cooldown: 10m
"""


def api(namespace: str, image: str = WEB_GOOD) -> Json:
    """Return the API's Deployment of two pods, with a literal value in its environment."""
    deployment, _ = manifests.tier(namespace, APP, replicas=2)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["env"] = [*container.get("env", []), GREETING]
    if image != WEB_GOOD:
        container |= {"image": image, "imagePullPolicy": "IfNotPresent"}
    made: Json = deployment
    return made


def test_a_deployment_that_was_deleted_and_applied_with_a_missing_image_is_taken_back_by_approval(
    cluster: RealCluster, production: str, daemon: StartDaemon
) -> None:
    cluster.apply(api(production), manifests.service(production, app=APP, kind="ClusterIP"))
    cluster.kubectl("rollout", "status", DEPLOYMENT, "-n", production, "--timeout=60s")
    story = ClusterStory(cluster, production, daemon(durations=0.01, environment=TIME_FOR_PODS), app=APP).begin(
        good=SERVICE
    )
    with Registry().running():
        image = served(MISSING)
        story.at("it is deleted", lambda: cluster.kubectl("delete", DEPLOYMENT, "-n", production, "--wait"))
        story.at("it is applied with an image that nobody has", lambda: cluster.apply(api(production, image)))

        incident = story.within(120).reaches("awaiting-approval", service=SERVICE)
        (question,) = story.daemon.incident(incident["id"])["approvals"]
        assert f"the ledger has the last good template (image {WEB_GOOD}" in question["question"], question
        assert story.writes() == []
        story.at("a person agrees", lambda: story.approve(incident))
        ended = story.within(120).ends("recovered", service=SERVICE)

    assert ended["reason"].startswith(f"rolled back from revision 1 (image {image}"), ended
    assert f"to its last good template (image {WEB_GOOD}" in ended["reason"]
    written = [(each.verb, each.resource) for each in story.writes() if "dryRun" not in each.uri]
    assert written == [("patch", "deployments")]
    (container,) = story.deployment()["spec"]["template"]["spec"]["containers"]
    assert container["image"] == WEB_GOOD
    assert GREETING in container["env"]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Write a service that is a StatefulSet, with the shipped generic runbook."""
    text = service("depot", runbook="workload-recovery").replace("deployment/depot-deployment", STATEFUL_SET)
    return write(tmp_path / "catalog", text, STUCK, *(each.read_text() for each in RUNBOOKS))


def depot(namespace: str) -> Json:
    """Return a StatefulSet of two pods, which Kubernetes makes and replaces in order."""
    deployment = manifests.web_deployment(namespace, app="depot", replicas=2, image=WEB_GOOD)
    spec = {key: value for key, value in deployment["spec"].items() if key in ("replicas", "selector", "template")}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "depot", "namespace": namespace, "labels": {"app": "depot"}},
        "spec": {**spec, "serviceName": "depot"},
    }


def good_is_kept(story: ClusterStory, uid: str) -> Callable[[], bool]:
    """Return what says whether the daemon has noted a good revision of a workload."""
    return lambda: any(
        each.get("event") == "good revision noted" and each.get("workload") == uid for each in log_lines(story.daemon)
    )


def test_a_stateful_set_is_taken_back_together_with_the_bad_pod_that_it_waits_for(
    cluster: RealCluster, production: str, catalog: Path, daemon: StartDaemon
) -> None:
    """kubernetes.io, StatefulSets, "Forced rollback"."""
    cluster.apply(depot(production), manifests.service(production, app="depot", kind="ClusterIP"))
    cluster.kubectl("rollout", "status", STATEFUL_SET, "-n", production, "--timeout=60s")
    started = daemon(durations=0.01, environment=TIME_FOR_PODS, catalog=catalog)
    story = ClusterStory(cluster, production, started, app="depot").begin()
    uid = str(cluster.get("statefulset", "depot", production)["metadata"]["uid"])
    wait_for(good_is_kept(story, uid), within=60, describe=story.state)

    def roll_out() -> None:
        container = depot(production)["spec"]["template"]["spec"]["containers"][0]["name"]
        cluster.kubectl("set", "image", STATEFUL_SET, f"{container}={WEB_BAD}", "-n", production)

    story.at("a version that ends at once is rolled out", roll_out)
    ended = story.within(180).ends("recovered", service="depot")

    assert ended["reason"].startswith(f"rolled back from revision 2 (image {WEB_BAD}) to 1 (image {WEB_GOOD})"), ended
    live = cluster.get("statefulset", "depot", production)
    pods = {each["metadata"]["labels"]["controller-revision-hash"] for each in story.pods()}
    assert pods == {live["status"]["updateRevision"]}
    assert live["status"]["readyReplicas"] == 2
