"""A daemon with the generic runbook and one service of real processes on the embedded cluster, asked by a check of its own."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kintsugi.ledger import Ledger
from kintsugi.model.records import Incident
from kubeobjects.resources import DEPLOYMENTS, PODS
from kubesim import EmbeddedCluster
from tests.harness.daemon import ROOT
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import SELDOM, USER, CrashStage
from tests.integration.process_stage import NAMESPACE, PYTHON

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
BY_HTTP: Json = {"httpGet": {"path": "/health", "port": PORT}}


def deployment(replicas: int, *, reads_token: bool, memory: str = "", probe: Json = BY_TCP) -> Json:
    """Describe the service's Deployment: ready whatever it answers, but for a probe by HTTP; `memory` is its limit."""
    address = {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    token = {"name": "TOKEN", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "token"}}}
    container = {
        "name": "web",
        "image": "python:3",
        "args": ["-c", SERVER],
        "env": [address, token] if reads_token else [address],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {**probe, "periodSeconds": 10, "timeoutSeconds": 30},
    }
    if memory:
        container["resources"] = {"limits": {"memory": memory}, "requests": {"memory": "32Mi"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {"terminationGracePeriodSeconds": 10, "containers": [container]},
            },
        },
    }


def front_service(target: int = PORT) -> Json:
    """Describe the Kubernetes Service before it, which leads to that port."""
    metadata = {"name": NAME, "namespace": NAMESPACE}
    ports = [{"name": "http", "port": 80, "targetPort": target}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": dict(LABELS), "ports": ports},
    }


def settings(token: str) -> Json:
    """Describe the ConfigMap that the token is in."""
    metadata = {"name": "settings", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"token": token}}


def generic(*documents: str) -> str:
    """Return these documents with the shipped runbooks that any service can name."""
    shipped = ((ROOT / "runbooks" / f"{name}.yaml").read_text() for name in ("workload-recovery", "start-service"))
    return "\n---\n".join([*documents, *shipped])


@dataclass(kw_only=True)
class LadderStage(CrashStage):
    """The cluster with the one service, and the daemon's lives."""

    def front_pods(self) -> Mapping[str, Json]:
        """Return the pods that are not on their way out, by their uids."""
        found = self.cluster.find(PODS, NAMESPACE, LABELS)
        return {each["metadata"]["uid"]: each for each in found if not each["metadata"].get("deletionTimestamp")}

    def ready(self) -> int:
        """Return how many pods are ready."""
        found = self.cluster.get(DEPLOYMENTS, NAME, NAMESPACE) or {}
        return int(found.get("status", {}).get("readyReplicas") or 0)

    async def change_token(self, token: str) -> None:
        """Write another token, which pods that run do not see: in a later second than they began in, for times have no parts of one."""

        async def is_later() -> bool:
            containers = [one for each in self.front_pods().values() for one in each["status"]["containerStatuses"]]
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            return all(each["state"]["running"]["startedAt"] < now for each in containers)

        await self.until(is_later)
        self.cluster.apply(settings(token))

    async def has(self, replicas: int) -> None:
        """Wait until so many pods are ready."""

        async def are_ready() -> bool:
            return self.ready() == replicas

        await self.until(are_ready)

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
    probe: Json = BY_TCP,
) -> AsyncIterator[LadderStage]:
    """Have the service's pods ready, and no daemon yet; without a `token` they read none, without `memory` they have no limit of it."""
    catalog, birth = folder / "catalog", DaemonStart(folder=folder / "story", durations=0.03)
    catalog.mkdir()
    birth.folder.mkdir()
    (catalog / "all.yaml").write_text(generic(service, *documents))
    async with EmbeddedCluster.start(speed=SPEED, images={"python:3": PYTHON}, nodes=tuple(nodes)) as cluster:
        for manifest in (
            settings(token),
            front_service(),
            deployment(replicas, reads_token=bool(token), memory=memory, probe=probe),
        ):
            cluster.apply(manifest)
        cluster.kubeconfig(birth.kubeconfig, USER)
        stage = LadderStage(cluster=cluster, birth=replace(birth, catalog=catalog))
        try:
            await stage.has(replicas)
            yield stage
        finally:
            await stage.kill()
