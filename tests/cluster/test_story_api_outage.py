"""Case 7: the API server hangs, dies, forgets: nothing is done meanwhile, and nothing on what was so before."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import PendingMatch
from tests.cluster.conftest import StartDaemon
from tests.cluster.story import ClusterStory, Json
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.machine import API_SERVER

DURATIONS = 0.05
FOR = timedelta(minutes=2) * DURATIONS
"""How long a pod must be unhealthy before the rule on it says so."""

A_WHILE = 2
"""Seconds in which the daemon would have acted, had it been able to see."""


@pytest.mark.heart
def test_while_the_api_server_hangs_and_is_gone_nothing_is_done_and_then_what_is_still_needed(
    own_cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon
) -> None:
    """B1, B6, B15, P6: the run waits through it all, a restart of the daemon included; its pod is deleted once."""
    story = ClusterStory(own_cluster, production, daemon(durations=DURATIONS)).begin(good="web-service")
    victim = story.pods()[0]

    story.at("a pod stops to answer", lambda: faults.make_unready(victim)).within(30).ready(2)
    story.at("the API server hangs", lambda: own_cluster.freeze(API_SERVER))
    incident = story.within(30).reaches("running")
    story.stays(lambda: changes(story, incident) == [], A_WHILE, story.daemon.tail)
    story.at("the daemon is killed", story.daemon.kill).at("and started again", story.daemon.start)
    story.at("an alert fires", lambda: story.alert("firing", about(victim)))
    story.stays(lambda: story.daemon.get("/readyz")[0] == 503, A_WHILE, story.daemon.tail)
    assert "not synced" in story.daemon.get("/api/v1/readiness")[1]["waiting_for"]["caches"]
    assert changes(story, incident) == []
    story.at("the API server is killed, and started without its history", own_cluster.lose_watch_history)
    story.within(60).ready(3).at("the alert is resolved", lambda: story.alert("resolved", about(victim)))

    assert story.within(60).ends("recovered")["id"] == incident["id"]
    assert len(story.daemon.incidents()) == 1
    assert len(story.daemon.incident(incident["id"])["runs"]) == 1
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert story.answers(web) == 200


def test_a_view_from_before_an_outage_is_no_reason_to_act_after_it(
    own_cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon
) -> None:
    """B1, B14, C5, P6: the daemon sleeps while the API server loses its history and a person replaces the pod."""
    story = ClusterStory(own_cluster, production, daemon(durations=DURATIONS)).begin(good="web-service")
    victim = story.pods()[0]

    story.at("a pod stops to answer", lambda: faults.make_unready(victim))
    story.within(30).sees("the daemon counts the time from now on", lambda: is_counted(story, victim))
    story.at("the daemon is frozen", lambda: story.daemon.signal(signal.SIGSTOP))
    began = datetime.now(UTC)
    story.at("the API server is restarted without its history", own_cluster.lose_watch_history)
    story.at("a person replaces the pod", lambda: replace(story, victim)).within(60).ready(3)
    story.within(30).sees("the rule's time is over", lambda: datetime.now(UTC) - began > FOR)
    story.at("the daemon is thawed", lambda: story.daemon.signal(signal.SIGCONT))

    story.within(30).sees("it knows that the pod is gone", lambda: conditions(story) == ())
    story.within(30).sees("nothing is left to do", lambda: all(each["closed"] for each in story.daemon.incidents()))
    # A run may have begun on what was seen; just before the deletion the pod is looked up live, and it is gone.
    assert {each["state"] for each in story.daemon.incidents()} <= {"no-action", "cancelled"}
    assert [changes(story, each) for each in story.daemon.incidents() if changes(story, each)] == []
    assert story.deleted_by_daemon() == []
    assert story.written_by_daemon("deployments") == []
    assert story.answers(web) == 200


def about(pod: Object) -> dict[str, str]:
    """Return the labels of an alert about a pod."""
    name = pod["metadata"]["name"]
    return {"alertname": "KubePodNotReady", "namespace": "production", "pod": name, "severity": "warning"}


def changes(story: ClusterStory, incident: Json) -> list[Json]:
    """Return the changes that an incident's runs have made or may have made."""
    return [step for step in story.steps(incident) if step["changes"]]


def conditions(story: ClusterStory) -> tuple[PendingMatch, ...]:
    """Return what the daemon has written down of conditions of the service that hold; the others are not deployed."""

    async def read() -> tuple[PendingMatch, ...]:
        async with Ledger.read(story.daemon.ledger) as ledger:
            known = await ledger.signals.conditions()
        return tuple(each for each in known if each.rule.startswith("web-service-"))

    return asyncio.run(read())


def is_counted(story: ClusterStory, pod: Object) -> bool:
    """Return whether the daemon has written down that this pod is unhealthy."""
    kept = {(each.rule, each.target.uid) for each in conditions(story)}
    return ("web-service-pods-unhealthy", pod["metadata"]["uid"]) in kept


def replace(story: ClusterStory, pod: Object) -> None:
    """Delete a pod as a person would; its ReplicaSet makes another."""
    story.cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", story.namespace, "--wait=false")
