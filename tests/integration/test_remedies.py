"""Remedies of a real daemon for real programs: pods are restarted one first, moved, given more memory, or left to a person."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import Incident, IncidentState
from kintsugi_demo.shop import service, workload
from kubeobjects.resources import DEPLOYMENTS, NODES
from kubesim import EmbeddedCluster
from tests.harness.daemon import ROOT
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_stage import SELDOM, CrashStage
from tests.integration.crash_story import made
from tests.integration.process_stage import NAMESPACE, PYTHON, config_map

pytestmark = pytest.mark.long

NAME, LABELS = "front", {"app": "front"}
SPEED = 20.0
PORT = 8080

SERVICE = """
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: front}
spec:
  priority: 1
  dependsOn: []
  namespace: production
  selector: app=front
  workload: deployment/front
  healthy: desired > 0 && ready >= desired && workload.status.unavailableReplicas == 0
  runbook: workload-recovery
  checks:
    smoke:
      - id: health
        name: It answers
        run: curl http://${service.addresses[0].host}:${service.addresses[0].port}/health
        expect: status == 200
"""
DOES_NOT_ANSWER = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: front-does-not-answer}
spec: {on: check, service: front, check: smoke, every: 5s, for: 1s, mode: auto, cooldown: 10m}
"""

UNHEALTHY = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: front-pods-unhealthy}
spec: {on: pod, service: front, when: object.unhealthy, for: 10s, mode: auto, cooldown: 10m}
"""

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    hangs = False
    def do_GET(self):
        if self.path == "/hang":
            Handler.hangs = True
        well = os.environ.get("TOKEN", "new") == "new" and not Handler.hangs
        self.send_response(200 if well else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((os.environ["ADDRESS"], 8080), Handler).serve_forever()
"""
"""It answers 200 while it began with the token `new`, until it is asked for /hang."""

Json = dict[str, Any]


BY_TCP: Json = {"tcpSocket": {"port": PORT}}


def deployment(replicas: int, *, reads_token: bool, memory: str = "") -> Json:
    """Describe the service's Deployment: ready whatever it answers; `memory` is its limit."""
    address = {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    token = {"name": "TOKEN", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "token"}}}
    container = {
        "name": "web",
        "image": "python:3",
        "args": ["-c", SERVER],
        "env": [address, token] if reads_token else [address],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {**BY_TCP, "periodSeconds": 10, "timeoutSeconds": 30},
    }
    if memory:
        container["resources"] = {"limits": {"memory": memory}, "requests": {"memory": "32Mi"}}
    pod = {"terminationGracePeriodSeconds": 10, "containers": [container]}
    return workload("Deployment", NAME, LABELS, pod, replicas=replicas)


def front_service(target: int = PORT) -> Json:
    """Describe the Kubernetes Service before it, which leads to that port."""
    return service(NAME, 80, target=target)


def generic(*documents: str) -> str:
    """Return these documents with the shipped runbooks that any service can name."""
    shipped = ((ROOT / "runbooks" / f"{name}.yaml").read_text() for name in ("workload-recovery", "start-service"))
    return "\n---\n".join([*documents, *shipped])


@dataclass(kw_only=True)
class LadderStage(CrashStage):
    """The cluster with the one service, and the daemon's lives."""

    def ready(self) -> int:
        """Return how many pods are ready."""
        found = self.cluster.get(DEPLOYMENTS, NAME, NAMESPACE) or {}
        return int(found.get("status", {}).get("readyReplicas") or 0)

    async def change_token(self, token: str) -> None:
        """Write another token, which pods that run do not see: in a later second than they began in, for times have no parts of one."""

        async def is_later() -> bool:
            containers = [one for each in self.alive(LABELS).values() for one in each["status"]["containerStatuses"]]
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            return all(each["state"]["running"]["startedAt"] < now for each in containers)

        await self.until(is_later)
        self.cluster.apply(config_map("settings", token=token))

    async def has(self, replicas: int) -> None:
        """Wait until so many pods are ready."""

        await self.until(lambda: self.ready() == replicas)

    async def closed(self, ledger: Ledger) -> Incident:
        """Wait until the first incident is closed, and return it."""
        found: list[Incident] = []

        async def is_closed() -> bool:
            found[:] = await ledger.incidents.newest()
            return bool(found) and found[-1].closed is not None

        await self.until(is_closed, every=SELDOM)
        return found[-1]


@asynccontextmanager
async def ladder(
    folder: Path,
    *documents: str,
    replicas: int,
    token: str = "",
    nodes: Collection[str] = ("node-1",),
    service: str = SERVICE,
    memory: str = "",
) -> AsyncIterator[LadderStage]:
    """Have the service's pods ready, and no daemon yet; without a `token` they read none, without `memory` they have no limit of it."""
    catalog = folder / "catalog"
    catalog.mkdir()
    (catalog / "all.yaml").write_text(generic(service, *documents))
    daemon = crash_daemon(folder / "story", durations=0.03, catalog=catalog)
    async with (
        EmbeddedCluster.start(speed=SPEED, images={"python:3": PYTHON}, nodes=tuple(nodes)) as cluster,
        LadderStage.on(cluster, daemon) as stage,
    ):
        for manifest in (
            config_map("settings", token=token),
            front_service(),
            deployment(replicas, reads_token=bool(token), memory=memory),
        ):
            cluster.apply(manifest)
        await stage.has(replicas)
        yield stage


