"""
The second part of the demonstration: a real PostgreSQL whose data are damaged on disk, and a real backup of it in a real S3.
"""

import asyncio
import hashlib
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kintsugi.cli.demo.part import DemoPart
from kintsugi.cli.demo.scene import DemoScene
from kintsugi.cli.demo.scenes import SceneName
from kintsugi.cli.demo.shop import (
    BACKUPS_CLAIM,
    CACHE,
    DATABASE_CLAIM,
    DATABASE_POD,
    NAMESPACE,
    POSTGRES,
    S3,
    S3_CREDENTIALS,
    S3_ENDPOINT,
    back_office,
    played_cache,
)
from kintsugi.cli.demo.stage import WHO, DemoStage, wait_until
from kintsugi.cli.demo.worker_image import worker_image
from kintsugi.cli.exit_codes import Unreachable
from kintsugi.decisions.reconciliation import open_questions
from kintsugi.errors import KintsugiError
from kintsugi.kube.client import KubeClient
from kintsugi.model.records import IncidentState
from kintsugi.settings import KubeSettings, RestoreSettings, S3Settings, Settings
from kubeobjects import resources
from kubesim import EmbeddedCluster, Image
from kubesim.postgres import postgres_image
from kubesim.s3 import s3_image

SERVICE = "database"
WORKER: Final = "kintsugi:demo"
BACKED_UP, LATER = 1000, 12
"""Orders that are in the backup, and orders that came after it."""

_ORDERS: Final = "CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now())"
_COME: Final = "INSERT INTO orders SELECT FROM generate_series(1, {count})"
_COUNT: Final = "SELECT count(*) FROM orders"
_LARGEST_DUMP: Final = 16 * 1024 * 1024


def images() -> Mapping[str, Image]:
    """Return the images of real programs, and of the cache. Raises KintsugiError when one of the programs is not installed."""
    return {POSTGRES: postgres_image(), S3: s3_image(), WORKER: worker_image(), CACHE: played_cache()}


async def furnish(cluster: EmbeddedCluster, folder: Path) -> None:
    """Put the database up, take orders, make a backup of them as people do, and take some more orders."""
    for manifest in back_office():
        cluster.apply(manifest)
    await wait_until(
        lambda: all(_is_ready(cluster, name) for name in (DATABASE_POD, "backups-0", "cache-0")), "its programs"
    )
    async with administrator(cluster, folder) as kube:
        await take_orders(kube)
        dumped = await kube.execute(
            DATABASE_POD, NAMESPACE, ["pg_dump", "-U", "postgres", "-Fc", "app"], limit_bytes=_LARGEST_DUMP
        )
        _lay_down(cluster, dumped.stdout)
        await _psql(kube, _COME.format(count=LATER))


def administrator(cluster: EmbeddedCluster, folder: Path) -> AbstractAsyncContextManager[KubeClient]:
    """Connect as the cluster's administrator."""
    folder.mkdir(parents=True, exist_ok=True)
    return KubeClient.connect(KubeSettings(kubeconfig=cluster.kubeconfig(folder / "administrator")))


async def take_orders(kube: KubeClient) -> None:
    """Make the application's database, with orders in it."""
    for statement in ("CREATE ROLE app LOGIN", "CREATE DATABASE app OWNER app"):
        await _psql(kube, statement, "postgres")
    for statement in (_ORDERS, _COME.format(count=BACKED_UP)):
        await _psql(kube, statement)


def adapt(settings: Settings) -> Settings:
    """Return where backups are, and what restores them."""
    s3 = S3Settings(endpoint=S3_ENDPOINT, region="eu-central-1", credentials=S3_CREDENTIALS)
    return replace(settings, restore=RestoreSettings(image=WORKER, volume_size="64Mi", s3=s3))


