"""A real daemon on the embedded cluster with a web service and the API that it depends on, and the command line beside it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kintsugi_demo.shop import NAMESPACE, WEB, shop
from kubeobjects import resources
from kubesim import EmbeddedCluster
from tests.harness.daemon import DaemonProcess, Ended
from tests.harness.waiting import eventually
from tests.integration.documents import service

TIMEOUT = 120.0

RUNBOOKS = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: renew}
spec:
  title: Renew the pods
  parameters:
    patience: {type: duration, default: 5m}
    replicas: {type: integer, default: 3}
  steps:
    - {id: restart, name: Restart it, run: "kubectl rollout restart ${service.workload}"}
    - {id: enough, name: There are enough, expect: service.desired >= params.replicas, onFailure: continue}
    - {id: well, name: It is well, expect: service.healthy, within: 10m}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: look}
spec:
  title: Look at it
  steps:
    - {id: look, name: Look at its pods, run: kubectl get pods, expect: size(items) > 0}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: api-down}
spec: {on: services, service: api, when: "service.desired < 0", mode: observe, cooldown: 10m}
"""

Json = dict[str, Any]


@dataclass
class ManualStage:
    """The cluster, its daemon, and what a person does."""

    cluster: EmbeddedCluster
    daemon: DaemonProcess

    async def kintsugi(self, *arguments: str) -> Ended:
        """Run a command as the operator; nobody can be asked."""
        return await asyncio.to_thread(self.daemon.command, *arguments)

    async def post(self, path: str, body: Json) -> tuple[int, Any]:
        """Ask the API as the operator."""
        return await asyncio.to_thread(self.daemon.post, path, body)

    async def shown(self, runbook: str, **wish: object) -> Json:
        """Return the plan of a start."""
        status, plan = await self.post(f"/api/v1/runbooks/{runbook}/recover", {"why": "a test", **wish})
        assert status == 200, plan
        found: Json = plan
        return found

    async def begun(self, runbook: str, **wish: object) -> Json:
        """Start what is shown, and return the incident's id with the rest of the answer."""
        digest = (await self.shown(runbook, **wish))["digest"]
        body = {"why": "a test", **wish, "confirm": True, "digest": digest}
        status, answer = await self.post(f"/api/v1/runbooks/{runbook}/recover", body)
        assert status == 202, answer
        found: Json = answer
        return found

    async def ended(self, incident: str) -> Json:
        """Wait until an incident is closed."""

        def closed() -> Json | None:
            found = self.daemon.incident(incident)
            return found if found["incident"]["closed"] else None

        return await eventually(closed, within=TIMEOUT, describe=self.daemon.tail)

    async def restart(self) -> None:
        """Start the daemon, and wait until it sees the services."""
        await asyncio.to_thread(self.daemon.start)
        await asyncio.to_thread(self.daemon.wait_ready)
        await eventually(self.is_well, within=TIMEOUT, describe=self.daemon.tail)

    async def make_unready(self, pod: str) -> None:
        """
        Let a pod of the web service that was ready be unready, and wait until the daemon sees it.

        Kubernetes tells whole seconds: a pod that gets unready in the second of its start is taken to be starting still.
        """
        found = self.cluster.get(resources.PODS, pod, NAMESPACE)
        assert found is not None
        states = [each["state"] for each in found["status"]["containerStatuses"]]
        started = max(datetime.fromisoformat(each["running"]["startedAt"]) for each in states)
        await eventually(lambda: datetime.now(UTC) - started >= timedelta(seconds=1), within=TIMEOUT)
        self.cluster.faults.make_unready(found["metadata"]["uid"])
        await eventually(lambda: not self.is_well(), within=TIMEOUT, describe=self.daemon.tail)

    def is_well(self) -> bool:
        """Return whether both services are known to be well."""
        _, told = self.daemon.get("/api/v1/services")
        return {each["name"]: each["healthy"] for each in told["services"]} == {"web": True, "api": True}

    def replicas(self) -> int:
        """Return how many pods the web service is to have."""
        found = self.cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE)
        assert found is not None
        return int(found["spec"]["replicas"])

    def restarts(self) -> int:
        """Count the rollouts of the web service since it was made."""
        found = self.cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE)
        assert found is not None
        return int(found["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) - 1


@asynccontextmanager
async def staged(
    folder: Path,
    *,
    mode: str = "auto",
    documents: str = "",
    nodes: Sequence[str] = ("node-1",),
    **settings: str,
) -> AsyncIterator[ManualStage]:
    """Set the stage: both services are well, and no rule does anything but those of further `documents`."""
    catalog = folder / "catalog"
    catalog.mkdir()
    web = service("web", app="web-app", workload=f"deployment/{WEB}", depends_on=["api"], runbook="renew")
    api = service("api", app="api", workload="deployment/api-deployment", priority=1, runbook="workload-renewal")
    renewal = RUNBOOKS.replace("name: renew}", "name: workload-renewal}").partition("---")[0]
    (catalog / "shop.yaml").write_text(
        "\n---\n".join([web, api, RUNBOOKS, renewal, *([documents] if documents else [])])
    )
    async with EmbeddedCluster.start(speed=20, nodes=nodes) as cluster:
        for manifest in shop():
            cluster.apply(manifest)
        kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
        daemon = DaemonProcess(kubeconfig=kubeconfig, folder=folder / "daemon", mode=mode, catalog=catalog)
        # What serves is well at once here: only what a test breaks is to be waited for.
        daemon.environment = {"KINTSUGI_GUARDS__SERVING_FOR": "1s", **settings}
        stage = ManualStage(cluster, daemon)
        try:
            await stage.restart()
            yield stage
        finally:
            await asyncio.to_thread(daemon.stop)


def told(ended: Ended) -> Json:
    """Read what a command has written as JSON."""
    found: Json = json.loads(ended.out)
    return found
