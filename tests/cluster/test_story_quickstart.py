"""docs/quickstart.md from its first command to its last: an application of nobody's rules, its first catalog, verdict and repair."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.kubectl import Object, kubectl, pod_of
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.images import PAUSE, WEB_GOOD
from tests.harness.registry import ADDRESS, Registry
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.cluster

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"
SCALE = "0.05"
"""Two minutes of the rules are six seconds."""


def cart(namespace: str) -> Object:
    """Describe a Deployment of two pods."""
    made = manifests.web_deployment(namespace, app="cart", replicas=2)
    made["metadata"]["name"] = "cart"
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["imagePullPolicy"] = "IfNotPresent"
    return made


def log_shipper(namespace: str) -> Object:
    """Describe a DaemonSet whose pods have a sidecar."""
    made = manifests.web_deployment(namespace, app="log-shipper")
    template = made["spec"]["template"]
    template["spec"]["containers"].append({"name": "rotator", "image": PAUSE, "imagePullPolicy": "Never"})
    metadata = {**made["metadata"], "name": "log-shipper"}
    spec = {"selector": made["spec"]["selector"], "template": template}
    return {**made, "kind": "DaemonSet", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Somebody who follows the page in a folder of their own."""

    folder: Path
    namespace: str
    kubectl: Path

    def block(self, words: str) -> str:
        """Return the commands of the page that have these words, in the namespace of this test."""
        blocks: list[str] = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        [found] = [block for block in blocks if words in block]
        return found.replace("-n shop", f"-n {self.namespace}").replace("docker.io/library", ADDRESS)

    def runs(self, words: str) -> str:
        """Run such a block to its end; return what it printed."""
        done = subprocess.run(
            self._shell(words), cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def keeps_running(self, words: str) -> Iterator[Path]:
        """Run such a block in another terminal, until the end; yield the file with what it says."""
        log = self.folder / "terminal.log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                self._shell(words),
                cwd=self.folder,
                env=self._environment(),
                stdout=written,
                stderr=written,
                start_new_session=True,
            )
        try:
            yield log
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)

    def _shell(self, words: str) -> list[str]:
        return ["bash", "-eu", "-o", "pipefail", "-c", self.block(words)]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.folder),
            "KUBECONFIG": str(self.folder / ".kube" / "config"),
            "PATH": ":".join([str(Path(sys.executable).parent), str(self.kubectl.parent), os.environ["PATH"]]),
            "KINTSUGI_DURATIONS": SCALE,
        }


@pytest.fixture
def reader(cluster: RealCluster, tmp_path: Path) -> Iterator[Reader]:
    """Yield the reader, with a kubeconfig where the page expects one and the application in a namespace of its own."""
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").symlink_to(cluster.kubeconfig)
    with cluster.namespace("quickstart") as namespace:
        cluster.apply(cart(namespace), log_shipper(namespace))
        for workload in ("deployment/cart", "daemonset/log-shipper"):
            kubectl(cluster, namespace, f"kubectl rollout status {workload} --timeout=120s")
        yield Reader(folder=tmp_path, namespace=namespace, kubectl=cluster.kubectl_program)


def test_a_stranger_s_application_gets_a_first_catalog_a_first_verdict_and_a_first_repair(
    cluster: RealCluster, faults: Faults, reader: Reader
) -> None:
    """No document but those of `kintsugi init`; what is broken is said and left alone, and repaired in the mode `auto`."""
    assert "OK: 2 services, " in reader.runs("kintsugi init")
    with reader.keeps_running("openssl rand") as log:
        wait_for(
            lambda: "takes webhooks" in log.read_text(), within=90, describe=lambda: f"it is up:\n{log.read_text()}"
        )
        wait_for(
            lambda: len(re.findall(r"yes +yes", reader.runs("kintsugi signals"))) == 2,
            within=90,
            describe=lambda: f"both are healthy:\n{reader.runs('kintsugi signals')}",
        )
        wait_for(
            lambda: "revision 1: good since" in reader.runs("kintsugi signals"),
            within=120,
            describe=lambda: f"the revision is good:\n{reader.runs('kintsugi signals')}",
        )
        broken = pod_of(cluster, reader.namespace, "cart")
        faults.crash_loop(broken)
        wait_for(
            lambda: "observed" in reader.runs("kintsugi signals"),
            within=120,
            describe=lambda: f"the verdict:\n{reader.runs('kintsugi signals')}\n{log.read_text()[-3000:]}",
        )
        told = [line for line in reader.runs("kintsugi signals").splitlines() if "observed" in line]
    name = broken["metadata"]["name"]
    assert any(name in line and "cart-pods-unhealthy" in line for line in told), told
    assert not any("log-shipper" in line for line in told), told
    assert cluster.get("pod", name, reader.namespace)["metadata"]["uid"] == broken["metadata"]["uid"]
    with Registry().running(), reader.keeps_running("--mode auto") as log:
        recovers(reader, log, 1)
        reader.runs("kubectl set image")
        recovers(reader, log, 2)
    image = cluster.get("deployment", "cart", reader.namespace)["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == WEB_GOOD


def recovers(reader: Reader, log: Path, times: int) -> None:
    """Wait until so many incidents have ended well."""
    wait_for(
        lambda: len(re.findall("recovered", reader.runs("kintsugi incidents"))) == times,
        within=120,
        every=1,
        describe=lambda: f"{times} repairs:\n{reader.runs('kintsugi incidents')}\n{log.read_text()[-3000:]}",
    )
