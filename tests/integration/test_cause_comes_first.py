"""The database goes and takes its dependents with it: it is mended first, they are held, and most of them get well by it."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from kintsugi.app.core import Core
from kintsugi.app.daemon import start
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.catalog.library import shipped_paths
from kintsugi.model.records import Incident, IncidentState, RunRecord
from kintsugi.settings import (
    CatalogSettings,
    GuardSettings,
    HealthSettings,
    KubeSettings,
    LedgerSettings,
    ServerSettings,
    Settings,
)
from kintsugi_demo.shop import NAMESPACE, deployment
from kubeobjects.resources import PODS
from kubesim import EmbeddedCluster
from tests.harness.waiting import eventually

pytestmark = pytest.mark.long

SPEED, FACTOR, TIMEOUT = 20.0, 0.05, 300.0
SERVICES: Mapping[str, tuple[int, str, str]] = {
    "database": (1, "[]", "15m"),
    "mail": (2, "[database]", "1m"),
    "api": (3, "[database]", "1m"),
    "web": (4, "[api]", "1m"),
}
"""Priority, what it depends on, and how long its pods must be unhealthy before that is a signal: the cause is heard of last."""


@dataclass(frozen=True, kw_only=True)
class UpstreamStage:
    """The cluster and the daemon."""

    cluster: EmbeddedCluster
    core: Core

    @classmethod
    @asynccontextmanager
    async def set(cls, folder: Path) -> AsyncIterator["UpstreamStage"]:
        """Have four services that are well, one pod each, and a daemon that knows it."""
        async with EmbeddedCluster.start(speed=SPEED) as cluster:
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            for name in SERVICES:
                cluster.apply(deployment(name, {"app": name}, image="shop/api:good", replicas=1))
            life = Lifecycle(shutdown=timedelta(seconds=20))
            try:
                core = await start(settings(folder, cluster), life, ready=lambda _: None, loopback=True)
                stage = cls(cluster=cluster, core=core)
                await stage.until(lambda: all(core.services.views[each].healthy for each in SERVICES))
                yield stage
            finally:
                await life.stop()

    def pod(self, service: str) -> Mapping[str, object]:
        """Return the metadata of a service's pod."""
        found = self.cluster.find(PODS, NAMESPACE, {"app": service})
        metadata: Mapping[str, object] = min(found, key=lambda each: str(each["metadata"]["creationTimestamp"]))[
            "metadata"
        ]
        return metadata

    async def until(self, condition: Callable[[], Awaitable[bool] | bool]) -> None:
        """Wait for something, and show how things stand when it does not come."""
        await eventually(condition, within=TIMEOUT, every=0.2, describe=self.state)

    async def incident(self, service: str) -> Incident | None:
        """Return the newest incident of a service."""
        return next(iter(await self.core.ledger.incidents.newest(limit=1, service=service)), None)

    async def are(self, state: IncidentState, *services: str) -> bool:
        """Return whether the newest incidents of these services are in a state."""
        found = [await self.incident(each) for each in services]
        return all(each is not None and each.state is state for each in found)

    async def run(self, service: str) -> RunRecord:
        """Return the one run of a service's newest incident."""
        incident = await self.incident(service)
        assert incident is not None
        (found,) = await self.core.ledger.runs.of_incident(incident.id)
        return found

    def deleted(self) -> list[str]:
        """Name the services whose pods the daemon has deleted, in its order."""
        made = [each for each in self.cluster.requests.changes() if each.user.endswith(":kintsugi")]
        return [each.path.split("/")[-1].split("-")[0] for each in made if each.method == "DELETE"]

    def state(self) -> str:
        """Return the views and the pods."""
        views = [
            f"{each.name}: serving {each.serving} healthy {each.healthy}" for each in self.core.services.views.values()
        ]
        pods = [f"{each['metadata']['name']} {each.get('status')}" for each in self.cluster.find(PODS, NAMESPACE)]
        return "\n".join([*views, *pods])


def settings(folder: Path, cluster: EmbeddedCluster) -> Settings:
    """Have a catalog of these services, whose holds last for hours on a machine that is slow; two are mended at once."""
    catalog = folder / "catalog"
    for shipped in shipped_paths():
        if shipped.name == "runbooks":
            (catalog / "runbooks").mkdir(parents=True)
            for runbook in ("workload-recovery", "start-service"):
                shutil.copy(shipped / f"{runbook}.yaml", catalog / "runbooks")
    (catalog / "rules").mkdir()
    for name, (priority, needs, hold) in SERVICES.items():
        (catalog / "rules" / f"{name}.yaml").write_text(rules(name, priority, needs, hold))
    return Settings(
        mode="auto",
        durations=FACTOR,
        catalog=CatalogSettings(directory=catalog),
        kube=KubeSettings(kubeconfig=cluster.kubeconfig(folder / "kubeconfig", "kintsugi")),
        ledger=LedgerSettings(url=f"sqlite:///{folder / 'ledger.db'}"),
        guards=GuardSettings(hold_limit=timedelta(hours=100), max_concurrent_services=2),
        server=ServerSettings(host="127.0.0.1", port=0, insecure_no_token=True),
        health=HealthSettings(host="127.0.0.1", port=0),
    ).scaled()


def rules(name: str, priority: int, needs: str, hold: str) -> str:
    """Write a service and its rule."""
    return dedent(
        f"""\
        apiVersion: kintsugi.dev/v1alpha1
        kind: Service
        metadata: {{name: {name}}}
        spec:
          priority: {priority}
          dependsOn: {needs}
          namespace: {NAMESPACE}
          selector: app={name}
          workload: deployment/{name}
          healthy: desired > 0 && ready >= desired
          runbook: workload-recovery
        ---
        apiVersion: kintsugi.dev/v1alpha1
        kind: Rule
        metadata: {{name: {name}-pods}}
        spec: {{on: pod, service: {name}, when: object.unhealthy, for: {hold}, mode: auto}}
        """
    )


async def test_a_database_that_is_down_is_mended_first_and_its_dependents_are_held_with_their_reason(
    tmp_path: Path,
) -> None:
    """What got well with it is closed recovered, by reason of its upstream; the rest is mended by priority, not by name."""
    async with UpstreamStage.set(tmp_path) as stage:
        for service in ("database", "api", "mail"):
            stage.cluster.faults.crash_loop(str(stage.pod(service)["uid"]))
        stage.cluster.faults.make_unready(str(stage.pod("web")["uid"]))
        await stage.until(lambda: stage.are(IncidentState.HELD, "api", "mail", "web"))
        for service in ("api", "mail", "web"):
            incident = await stage.incident(service)
            assert incident is not None
            assert "held, cause first: database" in incident.reason
        stage.cluster.delete(PODS, str(stage.pod("web")["name"]), NAMESPACE)  # not by us: it gets well
        await stage.until(lambda: stage.are(IncidentState.RECOVERED, *SERVICES))
        web = await stage.incident("web")
        assert web is not None
        assert web.reason.startswith("upstream: the service recovered while it was held (held, cause first: ")
        assert await stage.core.ledger.runs.of_incident(web.id) == ()
        assert stage.deleted() == ["database", "mail", "api"]
        begun: list[datetime] = [(await stage.run(each)).started for each in ("database", "mail", "api")]
        assert begun == sorted(begun)
