"""
Stories in which the daemon is killed at a chosen point: a fault, how it is mended, and what of that must be the same.

What is compared is the `CrashStoryEnd`: how the incident ended, what the ledger says of each change, and how often each change reached
the cluster, as the cluster's own log of requests has it.
"""

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol

from kintsugi.catalog.library import shipped_paths
from kintsugi.ledger import Ledger
from kintsugi_demo.shop import CRASHING, WEB
from kubesim import Request
from tests.harness.daemon import DaemonProcess
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_stage import API, SELDOM, USER, CrashStage

INDEX = re.compile(r"\[\d+\]")
"""Which item of a list a step was about: it hangs on the pods' names."""

DEADLINE = "30m"
"""When the shipped runbook of the web service is taken back."""

ELSEWHERE = (
    *(f"rules/{name}.yaml" for name in ("database", "cache-service", "ingress-controller", "stack")),
    *(f"runbooks/{name}.yaml" for name in ("full-stack-recovery", "database-*", "cache-*", "ingress-*")),
)
"""The shipped files about what is not on the stage: it would be told as missing all along, and nothing would ever be quiet."""


class CrashScene(Protocol):
    """What is told again and again: which daemon, on which stage, and what happens there."""

    @property
    def title(self) -> str:
        """Name it."""

    def daemon(self, folder: Path, *, kill_at: Collection[str] = (), **settings: str) -> DaemonProcess:
        """Describe this scene's daemon."""

    def stage(self, daemon: DaemonProcess) -> AbstractAsyncContextManager[CrashStage]:
        """Have all well, and the daemon not started yet."""

    async def play(self, stage: CrashStage, ledger: Ledger) -> "CrashStoryEnd":
        """Break something, wait until nothing is left to do, and gather how it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebScene:
    """
    A fault, the web service's copies, and the factor on every duration of the shipped files while it is mended.

    `after` is the watchdog's deadline where it is another than the shipped one: it is put off for machines on which a start
    takes seconds, and goes on while the daemon is dead.
    """

    title: str
    break_it: Callable[[CrashStage], object]
    durations: float
    replicas: int
    after: str = DEADLINE

    def daemon(self, folder: Path, *, kill_at: Collection[str] = (), **settings: str) -> DaemonProcess:
        """Describe this scene's daemon."""
        catalog = catalog_of_the_shop(folder.parent / "catalog", self.after)
        return crash_daemon(folder, durations=self.durations, kill_at=kill_at, catalog=catalog, **settings)

    def stage(self, daemon: DaemonProcess) -> AbstractAsyncContextManager[CrashStage]:
        """Have the shop well."""
        return CrashStage.set(daemon, replicas=self.replicas)

    async def play(self, stage: CrashStage, ledger: Ledger) -> "CrashStoryEnd":
        """Break something once the daemon knows what is good."""
        before = await broken(self, stage, ledger)
        await quiet(stage, ledger)
        return await end_of(stage, ledger, before)


def catalog_of_the_shop(folder: Path, after: str) -> Path:
    """Copy the shipped files of the services that are there, with a deadline of one's own and nothing else changed."""
    if not folder.exists():
        for shipped in shipped_paths():
            shutil.copytree(shipped, folder / shipped.name)
        for pattern in ELSEWHERE:
            for each in folder.glob(pattern):
                each.unlink()
        for name, before, now in (
            ("runbooks/web-service-recovery.yaml", f"after: {DEADLINE}", f"after: {after}"),
            ("rules/api-service.yaml", "dependsOn: [database, cache-service]", "dependsOn: []"),
        ):
            text = (folder / name).read_text()
            assert text.count(before) == 1, f"{name} has changed: {before}"
            (folder / name).write_text(text.replace(before, now))
    return folder


def crash_one(stage: CrashStage) -> None:
    """Let one pod crash again and again."""
    stage.cluster.faults.crash_loop(stage.pods()[0])


def roll_out_badly(stage: CrashStage) -> None:
    """Roll out a version that crashes as soon as it starts."""
    roll_out(stage, CRASHING)


def roll_out(stage: CrashStage, image: str, name: str = WEB) -> None:
    """Roll out an image, as a person does."""
    stage.change({"template": {"spec": {"containers": [{**stage.container(name), "image": image}]}}}, name)


# With four copies three are left, which is enough: whether a slow machine makes the fourth in time changes nothing. But it
# must have let the pod crash three times before the rule's two minutes are over: a run that finds less is cancelled.
CRASH_LOOP = WebScene(title="a pod crash-loops", break_it=crash_one, durations=0.015, replicas=4, after="10h")
# With three none may be missing: exactly one bad pod is made.
BAD_ROLLOUT = WebScene(title="a bad version is rolled out", break_it=roll_out_badly, durations=0.005, replicas=3)
# Time goes on while the daemon is dead: a story of many deaths must not come to its deadline before its last one.
SLOWLY_TAKEN_BACK = replace(BAD_ROLLOUT, after="2h")
TAKEN_BACK_AFTER_MANY_DEATHS = replace(BAD_ROLLOUT, after="4h")


