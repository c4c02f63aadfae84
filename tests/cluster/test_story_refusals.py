"""Case 8: what is only said, not acted on: a volume that is not bound, and alerts about what is not a service's own."""

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import ClusterStory
from tests.harness import manifests
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.images import PAUSE

CLAIM = "web-app-uploads"
LOOPS = {"alertname": "KubePodCrashLooping", "severity": "warning", "namespace": "production"}
OF_DATABASE = {"alertname": "PostgreSQLDown", "namespace": "production"}
"""What a rule of the database takes alone: the one that every service gets asks for a severity."""


@pytest.fixture
def system_pod(cluster: RealCluster) -> Iterator[str]:
    """Run a pod in kube-system, and return its name."""
    cluster.apply(bare_pod("kube-system", "of-the-cluster", app="dns"))
    yield "of-the-cluster"
    cluster.api.delete("pod", "of-the-cluster", "kube-system", grace=0)


@pytest.mark.heart
def test_a_claim_that_is_pending_and_later_lost_is_told_and_left_alone(
    cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon
) -> None:
    """P9: signal, rule and verdict, each time; no restart mends a volume."""
    story = ClusterStory(cluster, production, daemon(durations=0.05)).begin(good="web-service")
    before = told_by_watch(story)  # of the services whose workloads are not there
    volume, claim = manifests.volume(production, claim=CLAIM)

    story.at("a claim waits for its volume", lambda: cluster.apply(claim))
    first = story.within(30).verdict("observed", "mode", rule="web-volume-not-bound")
    story.at("the volume is made", lambda: cluster.apply(volume))
    story.within(30).sees("the claim is bound", lambda: phase_of(cluster, production) == "Bound")
    story.sees("its signal is resolved", lambda: told_by_watch(story) == before + 2)
    story.at("the volume is lost", lambda: faults.lose_volume(cluster.get("pvc", CLAIM, production)))
    story.within(30).sees("the claim is lost", lambda: phase_of(cluster, production) == "Lost")
    second = story.within(30).verdict("observed", "mode", rule="web-volume-not-bound", after=first)

    assert second["signal"] != first["signal"]
    assert told_by_watch(story) == before + 3
    assert story.daemon.incidents() == []
    assert story.written_by_daemon("persistentvolumeclaims") == story.written_by_daemon("pods") == []


@pytest.mark.heart
def test_alerts_about_what_is_not_the_services_own_are_refused_each_for_its_reason(
    cluster: RealCluster, web: str, system_pod: str, production: str, daemon: StartDaemon
) -> None:
    """A20: an alert's labels only say where to look; what they name must be a pod of the service, and come back."""
    story = ClusterStory(cluster, production, daemon(durations=0.05)).begin(good="web-service")
    own = story.pods()[0]["metadata"]["name"]
    cluster.apply(bare_pod(production, "by-hand", app="web-app"))

    story.at("a pod that does not exist", lambda: story.alert("firing", {**LOOPS, "pod": "long-gone"}))
    story.within(20).verdict("refused", "no-such-object")
    elsewhere = {**LOOPS, "namespace": "kube-system", "pod": system_pod}
    story.at("a pod of the cluster itself", lambda: story.alert("firing", elsewhere))
    story.within(20).verdict("refused", "protected")
    story.at("a pod that nobody makes anew", lambda: story.alert("firing", {**LOOPS, "pod": "by-hand"}))
    story.within(20).verdict("refused", "bare-pod")
    story.at("a pod of another service", lambda: story.alert("firing", {**OF_DATABASE, "pod": own}))
    story.within(20).verdict("refused", "not-of-the-service")

    assert story.daemon.incidents() == []
    assert story.written_by_daemon("pods") == story.written_by_daemon("deployments") == []
    assert story.why({**LOOPS, "pod": own, "severity": "info"})["web-service-alerts"] == (
        'no: label severity expected =~"warning|critical", found "info"'
    )
    assert "bare pod" in story.why({**LOOPS, "pod": "by-hand"})["web-service-alerts"]
    assert story.why({**LOOPS, "pod": own})["web-service-alerts"].startswith("matches: started (matched)")


def told_by_watch(story: ClusterStory) -> float:
    """Return how many signals the daemon's watch has given: that something began, that it ended."""
    return story.counted("kintsugi_signals_received_total", source="watch")


def phase_of(cluster: RealCluster, namespace: str) -> str:
    """Return the claim's phase."""
    return str(cluster.get("pvc", CLAIM, namespace)["status"]["phase"])


def bare_pod(namespace: str, name: str, *, app: str) -> Object:
    """Return a pod without a controller."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": {
            "containers": [{"name": "main", "image": PAUSE, "imagePullPolicy": "Never"}],
            "terminationGracePeriodSeconds": 1,
        },
    }