async def damage(stage: DemoStage) -> None:
    """Write zeros over the write-ahead log on disk, and kill the server; a person is there who can be asked."""
    stage.life.spawn_once("person", answer(stage))
    data = stage.cluster.disk_of(DATABASE_CLAIM, NAMESPACE)
    segments = sorted((data / "pg_wal").glob("0*"))
    for each in segments:
        each.write_bytes(b"\0" * each.stat().st_size)
    stage.teller.write(f"       $ dd if=/dev/zero of=pg_wal/{segments[-1].name}; kill -9 postgres")
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


async def answer(stage: DemoStage) -> None:
    """Read what a person is asked, and say yes, as `kintsugi approve` does."""
    client = stage.client
    while True:
        await asyncio.sleep(0.3)
        with suppress(Unreachable):  # a daemon that is too busy is asked again
            for incident in await client.incidents(service=SERVICE, open_only=True, limit=1):
                if incident.state is IncidentState.AWAITING_APPROVAL:
                    await approve(stage, incident.id)


async def approve(stage: DemoStage, incident: str) -> None:
    """Approve what an incident asks a person."""
    for asked in open_questions((await stage.client.incident(incident)).approvals):
        await stage.client.approve(incident, path=asked.path, plan=asked.plan)
        stage.teller.write(f"       {WHO} reads the question and approves the plan: $ kintsugi approve {incident}")


async def rows_are_back(stage: DemoStage) -> str:
    """
    Return the problem when the database does not have the rows of its backup, or the loss was not reported; "" for
    none.
    """
    found = await _psql(stage.core.kube, _COUNT)
    stage.teller.write(f"       $ psql -d app -c '{_COUNT}': {found} (before the damage: {BACKED_UP + LATER})")
    [incident] = await stage.core.ledger.incidents.newest(limit=1, service=SERVICE)
    if found != str(BACKED_UP):
        return f"{found} orders instead of the {BACKED_UP} of the backup"
    return "" if "restored to" in incident.reason else "the incident does not name the lost data"


PART = DemoPart(
    name="database",
    place="database",
    about="a cluster with a real PostgreSQL, a backup of it and a real S3 server",
    services=(SERVICE, "cache-service", "api-service"),
    speed=100,  # three starts of a crash loop are soon seen, and soon over
    factor=0.05,  # real programs take real time: less would be too short for them
    furnish=furnish,
    images=images,
    adapt=adapt,
    scenes=(
        DemoScene(
            name=SceneName.DATA_LOSS,
            title=f"The database's data are damaged on disk ({BACKED_UP} orders are in the backup, {LATER} came after it)",
            rule="database-pods-unhealthy",
            waits="three failed starts, a person's approval, and the restore",
            break_it=damage,
            service=SERVICE,
            end=IncidentState.RECOVERED,
            check=rows_are_back,
        ),
    ),
)


def _is_ready(cluster: EmbeddedCluster, pod: str) -> bool:
    found = cluster.get(resources.PODS, pod, NAMESPACE) or {}
    statuses: Sequence[Mapping[str, object]] = found.get("status", {}).get("containerStatuses", ())
    return bool(statuses) and all(each["ready"] for each in statuses)


def _lay_down(cluster: EmbeddedCluster, dump: bytes) -> None:
    """Put a backup where backups are, and its checksum beside it."""
    name = f"app-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"
    folder = cluster.disk_of(BACKUPS_CLAIM, NAMESPACE) / "backup-bucket" / "database"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(dump)
    (folder / f"{name}.sha256").write_text(f"{hashlib.sha256(dump).hexdigest()}  {name}\n")


async def _psql(kube: KubeClient, statement: str, database: str = "app") -> str:
    """Do a statement as the role that a database is named after, and return what it says. Raises KintsugiError."""
    words = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", database, "-d", database, "-c", statement]
    done = await kube.execute(DATABASE_POD, NAMESPACE, words)
    if done.exit_code:
        raise KintsugiError(f"psql ended with {done.exit_code}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode().strip()
