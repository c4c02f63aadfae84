"""Case 4: the same through real Alertmanagers, which tell one thing many times; and an alert that goes on for no reason."""

from datetime import UTC, datetime

from kubeobjects.predicates import CRASH_LOOP_RESTARTS
from tests.cluster.conftest import HASTY, StartDaemon
from tests.cluster.story import ClusterStory
from tests.harness.alertmanager import Alertmanager, Timing
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.fixtures import StartAlertmanager

IMPATIENT = Timing(repeat_interval="1s")
CRASH_LOOPING = {"alertname": "KubePodCrashLooping", "namespace": "production", "severity": "warning"}
MISMATCH = {
    "alertname": "KubeDeploymentReplicasMismatch",
    "namespace": "production",
    "deployment": "web-app-deployment",
    "severity": "warning",
}


def test_an_alert_that_many_alertmanagers_send_many_times_starts_one_run(
    cluster: RealCluster,
    faults: Faults,
    web: str,
    production: str,
    daemon: StartDaemon,
    alertmanager: StartAlertmanager,
) -> None:
    """A1, A2, A18, P2: two peers in gossip that repeat themselves, and one that was cut off and never hears of the end."""
    story = ClusterStory(cluster, production, daemon(durations=0.06)).begin(good="web-service")
    webhook = f"{story.daemon.url}/alertmanager"
    pair = alertmanager(webhook, replicas=2, timing=IMPATIENT)
    cut_off = alertmanager(webhook, timing=IMPATIENT)
    victim = story.pods()[0]
    labels, began = {**CRASH_LOOPING, "pod": victim["metadata"]["name"]}, datetime.now(UTC)

    story.at("a pod crash-loops", lambda: faults.crash_loop(victim))
    # Between its first crashes a container runs, and nobody can tell: what the daemon finds must be beyond doubt.
    story.within(30).held_back(victim, restarts=CRASH_LOOP_RESTARTS)
    story.at("all three Alertmanagers fire", lambda: fire(labels, began, pair, cut_off))
    story.within(30).verdict("started", rule="web-service-alerts")
    story.within(30).sees("it was told many times", lambda: told(story) >= 6)
    story.within(30).ready(3).at("the pair resolves it", lambda: pair.resolve(labels, starts_at=began))

    incident = story.within(60).ends("recovered")
    before = told(story)
    story.within(30).sees("the third goes on telling", lambda: told(story) >= before + 3)
    (signal,) = story.signals(incident, "alertmanager")
    assert signal["ended"]
    assert [each["id"] for each in story.daemon.incidents()] == [incident["id"]]
    assert len(story.daemon.incident(incident["id"])["runs"]) == 1
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert story.counted("kintsugi_signals_pending") == 0
    assert story.answers(web) == 200


def test_an_alert_that_goes_on_although_all_looks_well_calls_a_person_and_nothing_is_taken_back(
    cluster: RealCluster,
    faults: Faults,
    web: str,
    production: str,
    daemon: StartDaemon,
    alertmanager: StartAlertmanager,
) -> None:
    """Health alone does not close an incident; and what was scaled for it stays, for the service is well."""
    story = ClusterStory(cluster, production, daemon(deadlines=HASTY, durations=0.01))
    story.at("two pods are left", lambda: story.scale(2)).within(30).ready(2).begin(good="web-service")
    lone = alertmanager(f"{story.daemon.url}/alertmanager")

    story.at("one of them stops to answer", lambda: faults.make_unready(story.pods()[0]))
    story.within(20).ready(1).at("the alert fires", lambda: lone.fire(MISMATCH))
    story.within(60).ready(5)

    incident = story.within(60).ends("ineffective")
    assert "the trigger persists; a person is needed" in incident["reason"]
    assert "kubectl scale" in incident["reason"]
    (signal,) = story.signals(incident, "alertmanager")
    assert not signal["ended"]
    assert story.deployment()["spec"]["replicas"] == 5
    assert len(story.written_by_daemon("deployments")) == 1
    assert story.answers(web) == 200


def told(story: ClusterStory) -> float:
    """Return how many webhooks have been taken."""
    return story.counted("kintsugi_webhook_answers_total", status="200")


def fire(labels: dict[str, str], began: datetime, *alertmanagers: Alertmanager) -> None:
    """Let the same alert, with the same beginning, fire at all."""
    for each in alertmanagers:
        each.fire(labels, starts_at=began)
