"""The observer is at fault and not what it observes: nothing is changed, and one incident says why."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import ClusterStory, Json
from tests.harness.access import Access
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.components import NODE
from tests.harness.daemon import kubeconfig
from tests.harness.faults import Faults
from tests.harness.processes import free_port
from tests.harness.wire import Wire

TOLD_SOON = {"KINTSUGI_KUBE__NOTIFY_AFTER": "2s"}
API_PORT = 6443


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Put a wire before the API server, for the daemon alone."""
    made = Wire(to=API_PORT)
    made.start()
    yield made
    made.stop()


def test_a_node_whose_kubelet_is_silent_is_told_once_and_none_of_its_pods_is_touched(
    own_cluster: RealCluster, web: str, production: str, daemon: StartDaemon
) -> None:
    """E32, P6: the node is Unknown and all pods count as not ready, while every one of them serves; and so it is after it."""
    story = ClusterStory(own_cluster, production, daemon(environment=TOLD_SOON)).begin(good="web-service")
    before = story.uids()

    with own_cluster.node_silent():
        story.within(60).sees("the node is Unknown", lambda: story.ready_of_node(NODE) == "Unknown")
        story.within(60).ready(0)
        assert [story.answers(f"{each['status']['podIP']}:8080") for each in story.pods()] == [200] * 3
        story.within(60).verdict("refused", "breaker")
        told = observers(story.within(60))
        assert "1 of 1 nodes do not report" in told["reason"]

    story.within(60).sees("the node reports", lambda: story.ready_of_node(NODE) == "True")
    story.within(60).ready(3)
    assert story.within(60).ends("no-action", service="observer")["id"] == told["id"]
    story.within(60).sees("the services are well", lambda: story.service("web-service").get("healthy") is True)
    assert [each["service"] for each in story.daemon.incidents()].count("observer") == 1, story.state()
    told_of_it = story.daemon.rows(f"SELECT kind FROM notices WHERE incident = '{told['id']}' ORDER BY id")
    assert told_of_it == [("open",), ("no-action",)], story.daemon.notices()
    assert story.writes() == []
    assert story.uids() == before


def test_while_our_own_access_to_the_api_is_cut_nothing_is_done_one_incident_says_so_and_then_what_is_still_needed(
    own_cluster: RealCluster, faults: Faults, web: str, wire: Wire, production: str, daemon: StartDaemon, tmp_path: Path
) -> None:
    """B6, E31, P6: the cluster is well but for one pod, which is deleted once, when the daemon sees again."""
    behind = {"kubeconfig": through(wire, own_cluster, tmp_path), "environment": TOLD_SOON}
    story = ClusterStory(own_cluster, production, daemon(**behind)).begin(good="web-service")
    victim = story.pods()[0]

    story.at("our access is cut", lambda: cut(wire))
    story.at("a pod stops to answer", lambda: faults.make_unready(victim)).within(30).ready(2)
    story.at("an alert fires", lambda: story.alert("firing", about(victim)))
    told = observers(story.within(60))
    assert "the watch of" in told["reason"]
    assert story.writes() == []
    assert [each["service"] for each in story.daemon.incidents()] == ["observer"], story.state()

    story.at("our access is back", lambda: give_back(wire))
    story.within(90).ready(3).at("the alert is resolved", lambda: story.alert("resolved", about(victim)))
    assert story.within(60).ends("no-action", service="observer")["id"] == told["id"]
    story.within(90).ends("recovered", service="web-service")
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert sorted(each["service"] for each in story.daemon.incidents()) == ["observer", "web-service"]


def observers(story: ClusterStory) -> Json:
    """Expect the incident about the observer, and return it."""

    def is_told() -> bool:
        return any(each["kind"] == "observer" for each in story.daemon.incidents())

    story.sees("a person is told that what is seen is in doubt", is_told)
    [found] = [each for each in story.daemon.incidents() if each["kind"] == "observer"]
    assert (found["state"], found["closed"]) == ("open", None)
    print(found["reason"])
    return found


def through(wire: Wire, cluster: RealCluster, folder: Path) -> Path:
    """Write the daemon's kubeconfig with the wire in the place of the API server."""
    own = Access.read(kubeconfig(cluster, "default"))
    return replace(own, server=f"https://127.0.0.1:{wire.port}").write(folder / "through-the-wire.kubeconfig")


def cut(wire: Wire) -> None:
    """Let nobody through, and end what is open."""
    wire.to = free_port()
    wire.cut()


def give_back(wire: Wire) -> None:
    """Let the wire lead to the API server again."""
    wire.to = API_PORT


def about(pod: Object) -> dict[str, str]:
    """Return the labels of an alert about a pod."""
    name = pod["metadata"]["name"]
    return {"alertname": "KubePodNotReady", "namespace": "production", "pod": name, "severity": "warning"}
