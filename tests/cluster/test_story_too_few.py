"""Case 2: too few pods are ready although the broken ones were restarted: Kintsugi scales, unless something forbids it."""

import shutil
from pathlib import Path

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import ClusterStory
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.daemon import ROOT
from tests.harness.faults import Faults

# The alert's `pod` is the exporter that it was scraped from, as it is with kube-state-metrics: the Deployment counts.
MISMATCH = {
    "alertname": "KubeDeploymentReplicasMismatch",
    "namespace": "production",
    "deployment": "web-app-deployment",
    "severity": "warning",
    "job": "kube-state-metrics",
    "pod": "kube-state-metrics-6f8b7c9d5-x2x4q",
}
STUCK = {**MISMATCH, "alertname": "KubeDeploymentRolloutStuck"}


@pytest.fixture
def two(cluster: RealCluster, web: str, production: str) -> str:
    """Run the web service with two pods only, and return its address."""
    cluster.kubectl("scale", "deployment/web-app-deployment", "--replicas=2", "-n", production)
    return web


@pytest.mark.heart
def test_two_pods_are_too_few_after_the_restart_and_become_five(
    cluster: RealCluster, faults: Faults, two: str, production: str, daemon: StartDaemon
) -> None:
    """The alert goes on, so that the restart is not enough; one patch scales, and the incident says why and how back."""
    story = ClusterStory(cluster, production, daemon(durations=0.05)).begin(good="web-service")
    victim = story.pods()[0]

    story.at("one of two pods stops to answer", lambda: faults.make_unready(victim))
    story.within(20).ready(1).at("the alert fires", lambda: story.alert("firing", MISMATCH))
    story.within(30).ready(5).at("the alert is resolved", lambda: story.alert("resolved", MISMATCH))

    incident = story.within(60).ends("recovered")
    (patch,) = story.written_by_daemon("deployments")
    assert patch.name == "web-app-deployment"
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    (scale,) = [step for step in story.steps(incident) if step["path"] == "scale#0"]
    assert "--replicas=2 --current-replicas=5" in scale["undo"]["texts"][0]
    assert story.answers(two) == 200


def test_a_deployment_that_must_not_be_scaled_is_not_and_the_run_says_why(
    cluster: RealCluster, two: str, production: str, daemon: StartDaemon, tmp_path: Path
) -> None:
    """B21, E14: not against an autoscaler, not from eight down to five, not while pods find no node."""
    story = ClusterStory(cluster, production, daemon(durations=0.01, catalog=of_its_own_runbook(tmp_path))).begin()

    story.at("an autoscaler owns the Deployment", lambda: cluster.apply(autoscaler(production)))
    story.at("the alert fires", lambda: story.alert("firing", MISMATCH))
    story.within(30).refuses("is scaled by the HorizontalPodAutoscaler web-app")
    story.at("the alert is resolved", lambda: story.alert("resolved", MISMATCH))
    story.within(30).closes()
    cluster.kubectl("delete", "hpa", "web-app", "-n", production)

    cluster.apply(quota(production))
    story.at("a quota lets two of eight pods run", lambda: story.scale(8))
    story.within(30).refuses("has 8 replicas: a recovery never lowers them (to 5)")
    story.at("somebody goes back to two", lambda: story.scale(2))
    story.within(30).closes()
    cluster.kubectl("delete", "resourcequota", "few-pods", "-n", production)

    story.at("a new version wants a node that nobody has", lambda: story.patch(nowhere()))
    story.at("the alert fires", lambda: story.alert("firing", STUCK))
    story.within(30).refuses("cannot be scheduled")

    assert story.written_by_daemon("deployments") == []
    assert story.deployment()["spec"]["replicas"] == 2


def of_its_own_runbook(folder: Path) -> Path:
    """Write the shipped catalog without the rule that has a stuck rollout diagnosed: the service's own runbook is left with it."""
    for name in ("rules", "runbooks"):
        shutil.copytree(ROOT / name, folder / name)
    of_web = folder / "rules" / "web-service.yaml"
    text = of_web.read_text()
    of_web.write_text(text.replace("spec:\n", "spec:\n  rules: {rollout-stuck: {enabled: false}}\n", 1))
    return folder


def autoscaler(namespace: str) -> Object:
    """Return an autoscaler that keeps the web service between two and four pods."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web-app", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-app-deployment"},
            "minReplicas": 2,
            "maxReplicas": 4,
        },
    }


def quota(namespace: str) -> Object:
    """Return a quota that leaves room for the API's pod and two of the web service."""
    metadata = {"name": "few-pods", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "3"}}}


def nowhere() -> Object:
    """Return a change of a Deployment whose pods ask for a node that does not exist."""
    return {"spec": {"template": {"spec": {"nodeSelector": {"disk": "none-has-this"}}}}}
