"""
The demonstration: an embedded cluster, the daemon as it runs in production, and three faults.

Only the faults are ordered here; what becomes of them is read from the ledger.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from kintsugi.app.core import Core, now_utc
from kintsugi.app.daemon import start
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.cli.narration import Narrator, Say
from kintsugi.cli.pager import Pager
from kintsugi.errors import KintsugiError
from kintsugi.model.records import Incident, IncidentState
from kintsugi.objects import resources
from kintsugi.rehearsal import EmbeddedCluster
from kintsugi.rehearsal.shop import CRASHING, NAMESPACE, WEB, WEB_LABELS, shop
from kintsugi.settings import (
    CatalogSettings,
    KubeSettings,
    LedgerSettings,
    ServerSettings,
    Settings,
)

SERVICE = "web-service"
FACTOR = 0.01
"""What every duration of the shipped files is multiplied by: thirty minutes become eighteen seconds."""

WANTED = 3
"""Ready pods below which the demonstration's Alertmanager fires."""

SPEED = 10.0
"""How much faster than Kubernetes the embedded cluster lives."""

PATIENCE = timedelta(seconds=75)
"""How long one scene may take before it counts as gone wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """The embedded cluster with the shop in it, and the daemon that watches it at `url`."""

    cluster: EmbeddedCluster
    core: Core
    life: Lifecycle
    url: str

    @property
    def ready(self) -> int:
        """Count the ready pods of the service."""
        return self.core.services.views[SERVICE].ready

    def change(self, spec: dict[str, object]) -> None:
        """Change the web Deployment, as a person does."""
        metadata = {"name": WEB, "namespace": NAMESPACE}
        self.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One fault: how it is told, how it is made, and how it should end."""

    title: str
    break_it: Callable[[Stage], Awaitable[None]]
    end: IncidentState


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a scene should have ended and how it did; no `state` when no incident came to an end in time."""

    title: str
    wanted: IncidentState
    state: IncidentState | None
    reason: str
    seconds: float

    @property
    def as_wanted(self) -> bool:
        """Tell whether it went as it should."""
        return self.state is self.wanted


async def crash_one(stage: Stage) -> None:
    """Let one pod crash again and again."""
    stage.cluster.faults.crash_loop(pods(stage.cluster)[0])


async def shrink_and_hang(stage: Stage) -> None:
    """Leave two copies, as a person might at night, and let one of them hang; Alertmanager wants three."""
    stage.change({"replicas": 2})
    await come(lambda: len(pods(stage.cluster)) == 2 and stage.ready == 2)
    stage.cluster.faults.make_unready(pods(stage.cluster)[0])
    await come(lambda: stage.ready == 1)
    labels = {"alertname": "KubeDeploymentReplicasMismatch", "namespace": NAMESPACE, "deployment": WEB}
    pager = Pager(stage.url, {**labels, "severity": "warning"}, lambda: stage.ready < WANTED)
    stage.life.spawn_once("pager", pager.run())


async def roll_out_badly(stage: Stage) -> None:
    """Roll out a version that crashes as soon as it starts."""
    found = stage.cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE)
    assert found is not None, WEB
    container = {**found["spec"]["template"]["spec"]["containers"][0], "image": CRASHING}
    stage.change({"template": {"spec": {"containers": [container]}}})


SCENES = (
    Scene(title="One pod crash-loops", break_it=crash_one, end=IncidentState.RECOVERED),
    Scene(title="Too few pods are ready", break_it=shrink_and_hang, end=IncidentState.RECOVERED),
    Scene(title="A bad version is rolled out", break_it=roll_out_badly, end=IncidentState.ROLLED_BACK),
)


async def come(condition: Callable[[], bool]) -> None:
    """Wait until something is so. Raises KintsugiError when it never is."""
    deadline = now_utc() + PATIENCE
    while not condition():
        if now_utc() > deadline:
            raise KintsugiError("the stage could not be set: what was waited for did not come")
        await asyncio.sleep(0.05)


def pods(cluster: EmbeddedCluster) -> list[str]:
    """Give the uids of the web pods that are not on their way out, the oldest name first."""
    found = cluster.find(resources.PODS, NAMESPACE, WEB_LABELS)
    return sorted(each["metadata"]["uid"] for each in found if not each["metadata"].get("deletionTimestamp"))


async def play(*, folder: Path, catalog: Path | None, say: Say, patience: timedelta = PATIENCE) -> list[Outcome]:
    """
    Play the scenes, each told as it happens, up to the first that does not end as it should, and give their outcomes.

    `folder` keeps the ledger; `patience` is how long one scene may take. Raises KintsugiError when the stage cannot be set: a catalog with mistakes, a service that never becomes healthy.
    """
    async with set_stage(folder, catalog) as stage:
        say(f"A cluster with the shop in it is up; Kintsugi watches, every duration times {FACTOR:g}.")
        await healthy(stage.core)
        narrator = Narrator(ledger=stage.core.ledger, say=say, began=now_utc())
        outcomes: list[Outcome] = []
        for scene in SCENES:
            outcomes.append(await perform(scene, stage, narrator, patience))
            if not outcomes[-1].as_wanted:
                break
        return outcomes


@asynccontextmanager
async def set_stage(folder: Path, catalog: Path | None) -> AsyncIterator[Stage]:
    """Set the stage: the embedded cluster, the shop in it, and the daemon."""
    async with EmbeddedCluster.start(speed=SPEED) as cluster:
        for manifest in shop():
            cluster.apply(manifest)
        settings = Settings(
            mode="auto",
            durations=FACTOR,
            kube=KubeSettings(kubeconfig=cluster.kubeconfig(folder / "kubeconfig")),
            ledger=LedgerSettings(url=f"sqlite:///{folder / 'ledger.db'}"),
            server=ServerSettings(host="127.0.0.1", port=0, insecure_no_token=True),
            catalog=CatalogSettings(directory=catalog),
        ).scaled()
        life = Lifecycle(shutdown=timedelta(seconds=10))
        urls: list[str] = []
        try:
            core = await start(settings, life, ready=urls.append, loopback=True)
            yield Stage(cluster=cluster, core=core, life=life, url=urls[0])
        finally:
            await life.stop()


async def perform(scene: Scene, stage: Stage, narrator: Narrator, patience: timedelta) -> Outcome:
    """Break something and tell what happens until an incident ends."""
    began = narrator.began = now_utc()
    narrator.say(f"\n{scene.title}.")
    await scene.break_it(stage)
    ended: Incident | None = None
    while ended is None and now_utc() - began < patience:
        await asyncio.sleep(0.2)
        await narrator.look()
        ended = await ended_since(stage.core, began)
    await narrator.look()
    return Outcome(
        title=scene.title,
        wanted=scene.end,
        state=ended.state if ended is not None else None,
        reason=ended.reason.splitlines()[0] if ended is not None and ended.reason else "no incident came to an end",
        seconds=(now_utc() - began).total_seconds(),
    )


async def ended_since(core: Core, began: datetime) -> Incident | None:
    """Find the incident of this scene, once it is over and the service can be shown anew."""
    for incident in await core.ledger.incidents(limit=1, service=SERVICE):
        if incident.closed is not None and incident.opened >= began:
            return incident
    return None


async def healthy(core: Core) -> None:
    """Wait until the service is healthy and its revision is known to be good. Raises KintsugiError when it is not."""
    await come(lambda: bool(core.world.good(SERVICE)) and core.services.views[SERVICE].healthy is True)
