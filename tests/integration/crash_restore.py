"""
The whole restore of a database as a story in which the daemon is killed: proposed, agreed to, restored, recovered.

Server and worker are doubles: what counts is what is done to the cluster, how often, and in which order.
"""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kintsugi.ledger import Ledger
from kubeobjects import resources
from kubeobjects.resources import PODS, PVCS, PVS
from kubesim import EmbeddedCluster, Image, Request
from tests.harness.daemon import DaemonProcess
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_stage import SELDOM, SPEED, CrashStage
from tests.integration.crash_story import CrashStoryEnd, ended, made
from tests.integration.database_doubles import OWN_CLAIM, SERVER, server, with_a_claim_of_its_own, worker
from tests.integration.database_stage import (
    API,
    DATABASE,
    NAMESPACE,
    NIGHTLY,
    POD,
    WORKER,
    Json,
    catalog,
    is_ready,
    related_objects,
)

MARK = "kintsugi.dev/incident"
NO_DATA = 'FATAL:  "/var/lib/postgresql/data" is not a valid data directory'
TAKEN_BEFORE = timedelta(hours=1)
"""Longer ago than may be lost, with every duration scaled: a person is asked both times."""

PATIENT = {"KINTSUGI_GUARDS__APPROVAL_EXPIRY": "20h"}
"""A daemon whose questions wait for an answer also on a busy machine."""

TIMEOUT = 480.0
"""Seconds that one story may take, in which the daemon is started dozens of times."""

_HASTE = re.compile(r"(within|after): (\d+[mh])\b")
_MADE_UP = re.compile(r"^kintsugi-[0-9a-z]+-|-[0-9a-f]{6}$")


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreScene:
    """A database that finds no data, and the factor on every duration of the shipped files while it is restored."""

    title: str
    durations: float

    def daemon(self, folder: Path, *, kill_at: Collection[str] = (), **settings: str) -> DaemonProcess:
        """Describe this scene's daemon."""
        restore = {"KINTSUGI_RESTORE__IMAGE": WORKER, "KINTSUGI_RESTORE__VOLUME_SIZE": "64Mi"}
        return crash_daemon(
            folder,
            durations=self.durations,
            kill_at=kill_at,
            catalog=without_haste(folder.parent / "catalog"),
            **restore,
            **PATIENT,
            **settings,
        )

    @asynccontextmanager
    async def stage(self, daemon: DaemonProcess) -> AsyncIterator[CrashStage]:
        """Have the database, and who writes to it."""
        async with (
            EmbeddedCluster.start(speed=SPEED, images=images(daemon.folder)) as cluster,
            CrashStage.on(cluster, daemon) as stage,
        ):
            for manifest in (*related_objects(), *database()):
                cluster.apply(manifest)

            await stage.until(lambda: is_ready(cluster) and stage.is_well(API))
            yield stage

    async def play(self, stage: CrashStage, ledger: Ledger) -> CrashStoryEnd:
        """Let the server find nothing, and a person agree to what is proposed."""
        old = volume_of(stage)
        pod = found(stage, PODS, POD)
        stage.cluster.faults.crash_loop(pod["metadata"]["uid"])

        async def is_over() -> bool:
            await agree(stage, ledger)
            incidents = await ledger.incidents.newest(limit=10)
            return bool(incidents) and all(each.closed for each in incidents) and not await ledger.signals.firing()

        await stage.until(is_over, within=TIMEOUT, every=SELDOM)
        return await ended(ledger, effects(made(stage), old), left(stage, old))


RESTORE = RestoreScene(title="a database is restored", durations=0.01)


def without_haste(folder: Path) -> Path:
    """Copy the shipped files; the restore's deadlines are far away for slow machines, and nothing else is changed."""
    if not folder.exists():
        runbook = catalog(folder) / "runbooks" / "database-restore.yaml"
        text, changed = _HASTE.subn(r"\1: 20h", runbook.read_text())
        assert changed > 5, "the shipped deadlines have moved"
        runbook.write_text(text.replace("after: 20h", "after: 200h"))
        caller = runbook.with_name("database-recovery.yaml")
        text = caller.read_text()
        assert text.count("after: 6h") == 1, "the shipped deadline has moved"
        caller.write_text(text.replace("after: 6h", "after: 300h"))
    return folder


