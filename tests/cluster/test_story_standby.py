"""A primary and a standby that streams from it: one that is stuck is brought back, one that answers is promoted by a person."""

from pathlib import Path

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.database import catalog
from tests.cluster.story import ClusterStory, Json, log_lines
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.images import POSTGRES
from tests.harness.waiting import wait_for

PRIMARY, STANDBY = "database-0", "database-1"
RULE = "database-replication-lost"
SHOP = (
    "CREATE DATABASE app",
    # A standby that hangs is noticed by its primary after a minute otherwise.
    "ALTER SYSTEM SET wal_sender_timeout = '2s'",
    "SELECT pg_reload_conf()",
)
REFUSED = "stopped at restore/alone: No standby answers; one that does is promoted by a person: not met"
WRITTEN = ("jobs", "statefulsets", "deployments", "persistentvolumes", "persistentvolumeclaims")


@pytest.fixture
def pair(cluster: RealCluster, production: str) -> str:
    """Run a primary and a real standby of it, and return their namespace."""
    cluster.load_images(POSTGRES)
    cluster.apply(*manifests.postgres_pair(production))
    cluster.kubectl("rollout", "status", "statefulset/database", "-n", production, "--timeout=90s")
    for statement in SHOP:
        ask(cluster, PRIMARY, statement)
    ask(cluster, PRIMARY, "CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n", "app")
    return production


def test_a_standby_that_hangs_is_restarted_and_one_that_answers_is_not_restored_over(
    cluster: RealCluster, faults: Faults, pair: str, daemon: StartDaemon, tmp_path: Path
) -> None:
    """P6: replication is lost and streams again; then the primary's data are gone, and the standby has them."""
    story = ClusterStory(cluster, pair, daemon(catalog=catalog(tmp_path / "catalog", standbys=1)), app="database")
    wait_for(lambda: story.service("database").get("healthy"), within=30, describe=story.state)
    story.begin()
    before = cluster.get("pod", STANDBY, pair)

    story.at("the standby is cut off", lambda: faults.hang(before, "postgres: walreceiver"))
    story.within(30).sees("replication is lost", lambda: said_of_replication(story)[-1:] == [False])
    story.at("all of it hangs", lambda: faults.hang(before, "postgres"))
    incident = story.within(120).ends("recovered")
    assert RULE in {each["signal"]["rule"] for each in story.daemon.incident(incident["id"])["signals"]}
    assert story.deleted_by_daemon() == [before["metadata"]["uid"]]
    story.within(30).sees("it streams", lambda: said_of_replication(story)[-1:] == [True])
    assert ask(cluster, PRIMARY, "SELECT state FROM pg_stat_replication") == "streaming"

    claims = places(cluster, pair)
    story.at("the primary is lost with its volume", lambda: lose_primary(cluster, faults, pair))
    story.within(60).sees("another incident", lambda: len(story.daemon.incidents()) == 2)
    incident = story.within(120).ends("needs-operator")
    assert REFUSED in incident["reason"], incident["reason"]
    assert {kind: story.written_by_daemon(kind) for kind in WRITTEN} == {kind: [] for kind in WRITTEN}
    assert story.deleted_by_daemon() == [before["metadata"]["uid"]]
    assert places(cluster, pair) == claims
    assert ask(cluster, STANDBY, "SELECT pg_is_in_recovery()::text, count(*) FROM orders", "app") == "true|500"


def lose_primary(cluster: RealCluster, faults: Faults, namespace: str) -> None:
    """Take the primary's volume away, and its pod, which cannot start again."""
    faults.lose_volume(cluster.get("pvc", f"data-{PRIMARY}", namespace))
    cluster.api.delete("pod", PRIMARY, namespace, grace=0)


def said_of_replication(story: ClusterStory) -> list[bool | None]:
    """Return what the daemon has said of its question about replication, the newest last: met, not met, no answer."""
    lines = [each for each in log_lines(story.daemon) if each["event"] == "check result changed"]
    return [each["met"] for each in lines if each["rule"] == RULE]


def places(cluster: RealCluster, namespace: str) -> dict[str, tuple[str, str]]:
    """Return which claim it is that lies on which volume, by the claim's name."""
    found: list[Json] = cluster.list("pvc", namespace)
    return {each["metadata"]["name"]: (each["metadata"]["uid"], each["spec"]["volumeName"]) for each in found}


def ask(cluster: RealCluster, pod: str, statement: str, database: str = "postgres") -> str:
    """Do a statement in a pod of the database."""
    words = ("psql", "-XAtU", "postgres", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement)
    return cluster.kubectl("exec", pod, "-n", "production", "-c", "postgres", "--", *words).strip()