def evicted(stage: LadderStage) -> list[str]:
    """Return the names of the pods that the daemon has evicted; it has changed nothing else."""
    paths = [(each.method, each.path) for each in made(stage)]
    assert all(method == "POST" and path.endswith("/eviction") for method, path in paths), paths
    return [path.split("/")[-2] for _, path in paths]


async def test_pods_that_began_before_their_configuration_changed_are_restarted_one_of_them_first(
    tmp_path: Path,
) -> None:
    async with ladder(tmp_path, DOES_NOT_ANSWER, replicas=3, token="old") as stage:
        before = {each["metadata"]["name"] for each in stage.alive(LABELS).values()}
        await stage.change_token("new")
        stage.start()
        async with stage.ledger() as ledger:
            incident = await stage.closed(ledger)
            (run,) = await ledger.incidents.runs_of(incident.id)
            steps = {each.path: each for each in await ledger.incidents.steps(run.id)}
    assert incident.state is IncidentState.RECOVERED, incident
    assert (steps["diagnosis"].result or {})["remedy"] == "restart-canary", steps["diagnosis"]
    assert (steps["diagnosis"].result or {})["cause"] == "StaleConfiguration", steps["diagnosis"]
    assert len(evicted(stage)) == 3
    assert set(evicted(stage)) == before
    target = (steps["diagnosis"].result or {})["target"]
    assert isinstance(target, dict)
    assert evicted(stage)[0] == target["name"]


async def test_no_other_pod_is_restarted_where_the_first_one_does_not_answer(tmp_path: Path) -> None:
    async with ladder(tmp_path, DOES_NOT_ANSWER, replicas=3, token="old") as stage:
        await stage.change_token("other")
        stage.start()
        async with stage.ledger() as ledger:
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.NEEDS_OPERATOR, incident
    assert "The restarted pod answers" in incident.reason, incident
    assert "HTTP 503" in incident.reason, incident
    assert len(evicted(stage)) == 1


async def test_the_only_pod_is_replaced_by_one_that_is_ready_before_it_goes(tmp_path: Path) -> None:
    async with ladder(tmp_path, DOES_NOT_ANSWER, replicas=1) as stage:
        (pod,) = stage.alive(LABELS).values()
        address = f"http://{pod['status']['podIP']}:{PORT}/hang"
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            assert answer.status == 503
        stage.start()
        async with stage.ledger() as ledger:
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.RECOVERED, incident
    assert [each.method for each in made(stage)] == ["PATCH"]


def on(stage: LadderStage, node: str) -> set[str]:
    """Return the names of the pods on a node."""
    return {each["metadata"]["name"] for each in stage.alive(LABELS).values() if each["spec"].get("nodeName") == node}


def is_cordoned(stage: LadderStage, node: str) -> bool:
    """Return whether no new pods come to a node."""
    found = stage.cluster.get(NODES, node)
    assert found is not None
    return found["spec"].get("unschedulable") is True


async def test_pods_are_moved_from_a_node_that_is_not_heard_of(tmp_path: Path) -> None:
    async with ladder(tmp_path, UNHEALTHY, replicas=4, nodes=("node-1", "node-2")) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            lost = on(stage, "node-1")
            assert lost
            stage.cluster.faults.node_down("node-1")
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.RECOVERED, incident
    assert is_cordoned(stage, "node-1")
    assert "kubectl cordon node-1 stays in force until a person runs kubectl uncordon node-1" in incident.reason
    changes = [(each.method, each.path) for each in made(stage)]
    assert changes[0] == ("PATCH", "/api/v1/nodes/node-1"), changes
    assert {path for _, path in changes[1:]} == {
        f"/api/v1/namespaces/{NAMESPACE}/pods/{each}/eviction" for each in lost
    }
    assert len(changes) == len(lost) + 1
    assert len(on(stage, "node-2")) == 4


LIMIT = "64Mi"
RAISED_BY_HAND = f"kubectl set resources deployment/{NAME} -c web --limits=memory=164Mi -n {NAMESPACE}"


def allowing(memory: str) -> str:
    """Return the service with the most that its limit may be."""
    return SERVICE.replace("  priority: 1\n", f"  priority: 1\n  maxAllowed: {{memory: {memory}}}\n")


def limits(stage: LadderStage) -> set[str]:
    """Return the limits that its pods have."""
    return {each["spec"]["containers"][0]["resources"]["limits"]["memory"] for each in stage.alive(LABELS).values()}


def resized(stage: LadderStage) -> list[str]:
    """Return the pods that were resized, and hold what was changed to that."""
    changes = [(each.method, each.path.split("/")) for each in made(stage)]
    assert all((method, path[-1]) == ("PATCH", "resize") for method, path in changes), changes
    return sorted(path[-2] for _, path in changes)


async def test_a_limit_is_raised_in_place_and_told_to_be_temporary(tmp_path: Path) -> None:
    async with ladder(tmp_path, UNHEALTHY, replicas=2, service=allowing("256Mi"), memory=LIMIT) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            before = stage.alive(LABELS)
            for uid in before:
                stage.cluster.faults.need_memory(uid, "96Mi")
            incident = await stage.closed(ledger)
    assert incident.state is IncidentState.RECOVERED, incident
    assert incident.reason.startswith("temporary, in 2 pods: its limit of 64Mi is raised to 164Mi"), incident
    assert RAISED_BY_HAND in incident.reason
    assert resized(stage) == sorted(each["metadata"]["name"] for each in before.values())
    assert stage.alive(LABELS).keys() == before.keys()
    assert limits(stage) == {"164Mi"}
    template = stage.cluster.get(DEPLOYMENTS, NAME, NAMESPACE) or {}
    assert template["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == LIMIT
