"""
Killed at each change of a cache that begins anew, and of its way back, the daemon goes on: each is made once (P2, P3, C1, C2).

The cache's server is a double that says of its dump what Redis does: what counts is what is done to the cluster, and how often.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState
from kintsugi_demo.shop import stateful_set
from kubeobjects import resources
from kubeobjects.resources import PODS, PVCS
from kubesim import EmbeddedCluster, ExecReply, Image
from tests.harness.daemon import DaemonProcess
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_restore import PATIENT, agree, effects, fate, found
from tests.integration.crash_stage import SELDOM, SPEED, CrashStage
from tests.integration.crash_story import CrashStoryEnd, ended, made, tell
from tests.integration.database_stage import NAMESPACE, Json, catalog_of

pytestmark = pytest.mark.long

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

    def daemon(self, folder: Path, *, kill_at: Collection[str] = (), **settings: str) -> DaemonProcess:
        """Describe this scene's daemon."""
        catalog = without_haste(folder.parent / "catalog")
        return crash_daemon(folder, durations=self.durations, kill_at=kill_at, catalog=catalog, **PATIENT, **settings)

    @asynccontextmanager
    async def stage(self, daemon: DaemonProcess) -> AsyncIterator[CrashStage]:
        """Have the cache well."""
        async with (
            EmbeddedCluster.start(speed=SPEED, images={REDIS: redis()}) as cluster,
            CrashStage.on(cluster, daemon) as stage,
        ):
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            cluster.apply(workload())

            async def is_well() -> bool:
                return is_ready(stage)

            await stage.until(is_well)
            yield stage

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
            path = f"/api/v1/incidents/{incident.id}/rollback"
            status, shown = await asyncio.to_thread(stage.daemon.post, path, {})
            if status == 200:
                confirmed = {"confirm": True, "digest": shown["digest"]}
                await asyncio.to_thread(stage.daemon.post, path, confirmed)


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


EFFECTS = {
    "patch persistentvolumes the old one: persistentVolumeReclaimPolicy=Retain": 1,
    "patch statefulsets cache: whenScaled=Retain": 1,
    "patch statefulsets cache: replicas=0": 2,
    "patch persistentvolumes the old one: labels=['kintsugi.dev/incident']": 1,
    "delete persistentvolumeclaims data-cache-0": 1,
    "patch statefulsets cache: replicas=1": 2,
    "patch statefulsets cache: whenScaled=Delete": 1,
    "patch persistentvolumes the old one: uid=None, resourceVersion=None": 1,
    "make persistentvolumeclaims data-cache-0": 1,
}
"""Stopped and started again twice: on the way there, and on the way back."""

LEFT = {"the volume": "the old one", "the old volume": "Retain, marked", "cache": "1, Delete"}


CHANGES = (
    *("keep[]#0", "retain#0", "stop#0", "mark[]#0", "claim[]#0", "start#0", "retain#0~0"),
    *("start#0~0", "claim[]#0~0", "claim[]#0~1", "claim[]#0~2", "stop#0~0"),
)
"""What it changes, in this order, as the ledger names it below the reset; the last five are the way back."""


async def test_killed_before_and_after_every_effect_of_a_cache_s_reset_and_of_its_way_back_the_end_is_the_same(
    tmp_path: Path,
) -> None:
    """C1, C2, P3: one story dies before each effect, another one after each."""
    points = {side: [f"{side} effect anew/{change} 1" for change in CHANGES] for side in ("before", "after")}
    undisturbed, before, after = await asyncio.gather(
        tell(RESET.daemon(tmp_path / "undisturbed"), RESET),
        *(tell(RESET.daemon(tmp_path / side, kill_at=died), RESET) for side, died in points.items()),
    )

    assert list(undisturbed.end.incidents) == [IncidentState.ROLLED_BACK]
    assert undisturbed.end.effects == EFFECTS
    assert undisturbed.end.left == LEFT
    assert [point for point in undisturbed.lives[0] if " effect " in point] == [
        f"{side} effect anew/{change} 1" for change in CHANGES for side in points
    ]
    assert {"before": list(before.died_at), "after": list(after.died_at)} == points
    assert [undisturbed.end.differences(each.end) for each in (before, after)] == [[], []]
