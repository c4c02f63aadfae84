"""
Services of three lines, as `kintsugi init` writes them: what is broken is taken back, and what is only slow is left alone.

No shipped document names the application. What the real cluster shows of them is in tests/cluster/test_story_three_lines.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.scaffolding import WorkloadSelection, init
from kintsugi.settings import KubeSettings
from kubeobjects.resources import DEPLOYMENTS, PODS
from kubesim import EmbeddedCluster
from tests.harness import manifests
from tests.harness.daemon import DaemonProcess
from tests.harness.waiting import eventually
from tests.integration.process_stage import CLAIM_TEMPLATES, PYTHON

pytestmark = pytest.mark.long

NAMESPACE = "market"
FRONT, BACK, STORE = "front", "back", "store"
GOOD, CRASHING = "market:1", "market:crash"
SPEED, DURATIONS = 20.0, 0.03
TIMEOUT = 60.0

Json = dict[str, Any]


def workload(kind: str, name: str, image: str, *, replicas: int = 1, **pod: Any) -> Json:
    """Describe a workload of one container; `pod` are further keys of its pods."""
    whole = {"terminationGracePeriodSeconds": 5, "containers": [{"name": "main", "image": image}], **pod}
    claims = {"serviceName": name, "volumeClaimTemplates": CLAIM_TEMPLATES} if kind == "StatefulSet" else {}
    return manifests.workload(kind, NAMESPACE, name, labels(name), whole, replicas=replicas, **claims)


def labels(name: str) -> Mapping[str, str]:
    """Return the labels of a workload's pods."""
    return {"app.kubernetes.io/name": name}


@dataclass(frozen=True, kw_only=True)
class InitStage:
    """The cluster, the daemon, and what became of the application."""

    cluster: EmbeddedCluster
    daemon: DaemonProcess

    def found(self) -> Json:
        """Return the front end's Deployment."""
        found: Json | None = self.cluster.get(DEPLOYMENTS, FRONT, NAMESPACE)
        assert found is not None
        return found

    def template(self, **pod: Any) -> None:
        """Roll the front end out with other keys of its pods."""
        found = self.found()
        spec = found["spec"]["template"]["spec"]
        self.cluster.apply(
            {**found, "spec": {**found["spec"], "template": {**found["spec"]["template"], "spec": {**spec, **pod}}}}
        )

    def image(self, image: str) -> None:
        """Roll out an image of the front end."""
        container = self.found()["spec"]["template"]["spec"]["containers"][0]
        self.template(containers=[{**container, "image": image}])

    def runs(self) -> str:
        """Return the image that the front end is to run."""
        return str(self.found()["spec"]["template"]["spec"]["containers"][0]["image"])

    def changes(self) -> list[str]:
        """Return what the daemon has changed of the application: a verb and a path each."""
        made = [each for each in self.cluster.requests.changes() if f"/{NAMESPACE}/" in each.path]
        return [f"{each.method} {each.path}" for each in made if "/events" not in each.path]

    async def until(self, what: str, condition: Callable[[], Any]) -> Any:
        """Wait for something, and show how it stands when it does not come."""
        return await eventually(condition, within=TIMEOUT, describe=lambda: f"{what}:\n{self.state()}", every=0.1)

    async def ends(self, *states: str) -> None:
        """Wait until the one incident of the front end is in one of these states."""

        def has_ended() -> bool:
            found = [each for each in self.daemon.incidents() if each["service"] == FRONT]
            assert len(found) < 2, found
            return any(each["state"] in states for each in found)

        await self.until(f"the incident is {' or '.join(states)}", has_ended)

    def state(self) -> str:
        """Return what is shown where something does not come."""
        pods = [f"{each['metadata']['name']}: {each.get('status')}" for each in self.cluster.find(PODS, NAMESPACE)]
        return "\n".join([*map(str, self.daemon.incidents()), *pods, self.daemon.tail()])


@asynccontextmanager
async def init_stage(folder: Path, *, front: Json | None = None) -> AsyncIterator[InitStage]:
    """Set the stage: the application runs, the daemon has its documents, and each revision has been seen good."""
    async with EmbeddedCluster.start(speed=SPEED, images={"python:3": PYTHON}) as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        cluster.apply(front or workload("Deployment", FRONT, GOOD, replicas=2))
        cluster.apply(workload("Deployment", BACK, GOOD))
        cluster.apply(workload("StatefulSet", STORE, GOOD))
        for name in (FRONT, BACK, STORE):
            cluster.apply(manifests.front(NAMESPACE, name, labels(name), main=(80, 8080)))
        kubeconfig, catalog = cluster.kubeconfig(folder / "kubeconfig"), folder / "catalog"
        wanted = WorkloadSelection(namespace=NAMESPACE)
        assert await init(catalog, wanted, KubeSettings(kubeconfig=kubeconfig), OutputFormat.TEXT) is ExitCode.DONE
        daemon = DaemonProcess(kubeconfig=kubeconfig, folder=folder / "daemon", durations=DURATIONS)
        daemon.environment = {"KINTSUGI_CATALOG__EXAMPLE": "false", "KINTSUGI_CATALOG__ADDITIONS": str(catalog)}
        stage = InitStage(cluster=cluster, daemon=daemon)
        try:
            await asyncio.to_thread(lambda: daemon.start().wait_ready())
            await stage.until("each revision is good", lambda: daemon.tail(400).count("good revision noted") == 3)
            yield stage
        finally:
            await asyncio.to_thread(daemon.stop)


SERVER = """
import http.server, os, time
time.sleep(float(os.environ.get("STARTS_FOR", 0)))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
address = os.environ["ADDRESS"], int(os.environ.get("PORT", 8080))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""
PROBE = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 30}
BETTER = "market:2"


def probed(probe: Json, *env: Json) -> Json:
    """Describe a container that serves HTTP, how its readiness is asked for, and what its environment has besides."""
    address = {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    read = {"args": ["-c", SERVER], "env": [address, *env]}
    return {"name": "main", "image": "python:3", "readinessProbe": probe, **read}


async def test_a_version_that_crashes_is_taken_back_and_a_good_one_is_left_alone(tmp_path: Path) -> None:
    async with init_stage(tmp_path) as stage:
        stage.image(CRASHING)
        await stage.ends("recovered", "rolled-back")
        assert stage.runs() == GOOD
        made = stage.changes()
        stage.image(BETTER)
        await stage.until("the better one is good", lambda: stage.daemon.tail(400).count("good revision noted") >= 4)
        assert (stage.runs(), stage.changes()) == (BETTER, made)


async def test_a_start_that_takes_as_long_as_its_probes_allow_is_left_alone(tmp_path: Path) -> None:
    """Longer than the rule that waits longest: a run begins, and changes nothing."""
    started = {"startupProbe": {**PROBE, "failureThreshold": 90}}
    front = workload("Deployment", FRONT, GOOD, replicas=2, containers=[{**probed(PROBE), **started}])
    async with init_stage(tmp_path, front=front) as stage:
        slow = probed(PROBE, {"name": "STARTS_FOR", "value": "15"})
        stage.template(containers=[{**slow, **started}])

        def rolled_out() -> bool:
            status = stage.found()["status"]
            return bool(status.get("updatedReplicas") == status.get("readyReplicas") == status.get("replicas") == 2)

        await stage.until("the rollout is complete", rolled_out)
        await stage.until("all is well", lambda: all(each["closed"] for each in stage.daemon.incidents()))
        assert stage.changes() == []
