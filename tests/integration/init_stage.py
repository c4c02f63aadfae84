"""An application that no shipped document names, and a daemon that has nothing but what `kintsugi init` wrote for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.cli.scaffolding import WorkloadSelection, init
from kintsugi.settings import KubeSettings
from kubeobjects.resources import DEPLOYMENTS, PODS
from kubesim import EmbeddedCluster
from tests.harness.daemon import DaemonProcess
from tests.harness.notices import NoticeReceiver, receiver
from tests.harness.waiting import eventually
from tests.integration.process_stage import PYTHON

NAMESPACE = "market"
FRONT, BACK, STORE = "front", "back", "store"
GOOD, GONE, CRASHING = "market:1", "market:gone", "market:crash"
SPEED, DURATIONS = 20.0, 0.03
TIMEOUT = 60.0

Json = dict[str, Any]


def workload(kind: str, name: str, image: str, *, replicas: int = 1, **pod: Any) -> Json:
    """Describe a workload of one container; `pod` are further keys of its pods."""
    labels = {"app.kubernetes.io/name": name}
    spec: Json = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "main", "image": image}], **pod},
        },
    }
    if kind == "StatefulSet":
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        spec |= {"serviceName": name, "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def leads_to(name: str, **selector: str) -> Json:
    """Describe the Kubernetes Service of a workload."""
    chosen = selector or {"app.kubernetes.io/name": name}
    metadata = {"name": name, "namespace": NAMESPACE}
    spec = {"selector": chosen, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, kw_only=True)
class InitStage:
    """The cluster, the daemon, and what became of the application."""

    cluster: EmbeddedCluster
    daemon: DaemonProcess
    notices: NoticeReceiver

    def found(self, name: str = FRONT) -> Json:
        """Return the Deployment of a part."""
        found: Json | None = self.cluster.get(DEPLOYMENTS, name, NAMESPACE)
        assert found is not None
        return found

    def pods(self, name: str = FRONT) -> list[Json]:
        """Return the pods of a part that are not on their way out."""
        found = self.cluster.find(PODS, NAMESPACE, {"app.kubernetes.io/name": name})
        return [each for each in found if not each["metadata"].get("deletionTimestamp")]

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

    def scale(self, replicas: int) -> None:
        """Scale the front end as somebody else would."""
        found = self.found()
        self.cluster.apply({**found, "spec": {**found["spec"], "replicas": replicas}})

    def runs(self) -> str:
        """Return the image that the front end is to run."""
        return str(self.found()["spec"]["template"]["spec"]["containers"][0]["image"])

    def changes(self) -> list[str]:
        """Return what the daemon has changed of the application: a verb and a path each."""
        made = [each for each in self.cluster.requests.changes() if f"/{NAMESPACE}/" in each.path]
        return [f"{each.method} {each.path}" for each in made if "/events" not in each.path]

    async def until(self, what: str, condition: Callable[[], Any]) -> Any:
        """Wait for something, and show how it stands when it does not come. The cluster goes on meanwhile."""

        async def asked() -> Any:
            return await asyncio.to_thread(condition)

        return await eventually(asked, within=TIMEOUT, describe=lambda: f"{what}:\n{self.state()}", every=0.1)

    async def incident(self, *states: str, service: str = FRONT) -> Json:
        """Wait until the one incident of a service is in one of these states, and return it."""

        def told() -> Json | None:
            found = [each for each in self.daemon.incidents() if each["service"] == service]
            assert len(found) < 2, found
            return next((each for each in found if each["state"] in states), None)

        found: Json = await self.until(f"{service} {' or '.join(states)}", told)
        return found

    async def headline(self, incident: Json) -> str:
        """Wait until a person is told of an incident, and return the line of the notice that names the problem: its second."""
        told = await self.until("a person is told", lambda: self.notices.about(incident["id"]))
        return str(told[-1]).splitlines()[1]

    def state(self) -> str:
        """Return what is shown where something does not come."""
        pods = [f"{each['metadata']['name']}: {each.get('status')}" for each in self.cluster.find(PODS, NAMESPACE)]
        return "\n".join([*map(str, self.daemon.incidents()), *pods, self.daemon.tail()])


@asynccontextmanager
async def called() -> AsyncIterator[NoticeReceiver]:
    """Take the daemon's notices, in a thread of its own."""
    with receiver() as notices:
        yield notices


@asynccontextmanager
async def init_stage(
    folder: Path, *, mode: str = "auto", front: Json | None = None, others: Sequence[Json] = ()
) -> AsyncIterator[InitStage]:
    """Set the stage: the application runs, the daemon has its documents, and each revision has been seen good."""
    async with EmbeddedCluster.start(speed=SPEED, images={"python:3": PYTHON}) as cluster, called() as notices:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for each in others:
            cluster.apply(each)
        cluster.apply(front or workload("Deployment", FRONT, GOOD, replicas=2))
        cluster.apply(workload("Deployment", BACK, GOOD))
        cluster.apply(workload("StatefulSet", STORE, GOOD))
        for name in (FRONT, BACK, STORE):
            cluster.apply(leads_to(name))
        kubeconfig, catalog = cluster.kubeconfig(folder / "kubeconfig"), folder / "catalog"
        wanted = WorkloadSelection(namespace=NAMESPACE)
        assert await init(catalog, wanted, KubeSettings(kubeconfig=kubeconfig), OutputFormat.TEXT) is ExitCode.DONE
        daemon = DaemonProcess(kubeconfig=kubeconfig, folder=folder / "daemon", mode=mode, durations=DURATIONS)
        own = {"KINTSUGI_CATALOG__EXAMPLE": "false", "KINTSUGI_CATALOG__ADDITIONS": str(catalog)}
        daemon.environment = {**own, **notices.environment}
        stage = InitStage(cluster=cluster, daemon=daemon, notices=notices)
        try:
            await asyncio.to_thread(lambda: daemon.start().wait_ready())
            await stage.until("each revision is good", lambda: daemon.tail(400).count("good revision noted") == 3)
            yield stage
        finally:
            await asyncio.to_thread(daemon.stop)
