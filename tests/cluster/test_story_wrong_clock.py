"""Case 9: the daemon's clock is wrong, at its start and in mid-run: it says so, does nothing, and goes on a minute after it is right."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import ClusterStory
from tests.cluster.test_story_api_outage import is_counted
from tests.harness.cluster import RealCluster
from tests.harness.daemon import DaemonProcess, kubeconfig
from tests.harness.fake_time import RIGHT, FakeTime
from tests.harness.faults import Faults

DURATIONS = 0.1
"""A pod must be unhealthy for twelve seconds before the rule on it says so."""

A_WHILE = 5
"""Seconds in which a daemon that believed its clock would have deleted the pod: by that, its time was over long ago."""

TRUSTED_AGAIN = 180
"""Seconds: ten times what it takes beyond the minute for which the clocks must agree."""


def test_a_clock_that_jumps_in_mid_run_deletes_nothing_and_then_what_still_needs_it(
    own_cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon, tmp_path: Path
) -> None:
    """C9, P5, P6: an hour forward, six minutes back; the condition counts anew once the clock is right."""
    clock = FakeTime.made(tmp_path)
    started = daemon(durations=DURATIONS, environment=clock.environment, from_scratch=True)
    story = ClusterStory(own_cluster, production, started).begin(good="web-service")
    victim = story.pods()[0]

    story.at("a pod stops to answer", lambda: faults.make_unready(victim)).within(30).ready(2)
    story.within(30).sees("the daemon counts the time from now on", lambda: is_counted(story, victim))
    for shift, words in ((timedelta(hours=1), "ahead of"), (timedelta(minutes=-6), "behind")):
        story.at(f"its clock is set by {shift}", partial(clock.set, shift))
        story.within(30).sees(f"it says: {words}", partial(says, story, words))
        story.stays(lambda: story.writes() == [], A_WHILE, story.state)
    story.at("its clock is set right", lambda: clock.set(RIGHT))

    story.within(TRUSTED_AGAIN).ready(3).within(60).ends("recovered")
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert story.answers(web) == 200


def test_a_daemon_that_starts_an_hour_behind_does_nothing_until_its_clock_is_right(
    own_cluster: RealCluster, faults: Faults, web: str, production: str, tmp_path: Path
) -> None:
    """C9: the certificates are valid by its clock, too, so that nothing but the API server's `Date` tells."""
    clock = FakeTime.made(tmp_path)
    clock.set(timedelta(hours=-1))
    daemon = DaemonProcess(
        kubeconfig=kubeconfig(own_cluster, "default"),
        folder=tmp_path / "daemon",
        durations=DURATIONS,
        environment=clock.environment,
        from_scratch=True,
    )
    story = ClusterStory(own_cluster, production, daemon)
    victim = story.pods()[0]
    faults.make_unready(victim)
    try:
        story.begin().at("the daemon is started, an hour behind", daemon.start)
        story.within(60).sees("it says so", lambda: says(story, "behind"))
        story.stays(lambda: story.writes() == [], 3 * A_WHILE, story.state)
        story.at("its clock is set right", lambda: clock.set(RIGHT))
        story.within(TRUSTED_AGAIN).ready(3).within(60).ends("recovered")
        assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
        assert story.answers(web) == 200
    finally:
        daemon.stop()


def says(story: ClusterStory, words: str) -> bool:
    """Return whether the daemon is not ready, and gives the clock as the reason."""
    _, answer = story.daemon.get("/api/v1/readiness")
    return story.daemon.get("/readyz")[0] == 503 and "this machine's clock is" in str(answer) and words in str(answer)
