"""What the stories about deaths rely on."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.crashes import alert_the_doomed, is_dead
from tests.cluster.story import ClusterStory
from tests.harness.cluster import RealCluster
from tests.harness.daemon import DaemonProcess
from tests.harness.waiting import WaitedTooLongError

LABELS = {"alertname": "KubePodCrashLooping"}
HANGS_UP = """
import os, signal, socket, struct, sys, time

server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
connection.close()
time.sleep(0.3)
if sys.argv[1] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
signal.pause()
"""
"""A daemon whose connections are closed before its end can be seen, as the kernel does it to one that is killed."""


@pytest.fixture
def story(request: pytest.FixtureRequest, cluster: RealCluster, tmp_path: Path) -> Iterator[ClusterStory]:
    """Return a story of a daemon that hangs up, and then dies or lives on."""
    with subprocess.Popen(
        [sys.executable, "-c", HANGS_UP, request.param], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        daemon = DaemonProcess(kubeconfig=tmp_path, folder=tmp_path, process=process)
        daemon.url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        yield ClusterStory(cluster, "default", daemon)
        process.kill()


@pytest.mark.parametrize("story", ["dies"], indirect=True)
def test_a_daemon_that_hangs_up_and_only_then_is_seen_dead_was_doomed(story: ClusterStory) -> None:
    alert_the_doomed(story, "resolved", LABELS)
    assert is_dead(story)


@pytest.mark.parametrize("story", ["lives"], indirect=True)
def test_a_daemon_that_hangs_up_and_lives_on_is_told(story: ClusterStory) -> None:
    with pytest.raises(WaitedTooLongError, match="was dead, or died of this"):
        alert_the_doomed(story, "resolved", LABELS, within=1)
