"""Case 6: the daemon, its disk or its database is gone while things happen: nothing is done meanwhile, nothing is lost."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.story import Json, Story, log_lines
from tests.harness import network
from tests.harness.api import Object
from tests.harness.cluster import Cluster
from tests.harness.faults import Faults
from tests.harness.fixtures import StartAlertmanager
from tests.harness.postgres import Postgres

DURATIONS = 0.01
LONGER_THAN_FOR = 3
"""Seconds: by then a rule with `for: 2m` would have acted."""


def test_what_alertmanager_sends_while_the_daemon_is_down_is_not_lost(
    cluster: Cluster,
    faults: Faults,
    web: str,
    production: str,
    daemon: StartDaemon,
    alertmanager: StartAlertmanager,
) -> None:
    """D1, P1: it is sent in vain, again and again, and taken when the daemon is back; the pod is healed once."""
    story = Story(cluster, production, daemon(durations=DURATIONS)).begin(good="web-service")
    sender = alertmanager(f"{story.daemon.url}/alertmanager")
    victim, began = story.pods()[0], datetime.now(UTC)

    story.at("the daemon is killed", story.daemon.kill)
    story.at("a pod crash-loops", lambda: faults.crash_loop(victim))
    story.at("the alert fires", lambda: sender.fire(about(victim), starts_at=began))
    story.within(30).held_back(victim).sees("it was sent in vain", lambda: sender.in_vain() >= 3)
    story.at("the daemon is started again", lambda: story.daemon.start().wait_ready())
    story.within(30).reaches("verifying")
    story.at("the alert is resolved", lambda: sender.resolve(about(victim), starts_at=began))

    incident = story.within(60).ends("recovered")
    is_complete(story, incident, victim)


def test_with_the_disk_full_webhooks_are_refused_and_nothing_is_done_until_there_is_room(
    cluster: Cluster,
    faults: Faults,
    web: str,
    production: str,
    daemon: StartDaemon,
    alertmanager: StartAlertmanager,
    small_disk: Path,
) -> None:
    """D7, P1, P8: no intent can be written, so no pod is deleted; Alertmanager comes again after each 503."""
    ledger = f"sqlite:///{small_disk / 'ledger.db'}"
    story = Story(cluster, production, daemon(durations=DURATIONS, ledger=ledger)).begin(good="web-service")
    sender = alertmanager(f"{story.daemon.url}/alertmanager")
    victim, began = story.pods()[0], datetime.now(UTC)

    story.at("the disk is full", lambda: fill(small_disk))
    story.at("a pod crash-loops", lambda: faults.crash_loop(victim))
    story.at("the alert fires", lambda: sender.fire(about(victim), starts_at=began))
    nothing_is_done(story, victim)
    story.at("there is room again", (small_disk / "ballast").unlink)
    story.within(30).reaches("verifying")
    story.at("the alert is resolved", lambda: sender.resolve(about(victim), starts_at=began))

    incident = story.within(60).ends("recovered")
    is_complete(story, incident, victim)


def test_without_its_postgresql_nothing_is_done_and_a_run_under_way_goes_on_when_it_is_back(
    cluster: Cluster,
    faults: Faults,
    web: str,
    production: str,
    daemon: StartDaemon,
    alertmanager: StartAlertmanager,
    postgres_server: Postgres,
    postgres: str,
) -> None:
    """D1, C12, P1, P8: gone twice: before anything was begun, and in the middle of the run."""
    story = Story(cluster, production, daemon(durations=DURATIONS, ledger=postgres)).begin(good="web-service")
    sender = alertmanager(f"{story.daemon.url}/alertmanager")
    victim, began = story.pods()[0], datetime.now(UTC)

    try:
        story.at("PostgreSQL is gone", postgres_server.stop)
        story.at("a pod crash-loops", lambda: faults.crash_loop(victim))
        story.at("the alert fires", lambda: sender.fire(about(victim), starts_at=began))
        nothing_is_done(story, victim)
        story.at("PostgreSQL is back", postgres_server.start)
        story.within(30).reaches("verifying")
        story.at("PostgreSQL is gone again", postgres_server.stop)
        story.within(30).sees("the run waits for it", lambda: says(story, "a run waits for the ledger"))
    finally:
        postgres_server.start()
    story.at("the alert is resolved", lambda: sender.resolve(about(victim), starts_at=began))

    incident = story.within(60).ends("recovered")
    is_complete(story, incident, victim)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of a few megabytes."""
    if network.run_folder() is None:
        pytest.skip("a disk can be mounted only inside `python -m tests.harness.network -- COMMAND`")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leave no room; the daemon may write meanwhile."""
    free = os.statvfs(disk)
    with suppress(OSError):
        (disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_bsize))
    assert os.statvfs(disk).f_bavail == 0


def about(pod: Object) -> dict[str, str]:
    """Return the labels of an alert about a pod."""
    name = pod["metadata"]["name"]
    return {"alertname": "KubePodCrashLooping", "namespace": "production", "pod": name, "severity": "warning"}


def nothing_is_done(story: Story, victim: Object) -> None:
    """Expect webhooks to be answered 503, the daemon to live on, and the pod to be left alone however ill it is."""
    story.within(30).sees(
        "webhooks are answered 503", lambda: story.counted("kintsugi_webhook_answers_total", status="503") >= 2
    )
    story.within(30).sees("the watch cannot keep what it sees", lambda: says(story, "conditions wait for the ledger"))
    story.within(30).held_back(victim)
    story.stays(lambda: story.deleted_by_daemon() == [], LONGER_THAN_FOR, story.state)
    assert story.daemon.get("/healthz")[0] == 200
    assert story.counted("kintsugi_webhook_answers_total", status="200") == 0


def is_complete(story: Story, incident: Json, victim: Object) -> None:
    """Expect one run that healed the pod, with the alert among its signals and every signal judged."""
    assert [each["id"] for each in story.daemon.incidents()] == [incident["id"]]
    assert len(story.daemon.incident(incident["id"])["runs"]) == 1
    (alert,) = story.signals(incident, "alertmanager")
    assert alert["ended"]
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert story.counted("kintsugi_signals_unjudged") == 0


def says(story: Story, event: str) -> bool:
    """Tell whether the daemon has logged something."""
    return any(each.get("event") == event for each in log_lines(story.daemon))
