"""Case 3: a bad rollout. Restarts do not help; the watchdog goes back to what was good, or hands over with the commands."""

import pytest

from tests.cluster.conftest import HASTY, PAUSED, TIME_FOR_PODS, StartDaemon
from tests.cluster.story import OF_WEB_BY_EXPORTER, ClusterStory
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.images import WEB_GOOD

STUCK = {"alertname": "KubeDeploymentRolloutStuck", **OF_WEB_BY_EXPORTER}


@pytest.mark.heart
def test_a_bad_rollout_is_taken_back_at_the_deadline_to_the_good_revision(
    cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon
) -> None:
    """P5: pods of the bad revision are restarted in vain; one patch goes back, and the service is verified."""
    story = ClusterStory(cluster, production, daemon(deadlines=HASTY, durations=0.05, environment=TIME_FOR_PODS)).begin(
        good="web-service"
    )

    story.at("a person pauses for a release", lambda: annotate(cluster, f"{PAUSED}=release 2.0"))
    story.at("a bad version is rolled out", lambda: faults.bad_rollout(story.deployment()))
    story.within(60).verdict("refused", "paused")
    story.sees("it has crashed again and again", lambda: is_held_back(story))
    assert story.written_by_daemon("pods") == []
    story.at("the person gives up and lifts the pause", lambda: annotate(cluster, f"{PAUSED}-"))

    incident = story.within(240).ends("rolled-back")
    assert story.deleted_by_daemon()
    assert [(each.verb, each.name) for each in story.written_by_daemon("deployments")] == [
        ("patch", "web-app-deployment")
    ]
    assert story.container()["image"] == WEB_GOOD
    assert story.answers(web) == 200
    steps = {step["path"]: step for step in story.steps(incident) if step["phase"] == "rollback"}
    assert "--to-revision=1" in steps["back#0"]["text"]
    assert steps["verify"]["met"]


def test_after_two_bad_rollouts_it_goes_back_to_the_good_one_not_to_the_one_before(
    cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon
) -> None:
    """E13: `rollout undo` alone would go back to the first bad one."""
    story = ClusterStory(cluster, production, daemon(deadlines=HASTY, durations=0.01, environment=TIME_FOR_PODS)).begin(
        good="web-service"
    )

    story.at("a person pauses for a release", lambda: annotate(cluster, f"{PAUSED}=release 2.0"))
    story.at("a bad version is rolled out", lambda: faults.bad_rollout(story.deployment()))
    story.at("a second one on top of it", lambda: story.set_variable("HASTE=yes"))
    story.within(20).rolls(3).within(60).sees("it has crashed again and again", lambda: is_held_back(story))
    story.at("the alert fires", lambda: story.alert("firing", STUCK))
    story.within(60).verdict("refused", "paused", rule="web-service-alerts")
    story.at("the person gives up and lifts the pause", lambda: annotate(cluster, f"{PAUSED}-"))

    story.within(120).ends("rolled-back")
    story.rolls(4)
    assert story.container()["image"] == WEB_GOOD
    assert len(story.written_by_daemon("deployments")) == 1
    assert story.answers(web) == 200


def annotate(cluster: RealCluster, annotation: str) -> None:
    """Set or remove an annotation of the namespace."""
    cluster.kubectl("annotate", "namespace", "production", annotation, "--overwrite")


def is_held_back(story: ClusterStory) -> bool:
    """Return whether the kubelet waits, for long by now, before it starts a container once more."""
    states = [each for pod in story.pods() for each in pod["status"].get("containerStatuses", [])]
    return any(each["restartCount"] >= 2 and "waiting" in each["state"] for each in states)
