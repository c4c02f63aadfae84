"""Case 1: a pod crash-loops on a real Kubernetes, and Kintsugi heals it; with `observe` it stays broken."""

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import ClusterStory
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults


@pytest.mark.heart
def test_a_crash_looping_pod_is_deleted_and_its_service_recovers(
    cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon
) -> None:
    """P2, P8: that pod, by uid, no other; its successor is ready, the address answers, every step has its times."""
    story = ClusterStory(cluster, production, daemon(from_scratch=True, durations=0.05)).begin(good="web-service")
    victim = story.pods()[0]

    story.at("the pod crash-loops", lambda: faults.crash_loop(victim))

    incident = story.within(60).ends("recovered")
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert victim["metadata"]["uid"] not in story.uids()
    assert story.answers(web) == 200
    assert all(step["started"] and step["finished"] for step in story.steps(incident) if step["text"])
    assert "logs" in {kept["kind"].split()[0] for kept in story.evidence(incident)}


@pytest.mark.heart
@pytest.mark.parametrize("mode", ["observe"])
def test_the_same_pod_stays_broken_while_the_daemon_only_observes(
    cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon, mode: str
) -> None:
    """The control: nothing but Kintsugi heals this fault."""
    story = ClusterStory(cluster, production, daemon(mode=mode, durations=0.05)).begin(good="web-service")
    victim = story.pods()[0]

    story.at("the pod crash-loops", lambda: faults.crash_loop(victim))

    story.within(60).verdict("observed")
    assert victim["metadata"]["uid"] in story.uids()
    assert story.deleted_by_daemon() == []
