"""
The stage of the demonstration: an embedded cluster, the daemon as it runs in production, and a scene played on it.

Only what breaks is ordered here; what becomes of it is read from the ledger.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from kintsugi.app.core import Core
from kintsugi.app.daemon import start
from kintsugi.app.intake import ListenAddresses
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.cli.narration import Narrator, Say
from kintsugi.errors import KintsugiError
from kintsugi.kube.steady_clock import wall_clock
from kintsugi.model.records import Incident, IncidentState
from kintsugi.rehearsal import EmbeddedCluster
from kintsugi.settings import Settings

PATIENCE = timedelta(seconds=150)
"""How long one scene may take before it counts as gone wrong; on a machine that does nothing else each takes a fifth of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A cluster, and the daemon that watches it at `url`; its scenes are about one service. `say` tells the audience."""

    cluster: EmbeddedCluster
    core: Core
    life: Lifecycle
    url: str
    service: str
    say: Say

    @property
    def ready(self) -> int:
        """Count the ready pods of the service."""
        return self.core.services.views[self.service].ready

    async def healthy(self) -> None:
        """Wait until the service is healthy and its revision is known to be good. Raises KintsugiError when it is not."""
        views, world = self.core.services.views, self.core.world
        await come(lambda: bool(world.good(self.service)) and views[self.service].healthy is True)


async def nothing_more(_: Stage) -> str:
    """Ask for nothing but that the incident ends as it should."""
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One fault: how it is told and made, and how it should end; `check` says what is wrong all the same, or ""."""

    title: str
    break_it: Callable[[Stage], Awaitable[None]]
    end: IncidentState
    check: Callable[[Stage], Awaitable[str]] = nothing_more


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a scene should have ended and how it did; no `state` when no incident came to an end in time."""

    title: str
    wanted: IncidentState
    state: IncidentState | None
    reason: str
    seconds: float
    wrong: str = ""

    @property
    def as_wanted(self) -> bool:
        """Tell whether it went as it should."""
        return self.state is self.wanted and not self.wrong


async def come(condition: Callable[[], bool]) -> None:
    """Wait until something is so. Raises KintsugiError when it never is."""
    deadline = wall_clock() + PATIENCE
    while not condition():
        if wall_clock() > deadline:
            raise KintsugiError("the stage could not be set: what was waited for did not come")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def watched(cluster: EmbeddedCluster, settings: Settings, service: str, say: Say) -> AsyncIterator[Stage]:
    """Let the daemon watch a cluster. Raises KintsugiError: a catalog with mistakes."""
    life = Lifecycle(shutdown=timedelta(seconds=10))
    told: list[ListenAddresses] = []
    try:
        core = await start(settings.scaled(), life, ready=told.append, loopback=True)
        yield Stage(cluster=cluster, core=core, life=life, url=told[0].server, service=service, say=say)
    finally:
        await life.stop()


def folder_of(folder: Path, part: str) -> Path:
    """Make the folder that a part of the demonstration keeps its ledger in."""
    (folder / part).mkdir(parents=True, exist_ok=True)
    return folder / part


async def perform(scene: Scene, stage: Stage, narrator: Narrator, patience: timedelta) -> Outcome:
    """Break something and tell what happens until an incident ends."""
    began = narrator.began = wall_clock()
    stage.say(f"\n{scene.title}.")
    await scene.break_it(stage)
    ended: Incident | None = None
    while ended is None and wall_clock() - began < patience:
        await asyncio.sleep(0.2)
        await narrator.look()
        ended = await ended_since(stage, began)
    await narrator.look()
    return Outcome(
        title=scene.title,
        wanted=scene.end,
        state=ended.state if ended is not None else None,
        reason=ended.reason.splitlines()[0] if ended is not None and ended.reason else "no incident came to an end",
        seconds=(wall_clock() - began).total_seconds(),
        wrong=await scene.check(stage) if ended is not None and ended.state is scene.end else "",
    )


async def ended_since(stage: Stage, began: datetime) -> Incident | None:
    """Find the incident of this scene, once it is over and the service can be shown anew."""
    for incident in await stage.core.ledger.incidents(limit=1, service=stage.service):
        if incident.closed is not None and incident.opened >= began:
            return incident
    return None
