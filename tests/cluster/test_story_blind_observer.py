"""The observer is at fault and not what it observes: nothing is changed, and one incident says why."""

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import ClusterStory, Json
from tests.harness.cluster import RealCluster
from tests.harness.components import NODE

TOLD_SOON = {"KINTSUGI_KUBE__NOTIFY_AFTER": "2s"}


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


def observers(story: ClusterStory) -> Json:
    """Expect the incident about the observer, and return it."""

    def is_told() -> bool:
        return any(each["kind"] == "observer" for each in story.daemon.incidents())

    story.sees("a person is told that what is seen is in doubt", is_told)
    [found] = [each for each in story.daemon.incidents() if each["kind"] == "observer"]
    assert (found["state"], found["closed"]) == ("open", None)
    print(found["reason"])
    return found
