"""The product's own image on a real Kubernetes: the daemon and the worker run from it, and may do no more than they must."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kintsugi_restore.worker import PG_MAJOR
from tests.cluster.conftest import PATIENT
from tests.cluster.story import ClusterStory
from tests.harness import deployed_daemon
from tests.harness.cluster import RealCluster
from tests.harness.deployed_daemon import UID, DeployedDaemon, security
from tests.harness.faults import Faults
from tests.harness.product_image import archive, configuration, paths
from tests.harness.waiting import wait_for

LABELS = ("title", "description", "version", "revision", "source", "licenses")
QUESTIONS = """\
id -u
id -g
pg_restore --version
psql --version
kintsugi --version
for place in / /opt/kintsugi /opt/kintsugi/lib /usr/local/bin /var/lib/kintsugi; do
  touch $place/x 2>/dev/null && echo "$place can be written"
done
touch /tmp/x && echo /tmp can be written
[ -e /var/run/secrets/kubernetes.io ] && echo a token of Kubernetes is here
command -v pip gcc cc make kubesim
python -c "import kubesim" 2>/dev/null && echo the embedded cluster is here
true
"""


@pytest.fixture
def deployed(cluster: RealCluster, product_image: str, tmp_path: Path) -> Iterator[DeployedDaemon]:
    """Return a daemon that runs from the image, ready; it goes with the test."""
    daemon = DeployedDaemon(
        cluster=cluster,
        image=product_image,
        kubeconfig=cluster.kubeconfig,
        folder=tmp_path,
        durations=0.05,
        deadlines=PATIENT,
    )
    try:
        yield daemon.start()
    finally:
        daemon.stop()


@pytest.mark.heart
def test_the_daemon_heals_a_crash_looping_pod_from_its_image(
    cluster: RealCluster, faults: Faults, web: str, production: str, deployed: DeployedDaemon
) -> None:
    """P8: with no more rights than docs/least-rights.yaml grants and under the pod security standard `restricted`."""
    story = ClusterStory(cluster, production, deployed, user=deployed_daemon.USER).begin(good="web-service")
    victim = story.pods()[0]

    story.at("the pod crash-loops", lambda: faults.crash_loop(victim))

    story.within(90).ends("recovered")
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert story.answers(web) == 200
    assert deployed.execute("id", "-u").strip() == str(UID)
    [pod] = deployed.pods()
    assert [each["restartCount"] for each in pod["status"]["containerStatuses"]] == [0]


def test_a_job_of_the_image_runs_the_worker(cluster: RealCluster, product_image: str, namespace: str) -> None:
    """It has no token of Kubernetes, answers by JSON lines on its log, and drops no database but a drill's."""
    command = (
        "python",
        "-m",
        "kintsugi_restore.worker",
        "drop",
        "--database",
        "shop",
        "--host",
        "127.0.0.1",
        "--user",
        "shop",
    )
    said, code = ended(cluster, namespace, job("worker", product_image, *command))
    last = json.loads(said.splitlines()[-1])
    assert (code, last["failed"]["kind"]) == (1, "refused"), said
    assert "not the scratch database of a drill" in last["failed"]["reason"]


def test_a_container_of_the_image_can_do_nothing_but_its_work(
    cluster: RealCluster, product_image: str, namespace: str
) -> None:
    """No root, nothing to write but /tmp, no compiler, no installer; the client programs are those of PG_MAJOR."""
    said, code = ended(cluster, namespace, job("questions", product_image, "sh", "-c", QUESTIONS))
    lines = said.splitlines()
    assert (code, lines[:2]) == (0, [str(UID)] * 2), said
    assert [re.sub(r"\.\d+.*", "", line) for line in lines[2:4]] == [
        f"{program} (PostgreSQL) {PG_MAJOR}" for program in ("pg_restore", "psql")
    ]
    assert lines[4:] == ["kintsugi 0.1.0", "/tmp can be written"]


def test_the_image_tells_what_it_is(own_cluster: RealCluster, product_image: str) -> None:
    """Labels of the Open Container Initiative, the user by number, and its size for whoever reads the run."""
    built = archive()
    configured = configuration(built)
    assert configured["User"] == f"{UID}:{UID}"
    assert (configured["Entrypoint"], configured["Cmd"]) == (["kintsugi"], ["run"])
    assert {f"org.opencontainers.image.{label}" for label in LABELS} <= configured["Labels"].keys()
    print(f"the image is {built.stat().st_size / 1e6:.0f} MB large")
    assert built.stat().st_size < 600e6


def test_the_embedded_cluster_is_in_no_layer_of_the_image(own_cluster: RealCluster, product_image: str) -> None:
    """It is for demonstrations and tests; what it shares with the daemon is there."""
    found = {part for path in paths(archive()) for part in Path(path).parts}
    assert {"kintsugi", "kubeobjects"} <= found
    assert [part for part in found if part.startswith("kubesim")] == []


def job(name: str, image: str, *command: str) -> dict[str, Any]:
    """Return a Job that runs one command of the image once, as the daemon's own Jobs do."""
    of_pod, of_container = security()
    container = {
        "name": name,
        "image": image,
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": of_container,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": of_pod,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def ended(cluster: RealCluster, namespace: str, made: dict[str, Any]) -> tuple[str, int]:
    """Run a Job to its end; return its log and the exit code of its container."""
    name = made["metadata"]["name"]
    cluster.apply({**made, "metadata": {**made["metadata"], "namespace": namespace}})

    def finished() -> dict[str, Any] | None:
        pods = cluster.list("pod", namespace, selector=f"job-name={name}")
        states = [each["state"].get("terminated") for pod in pods for each in pod["status"]["containerStatuses"]]
        return states[0] if states else None

    state = wait_for(finished, within=120, describe=lambda: cluster.list("pod", namespace))
    return cluster.kubectl("-n", namespace, "logs", f"job/{name}"), state["exitCode"]
