"""Case 5 on the real cluster: the daemon is killed at three points, and each pod is deleted once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubeobjects.predicates import CRASH_LOOP_RESTARTS
from tests.cluster.conftest import StartDaemon
from tests.cluster.crashes import alert_the_doomed, is_dead
from tests.cluster.story import ClusterStory
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.crash_points import KILL_AT, TRACE
from tests.harness.faults import Faults

FIXED = ("before effect restart[]#0 1", "after effect restart[]#0 1", "before commit move-run verifying 1")
"""Around the deletion, and after it: where a death would make a second one, or lose how the story goes on."""
ALERT = {"alertname": "KubePodCrashLooping", "namespace": "production", "severity": "warning"}
StartStory = Callable[[str, str], ClusterStory]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterStoryEnd:
    """How a story ended: the states of its incidents, the runs of the newest, and each of their changes."""

    incidents: list[str]
    runs: int
    changes: Mapping[str, str]


@pytest.fixture
def start(own_cluster: RealCluster, production: str, daemon: StartDaemon) -> StartStory:
    """Return what starts a daemon with one variable in its environment, and a story with it."""

    def start(variable: str, value: str) -> ClusterStory:
        return ClusterStory(own_cluster, production, daemon(durations=0.05, environment={variable: value}))

    return start


@pytest.mark.heart
def test_killed_at_three_points_it_goes_on_and_deletes_each_pod_once(
    start: StartStory, faults: Faults, web: str, tmp_path: Path
) -> None:
    """C1, C2: the witness is the API server's audit log."""
    trace = tmp_path / "points"
    undisturbed = tell(start(TRACE, str(trace)), faults)
    passed = [line.partition(" ")[2] for line in trace.read_text().splitlines()]
    assert set(FIXED) <= set(passed), passed

    ends_the_same(FIXED, undisturbed, start, faults, web)


def ends_the_same(
    points: Sequence[str], undisturbed: ClusterStoryEnd, start: StartStory, faults: Faults, web: str
) -> None:
    """Kill a daemon at each point of a story of its own, and expect the end of the one that nobody disturbed."""
    assert undisturbed.incidents == ["recovered"]
    for point in points:
        story = start(KILL_AT, point)
        assert tell(story, faults, killed_at=point) == undisturbed
    assert story.answers(web) == 200


def tell(story: ClusterStory, faults: Faults, *, killed_at: str = "") -> ClusterStoryEnd:
    """Return of one crash-looping pod and of the alert about it; the daemon is started again when it has died."""
    victim = story.begin().pods()[0]
    labels = {**ALERT, "pod": victim["metadata"]["name"]}
    story.at("a pod crash-loops", lambda: faults.crash_loop(victim))
    # Between its first crashes a container runs, and nobody can tell: what a process finds must be beyond doubt.
    story.within(60).sees("its container is held back, or was", lambda: was_held_back(story, victim))
    story.at("the alert fires", lambda: alert_the_doomed(story, "firing", labels))
    if killed_at:
        story.within(60).sees("it is dead, or the pod healed", lambda: is_dead(story) or is_healed(story, victim))
        if not is_dead(story):
            story.at("the alert is resolved", lambda: alert_the_doomed(story, "resolved", labels))
        story.within(60).sees(f"the daemon has died {killed_at}", lambda: is_dead(story))
        story.at("it is started again", lambda: story.daemon.start({KILL_AT: ""}))
    story.within(60).sees("the pod is healed", lambda: is_healed(story, victim))
    story.at("the alert is resolved", lambda: story.alert("resolved", labels))
    incident = story.within(60).closes()
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]], story.state()
    end = ClusterStoryEnd(
        incidents=[each["state"] for each in story.daemon.incidents()],
        runs=len(story.daemon.incident(incident["id"])["runs"]),
        changes={step["path"]: step["state"] for step in story.steps(incident) if step["changes"]},
    )
    story.daemon.stop()
    return end


def was_held_back(story: ClusterStory, victim: Object) -> bool:
    """Return whether the pod's crash loop was beyond doubt: on a slow machine the daemon may have dealt with it by now."""
    was_seen_to = is_dead(story) or victim["metadata"]["uid"] not in story.uids()
    return was_seen_to or story.is_held_back(victim, restarts=CRASH_LOOP_RESTARTS)


def is_healed(story: ClusterStory, victim: Object) -> bool:
    """Return whether the pod is replaced and all are ready."""
    return victim["metadata"]["uid"] not in story.uids() and story.deployment()["status"].get("readyReplicas") == 3
