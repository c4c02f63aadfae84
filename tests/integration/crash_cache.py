"""
A cache that begins anew as a story in which the daemon is killed: asked, begun empty, and taken back by a person's word.

Its server is a double that says of its dump what Redis does: what counts is what is done to the cluster, and how often.
"""

import re
import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp

from kintsugi.executor import Executor
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState
from kintsugi.settings import GuardSettings
from kintsugi_demo.shop import stateful_set
from kubeobjects import resources
from kubeobjects.resources import PODS, PVCS
from kubesim import EmbeddedCluster, ExecReply, Image
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_restore import agree, ask, effects, fate, found
from tests.integration.crash_stage import SELDOM, SPEED, USER, CrashStage
from tests.integration.crash_story import CrashStoryEnd, ended, made
from tests.integration.database_stage import NAMESPACE, Json, catalog_of

CACHE, POD, CLAIM, REDIS = "cache", "cache-0", "data-cache-0", "redis:played"
BROKEN = (
    "1:M 26 Nov 2026 16:20:00.210 * Loading RDB produced by version 7.0.15",
    "1:M 26 Nov 2026 16:20:00.214 # Wrong RDB checksum expected: (73544a6fe1fb08a7) but got (b79bdad3339ec6a9). Aborting now.",
    "--- RDB ERROR DETECTED ---",
)
TAKEN_BACK = (IncidentState.ROLLED_BACK, IncidentState.NEEDS_OPERATOR)
TIMEOUT = 240.0
"""Seconds that one story may take, in which the daemon is started a dozen times."""

_HASTE = re.compile(r"(within|after): (?!1m\b)(\d+[smh])\b")
"""All deadlines but that of a cache which does not answer: it is waited for in vain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheScene:
    """A cache that cannot read its dump, and the factor on every duration of the shipped files meanwhile."""

    title: str
    durations: float

    def birth(self, folder: Path, *, kill_at: Collection[str] = (), executor: type[Executor] = Executor) -> DaemonStart:
        """Return how this scene's daemon is started."""
        return DaemonStart(
            folder=folder,
            durations=self.durations,
            kill_at=kill_at,
            catalog=without_haste(folder.parent / "catalog"),
            executor=executor,
            guards=GuardSettings(approval_expiry=timedelta(hours=20)),
        )

    @asynccontextmanager
    async def stage(self, birth: DaemonStart) -> AsyncIterator[CrashStage]:
        """Have the cache well, and a person who may approve and take back."""
        birth.folder.mkdir(parents=True)
        birth.operators.write_text(f"ada:{secrets.token_hex(32)}\n")
        async with EmbeddedCluster.start(speed=SPEED, images={REDIS: redis()}) as cluster:
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            cluster.apply(workload())
            cluster.kubeconfig(birth.kubeconfig, USER)
            stage = CrashStage(cluster=cluster, birth=birth)

            async def is_well() -> bool:
                return is_ready(stage)

            await stage.until(is_well)
            try:
                yield stage
            finally:
                await stage.kill()

    async def play(self, stage: CrashStage, ledger: Ledger) -> CrashStoryEnd:
        """Let the cache end at each start, a person agree to what is asked, and another one take it back."""
        old = volume_of(stage)
        stage.cluster.faults.crash_loop(found(stage, PODS, POD)["metadata"]["uid"])

        async def is_taken_back() -> bool:
            await agree(stage, ledger)
            await take_back(stage, ledger)
            incidents = await ledger.incidents.newest(limit=10)
            return [each.state in TAKEN_BACK for each in incidents] == [True]

        await stage.until(is_taken_back, within=TIMEOUT, every=SELDOM)
        return await ended(ledger, effects(made(stage), old), left(stage, old))


RESET = CacheScene(title="a cache begins anew", durations=0.01)


def without_haste(folder: Path) -> Path:
    """Copy the shipped files of the cache; its deadlines are far away for slow machines, and nothing else is changed."""
    if not folder.exists():
        catalog_of(folder, "cache-service.yaml")
        for each in (folder / "runbooks").glob("database-*.yaml"):
            each.unlink()
        for name in ("cache-recovery", "cache-reset"):
            runbook = folder / "runbooks" / f"{name}.yaml"
            text, changed = _HASTE.subn(r"\1: 20h", runbook.read_text())
            assert changed > 2, "the shipped deadlines have moved"
            runbook.write_text(text.replace("after: 20h", "after: 200h"))
    return folder


def redis() -> Image:
    """Return the image of a cache that answers; one that crashes says that its dump is broken."""
    answers = {
        "redis-cli PING": ExecReply(stdout="PONG\n", needs_ready=True),
        "redis-cli DBSIZE": ExecReply(stdout="1000\n", needs_ready=True),
    }
    return Image(commands=answers, logs=(), last_words=BROKEN)


def workload() -> Json:
    """Return the cache, whose StatefulSet would let its claim go with a scale-down."""
    made = stateful_set(CACHE, {"image": REDIS}, mounted="/data")
    policy = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}
    return {**made, "spec": {**made["spec"], **policy}}


def is_ready(stage: CrashStage) -> bool:
    """Return whether the cache's pod is ready."""
    pod = stage.cluster.get(PODS, POD, NAMESPACE) or {}
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


async def take_back(stage: CrashStage, ledger: Ledger) -> None:
    """Have what has recovered taken back, as a person does who has seen what that would lose."""
    for incident in await ledger.incidents.newest(limit=1):
        if incident.state is IncidentState.RECOVERED:
            path = f"incidents/{incident.id}/rollback"
            with suppress(aiohttp.ClientError, FileNotFoundError):
                shown = await ask(stage, path, {})
                await ask(stage, path, {"confirm": True, "digest": shown["digest"]})


def left(stage: CrashStage, old: str) -> Mapping[str, str]:
    """Return how the volumes and the workload are."""
    new = volume_of(stage)
    spec = found(stage, resources.STATEFULSETS, CACHE)["spec"]
    return {
        "the volume": "the old one" if new == old else fate(stage, new),
        "the old volume": fate(stage, old),
        "cache": f"{spec['replicas']}, {spec['persistentVolumeClaimRetentionPolicy']['whenScaled']}",
    }


def volume_of(stage: CrashStage) -> str:
    """Name the volume that the cache's claim is bound to."""
    return str(found(stage, PVCS, CLAIM)["spec"]["volumeName"])
