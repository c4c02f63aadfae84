"""Case 2: too few pods are ready although the broken ones were restarted: Kintsugi scales."""

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import OF_WEB_BY_EXPORTER, ClusterStory
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults

MISMATCH = {"alertname": "KubeDeploymentReplicasMismatch", **OF_WEB_BY_EXPORTER}


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
