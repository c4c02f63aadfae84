"""The five checks of the database page, on a real PostgreSQL: healthy, killed, and of no answer."""

from collections.abc import Mapping, Sequence

import pytest

from tests.cluster.conftest import HASTY, StartDaemon
from tests.cluster.story import ClusterStory, Json
from tests.harness import manifests
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.daemon import DaemonProcess
from tests.harness.faults import Faults
from tests.harness.images import POSTGRES
from tests.harness.waiting import wait_for

DOWN = {"alertname": "PostgreSQLDown", "severity": "critical", "namespace": "production"}
CHECKS = ["pods", "volumes", "logs", "connect"]
VOLUMES = {"lost": False, "resized": False, "pending": True, "released": True}
"""Whether each step about volumes is met: a claim that only has the service's labels is noticed by its rule, and is not its own."""


@pytest.fixture
def database(cluster: RealCluster, production: str) -> str:
    """
    Run a real PostgreSQL with the application's database, ready, and return the name of its pod.

    It was started a second time since: a log that tells of an empty data folder would be a reason to ask for a restore.
    """
    cluster.load_images(POSTGRES)
    cluster.apply(*manifests.postgres(production))
    cluster.kubectl("rollout", "status", "statefulset/database", "-n", production, "--timeout=90s")
    first = pod_of(cluster, production)
    cluster.kubectl(*ask(production, "CREATE DATABASE app"))
    cluster.api.delete("pod", "database-0", production)

    def is_second() -> bool:
        pod = pod_of(cluster, production)
        return bool(pod["metadata"]["uid"] != first["metadata"]["uid"] and is_ready(pod))

    wait_for(is_second, within=90, describe=lambda: cluster.list("pod", production))
    return "database-0"


@pytest.mark.heart
def test_the_runbook_goes_as_on_its_page_and_a_healthy_database_is_left_alone(
    cluster: RealCluster, database: str, production: str, daemon: StartDaemon
) -> None:
    """P6, P8: every check of the page is asked, by its own command, and met; nothing is changed."""
    story = on_stage(cluster, production, daemon(durations=0.05))

    story.at("an alert about nothing", lambda: story.alert("firing", DOWN))
    incident = story.within(30).reaches("running")
    story.at("it ends", lambda: story.alert("resolved", DOWN))

    incident = story.within(90).ends("no-action")
    steps = {step["path"]: step for step in story.steps(incident)}
    asked = [*CHECKS, *VOLUMES]
    assert {path: steps[path]["met"] for path in asked} == dict.fromkeys(asked, True), why(steps)
    assert steps["pods"]["text"] == "kubectl get pods -n production -l app=database"
    assert steps["volumes"]["text"] == "kubectl get pv,pvc -n production"
    assert steps["logs"]["text"].startswith("kubectl logs -f ")
    assert steps["connect"]["text"].endswith("-- psql -U postgres -c 'SELECT 1'")
    assert steps["replication"]["state"] == "skipped"
    assert story.written_by_daemon("pods") == story.written_by_daemon("statefulsets") == []


@pytest.mark.heart
def test_a_postgres_that_was_killed_mends_itself_and_kintsugi_waits(
    cluster: RealCluster, faults: Faults, database: str, production: str, daemon: StartDaemon
) -> None:
    """Section 5, story 1: kill -9 in the pod; it is seen, waited for, nothing is done, and that is said."""
    story = on_stage(cluster, production, daemon(durations=0.05))
    before = pod_of(cluster, production)

    story.at("kill -9", lambda: faults.kill(before, "postgres"))
    story.at("the exporter tells", lambda: story.alert("firing", DOWN))
    story.within(30).sees("it has restarted", lambda: restarts(pod_of(cluster, production)) > restarts(before))
    story.within(60).sees("it answers again", lambda: is_ready(pod_of(cluster, production)))
    story.at("the exporter tells", lambda: story.alert("resolved", DOWN))

    incident = story.within(120).ends("no-action")
    assert "no change was needed" in incident["reason"]
    assert pod_of(cluster, production)["metadata"]["uid"] == before["metadata"]["uid"]
    assert story.deleted_by_daemon() == []
    connect = next(step for step in story.steps(incident) if step["path"] == "connect")
    assert connect["met"] is True


def test_a_database_that_runs_and_does_not_answer_is_found_by_our_own_question(
    cluster: RealCluster, database: str, production: str, daemon: StartDaemon
) -> None:
    """Its pod is ready and no exporter tells of it; no restart would help, none is made, and a person is called soon."""
    story = on_stage(cluster, production, daemon(deadlines=HASTY))

    closed = "ALTER DATABASE postgres WITH ALLOW_CONNECTIONS false"
    story.at("it takes nobody in", lambda: cluster.kubectl(*ask(production, closed, "-d", "template1")))

    started = story.within(60).verdict("started", rule="database-connection-failing")
    incident = story.within(120).ends("needs-operator")
    assert "the trigger on database persists, and no further action is available" in incident["reason"]
    assert started["reason"] == "matched"
    steps = {step["path"]: step for step in story.steps(incident)}
    assert (steps["pods"]["met"], steps["connect"]["met"], steps["restart"]["state"]) == (True, False, "skipped")
    assert "not currently accepting connections" in steps["connect"]["error"]
    assert story.deleted_by_daemon() == []


def why(steps: Mapping[str, Json]) -> str:
    """Return what each step came to."""
    return "\n".join(
        f"{path}: {each['state']} {each['met']} {each['text']}: {each['error']}" for path, each in steps.items()
    )


def on_stage(cluster: RealCluster, production: str, daemon: DaemonProcess) -> ClusterStory:
    """Begin a story on a healthy database."""
    story = ClusterStory(cluster, production, daemon, app="database")
    wait_for(lambda: story.service("database").get("healthy"), within=30, describe=story.state)
    return story.begin()


def pod_of(cluster: RealCluster, production: str) -> Object:
    """Return the database's pod."""
    return cluster.get("pod", "database-0", production)


def restarts(pod: Object) -> int:
    """Return how often its container was restarted."""
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def is_ready(pod: Object) -> bool:
    """Return whether its container is ready."""
    return bool(pod["status"]["containerStatuses"][0]["ready"])


def ask(production: str, statement: str, *more: str) -> Sequence[str]:
    """Return kubectl's words that run a statement in the database."""
    return ("exec", "database-0", "-n", production, "--", "psql", "-XAtU", "postgres", "-c", statement, *more)
