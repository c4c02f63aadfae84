"""Case 6: the daemon, its disk or its database is gone while an alert fires: nothing is done meanwhile, nothing is lost.

Two of three pods run, by a person's will, so that no watch has anything to say: whatever is done is done for the alert.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import OF_WEB, ClusterStory, log_lines
from tests.harness import disks, network
from tests.harness.cluster import RealCluster
from tests.harness.fixtures import StartAlertmanager
from tests.harness.postgres import Postgres

MISMATCH = {"alertname": "KubeDeploymentReplicasMismatch", **OF_WEB}
A_WHILE = 2
"""Seconds in which the daemon would have acted, had it been able to write that down."""


def test_with_the_disk_full_webhooks_are_refused_and_nothing_is_done_until_there_is_room(
    cluster: RealCluster,
    two: str,
    production: str,
    daemon: StartDaemon,
    alertmanager: StartAlertmanager,
    small_disk: Path,
) -> None:
    """D7, P1, P8: no intent can be written, so nothing is scaled; Alertmanager comes again after each 503."""
    started = daemon(ledger=f"sqlite:///{small_disk / 'ledger.db'}")
    story, began = ClusterStory(cluster, production, started).begin(good="web-service"), datetime.now(UTC)
    sender = alertmanager(f"{story.daemon.url}/alertmanager")

    story.at("the disk is full", lambda: fill(small_disk))
    story.at("the alert fires", lambda: sender.fire(MISMATCH, starts_at=began))
    nothing_is_done(story)
    story.at("there is room again", (small_disk / "ballast").unlink)
    story.within(30).ready(5).at("the alert is resolved", lambda: sender.resolve(MISMATCH, starts_at=began))

    is_complete(story)


@pytest.mark.heart
def test_without_its_postgresql_nothing_is_done_and_a_run_under_way_goes_on_when_it_is_back(
    cluster: RealCluster,
    two: str,
    production: str,
    daemon: StartDaemon,
    alertmanager: StartAlertmanager,
    postgres_server: Postgres,
    postgres: str,
) -> None:
    """D1, C12, P1, P8: gone twice: before anything was begun, and in the middle of the run."""
    story, began = (
        ClusterStory(cluster, production, daemon(durations=0.05, ledger=postgres)).begin(good="web-service"),
        datetime.now(UTC),
    )
    sender = alertmanager(f"{story.daemon.url}/alertmanager")

    try:
        story.at("PostgreSQL is gone", postgres_server.stop)
        story.at("the alert fires", lambda: sender.fire(MISMATCH, starts_at=began))
        nothing_is_done(story)
        story.at("PostgreSQL is back", postgres_server.start)
        story.within(30).reaches("running")
        story.at("PostgreSQL is gone in the middle of it", postgres_server.stop)
        story.within(30).sees("the run waits for it", lambda: says(story, "run waits for the ledger"))
    finally:
        postgres_server.start()
    story.within(30).ready(5).at("the alert is resolved", lambda: sender.resolve(MISMATCH, starts_at=began))

    is_complete(story)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of a few megabytes."""
    if network.run_folder() is None:
        pytest.skip("a disk can be mounted only inside `python -m tests.harness.network -- COMMAND`")
    folder = tmp_path / "disk"
    folder.mkdir()
    with disks.mounted(folder, options="size=16m"):
        yield folder


def fill(disk: Path) -> None:
    """Leave no room; the daemon may write meanwhile."""
    free = os.statvfs(disk)
    with suppress(OSError):
        (disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_bsize))
    assert os.statvfs(disk).f_bavail == 0


def nothing_is_done(story: ClusterStory) -> None:
    """Expect webhooks to be answered 503, the daemon to live on, and nothing to be changed."""
    story.within(30).sees(
        "webhooks are answered 503", lambda: story.counted("kintsugi_webhook_answers_total", status="503") >= 2
    )
    story.stays(lambda: story.written_by_daemon("deployments") == [], A_WHILE, story.state)
    assert story.daemon.get("/healthz")[0] == 200
    assert story.counted("kintsugi_webhook_answers_total", status="200") == 0


def is_complete(story: ClusterStory) -> None:
    """Expect one run, which scaled once, with the alert as its one signal."""
    incident = story.within(60).ends("recovered")
    assert [each["id"] for each in story.daemon.incidents()] == [incident["id"]]
    assert len(story.daemon.incident(incident["id"])["runs"]) == 1
    (alert,) = story.signals(incident, "alertmanager")
    assert alert["ended"]
    assert [(each.verb, each.name) for each in story.written_by_daemon("deployments")] == [
        ("patch", "web-app-deployment")
    ]
    assert story.counted("kintsugi_signals_pending") == 0


def says(story: ClusterStory, event: str) -> bool:
    """Return whether the daemon has logged something."""
    return any(each.get("event") == event for each in log_lines(story.daemon))