def images(folder: Path) -> Mapping[str, Image]:
    """Return the images of a server that says in its log that its data are gone, and of a worker with an old backup."""
    return {
        SERVER: server(newest=datetime.now(UTC), last_words=NO_DATA),
        WORKER: worker(folder, taken=datetime.now(UTC) - TAKEN_BEFORE),
    }


def database() -> Sequence[Json]:
    """Return a database on a claim of people's own, whose StatefulSet would let claims go with a scale-down."""
    claim, workload = with_a_claim_of_its_own()
    policy = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}
    return claim, {**workload, "spec": {**workload["spec"], **policy}}


async def agree(stage: CrashStage, ledger: Ledger) -> None:
    """Approve what is asked, as a person does: to the daemon, when there is one to be told."""
    for incident in await ledger.incidents.newest(limit=1, open_only=True):
        for asked in await ledger.people.questions_of(incident.id):
            if asked.answered is None:
                await stage.approve(asked)


def effects(requests: Sequence[Request], old: str) -> Mapping[str, int]:
    """Count what was done; names that are made up are left out, and the old volume and the new one told apart."""
    return Counter(_deed(each, old) for each in requests)


def _deed(request: Request, old: str) -> str:
    *_, kind, name = request.path.split("/")
    match request.method:
        case "POST":
            made_up = json.loads(request.body)["metadata"]["name"]
            return f"make {name} {_MADE_UP.sub('', made_up)}"
        case "PATCH":
            shown = ("the old one" if name == old else "the new one") if kind == PVS.plural else name
            return f"patch {kind} {shown}: {_patched(json.loads(request.body))}"
        case method:
            return f"{method.lower()} {kind} {name}"


def _patched(operations: Sequence[Json]) -> str:
    """Return what a JSON patch sets, without its tests and our own mark of the run."""
    sets = [
        each for each in operations if each["op"] != "test" and not each["path"].startswith("/metadata/annotations")
    ]
    fields = [(each["path"].rpartition("/")[2], each.get("value")) for each in sets]
    return ", ".join(f"{name}={list(value) if isinstance(value, dict) else value}" for name, value in fields)


def left(stage: CrashStage, old: str) -> Mapping[str, str]:
    """Return how the volumes are, and who writes."""
    new = volume_of(stage)
    writers, nightly = stage.deployment(API)["spec"], found(stage, resources.CRONJOBS, NIGHTLY)["spec"]
    spec = found(stage, resources.STATEFULSETS, DATABASE)["spec"]
    return {
        "the volume": "the old one" if new == old else fate(stage, new),
        "the old volume": fate(stage, old),
        "writers": str(writers["replicas"]),
        "nightly": "suspended" if nightly.get("suspend") else "goes on",
        "database": f"{spec['replicas']}, {spec['persistentVolumeClaimRetentionPolicy']['whenScaled']}",
    }


def fate(stage: CrashStage, volume: str) -> str:
    """Return what becomes of a volume when its claim goes, and whether it is marked."""
    kept = found(stage, PVS, volume)
    marked = "marked" if MARK in (kept["metadata"].get("labels") or {}) else "not marked"
    return f"{kept['spec']['persistentVolumeReclaimPolicy']}, {marked}"


def volume_of(stage: CrashStage) -> str:
    """Name the volume that the database's claim is bound to."""
    return str(found(stage, PVCS, OWN_CLAIM)["spec"]["volumeName"])


def found(stage: CrashStage, resource: resources.Resource, name: str) -> Json:
    """Find an object; it must be there."""
    there: Json | None = stage.cluster.get(resource, name, NAMESPACE)
    assert there is not None, f"{resource.plural}/{name} is not there"
    return there