@dataclass(frozen=True, kw_only=True, slots=True)
class CrashStoryEnd:
    """
    How a story ended, in words that do not differ from one telling to the next.

    `changes` is what the ledger says of each change; `effects` how often each reached the cluster, by what it did; `left` is
    what is found in the cluster afterwards.
    """

    incidents: Sequence[str]
    runs: int
    changes: Mapping[str, str]
    effects: Mapping[str, int]
    left: Mapping[str, str]

    def differences(self, other: "CrashStoryEnd") -> list[str]:
        """Return in which parts another end differs from this one."""
        both = [(each.name, getattr(self, each.name), getattr(other, each.name)) for each in fields(self)]
        return [f"{name}: {its} instead of {mine}" for name, mine, its in both if its != mine]


@dataclass(frozen=True, kw_only=True, slots=True)
class CrashRepetition:
    """A story that was told: its end, the points that each of its processes passed, and those at which they died."""

    end: CrashStoryEnd
    lives: Sequence[Sequence[str]]
    died_at: Sequence[str]


async def tell(daemon: DaemonProcess, scene: CrashScene) -> CrashRepetition:
    """Follow a story to its end; the daemon is started again when it dies."""
    async with scene.stage(daemon) as stage:
        stage.start()
        keeper = asyncio.create_task(stage.keep_alive())
        try:
            async with stage.ledger() as ledger:
                end = await scene.play(stage, ledger)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
    return CrashRepetition(end=end, lives=stage.passed(), died_at=stage.died_at())


async def broken(scene: WebScene, stage: CrashStage, ledger: Ledger) -> Collection[str]:
    """Break something once the daemon knows what is good; return the pods that were there."""
    await good_is_known(stage, ledger)
    before = stage.pods()
    scene.break_it(stage)
    return before


async def good_is_known(stage: CrashStage, ledger: Ledger, workloads: Iterable[str] = (WEB, API)) -> None:
    """Wait until the daemon has seen all be well for long enough."""
    uids = [stage.deployment(name)["metadata"]["uid"] for name in workloads]

    async def is_known() -> bool:
        return all([await ledger.good_state.good_revisions(each) for each in uids])

    await stage.until(is_known)


async def quiet(stage: CrashStage, ledger: Ledger) -> None:
    """Wait until nothing is left to do: incidents closed, no signal firing or unjudged, the service well."""

    async def is_quiet() -> bool:
        incidents = await ledger.incidents.newest(limit=50)
        over = bool(incidents) and all(each.closed for each in incidents)
        return over and not await ledger.signals.firing() and not await ledger.signals.pending() and stage.is_well()

    await stage.until(is_quiet, every=SELDOM)


async def end_of(stage: CrashStage, ledger: Ledger, before: Collection[str]) -> CrashStoryEnd:
    """Gather how a story ended; `before` are the pods that were there when something broke."""
    left = f"{stage.deployment()['spec']['replicas']} of {stage.container()['image']}"
    return await ended(ledger, effects(made(stage), before), {WEB: left})


async def ended(ledger: Ledger, effects: Mapping[str, int], left: Mapping[str, str]) -> CrashStoryEnd:
    """Add what the ledger says to what the cluster shows."""
    incidents = await ledger.incidents.newest(limit=50)
    runs = [run for each in incidents for run in await ledger.incidents.runs_of(each.id)]
    steps = [(run.service, step) for run in runs for step in await ledger.incidents.steps(run.id)]
    return CrashStoryEnd(
        incidents=sorted(f"{each.service} {each.state}" for each in incidents),
        runs=len(runs),
        changes={
            f"{name} {step.phase} {INDEX.sub('[]', step.path)}": step.state for name, step in steps if step.changes
        },
        effects=effects,
        left=left,
    )


def made(stage: CrashStage) -> Sequence[Request]:
    """List what the daemon changed; Kubernetes Events, which only tell of it, left out."""
    own = [each for each in stage.cluster.requests.changes() if each.user.endswith(f":{USER}") and each.mutating]
    return [each for each in own if not each.path.endswith("/events")]


def effects(requests: Sequence[Request], before: Collection[str]) -> Mapping[str, int]:
    """Count what was done where only pods are deleted."""
    deleted = [uid_of(each) for each in requests if each.method == "DELETE"]
    counted = Counter("delete a pod that was there" if uid in before else "delete a later pod" for uid in deleted)
    counted["delete the same pod again"] = len(deleted) - len(set(deleted))
    others = [each for each in requests if each.method != "DELETE"]
    return +(counted + Counter(f"{each.method} {each.path}" for each in others))


def uid_of(request: Request) -> str:
    """Return the uid that a deletion insists on."""
    return str(json.loads(request.body)["preconditions"]["uid"])
