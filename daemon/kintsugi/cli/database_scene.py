"""
The second part of the demonstration: a real PostgreSQL whose data are damaged on disk, and a real backup of it in a real S3.
"""

import asyncio
import hashlib
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kintsugi.cli.client import connect
from kintsugi.cli.narration import Say
from kintsugi.cli.stage import Scene, Stage, come, folder_of, watched
from kintsugi.errors import KintsugiError
from kintsugi.kube.client import KubeClient
from kintsugi.model.records import IncidentState
from kintsugi.objects import resources
from kintsugi.rehearsal import EmbeddedCluster, Image
from kintsugi.rehearsal.postgres import postgres_image
from kintsugi.rehearsal.s3 import s3_image
from kintsugi.rehearsal.shop import (
    BACKUPS_CLAIM,
    DATABASE_CLAIM,
    DATABASE_POD,
    NAMESPACE,
    POSTGRES,
    S3,
    S3_CREDENTIALS,
    S3_ENDPOINT,
    back_office,
)
from kintsugi.rehearsal.worker import worker_image
from kintsugi.settings import (
    CatalogSettings,
    HealthSettings,
    KubeSettings,
    LedgerSettings,
    RestoreSettings,
    S3Settings,
    ServerSettings,
    Settings,
)

SERVICE = "database"
SPEED = 100.0
"""How much faster than Kubernetes the database's cluster lives: three starts of a crash loop are soon seen, and soon over."""

FACTOR = 0.05
"""What every duration of the shipped files is multiplied by. Real programs take real time: less would be too short for them."""

WORKER: Final = "kintsugi:demo"
WHO: Final = "ada"
BACKED_UP, LATER = 1000, 12
"""Orders that are in the backup, and orders that came after it."""

_TOKEN: Final = secrets.token_urlsafe(24)
_ORDERS: Final = "CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now())"
_COME: Final = "INSERT INTO orders SELECT FROM generate_series(1, {count})"
_COUNT: Final = "SELECT count(*) FROM orders"
_LARGEST_DUMP: Final = 16 * 1024 * 1024


def images() -> Mapping[str, Image]:
    """Give the images of real programs. Raises KintsugiError when one of the programs is not installed."""
    return {POSTGRES: postgres_image(), S3: s3_image(), WORKER: worker_image()}


async def furnish(cluster: EmbeddedCluster, folder: Path) -> None:
    """Put the database up, take orders, make a backup of them as people do, and take some more orders."""
    for manifest in back_office():
        cluster.apply(manifest)
    await come(lambda: all(_is_ready(cluster, name) for name in (DATABASE_POD, "backups-0", "cache-0")))
    async with KubeClient.connect(_admin(cluster, folder)) as kube:
        await _psql(kube, "CREATE DATABASE app", "postgres")
        for statement in (_ORDERS, _COME.format(count=BACKED_UP)):
            await _psql(kube, statement)
        dumped = await kube.execute(
            DATABASE_POD, NAMESPACE, ["pg_dump", "-U", "postgres", "-Fc", "app"], limit_bytes=_LARGEST_DUMP
        )
        _lay_down(cluster, dumped.stdout)
        await _psql(kube, _COME.format(count=LATER))


def set_stage(
    cluster: EmbeddedCluster, folder: Path, catalog: Path | None, say: Say
) -> AbstractAsyncContextManager[Stage]:
    """Let the daemon watch the database."""
    kept = folder_of(folder, "database")
    settings = Settings(
        mode="auto",
        durations=FACTOR,
        kube=_admin(cluster, folder),
        ledger=LedgerSettings(url=f"sqlite:///{kept / 'ledger.db'}"),
        server=ServerSettings(
            host="127.0.0.1", port=0, insecure_no_token=True, operator_token_files=(_token_file(kept),)
        ),
        health=HealthSettings(host="127.0.0.1", port=0),
        catalog=CatalogSettings(directory=catalog),
        restore=RestoreSettings(
            image=WORKER,
            room="64Mi",
            s3=S3Settings(endpoint=S3_ENDPOINT, region="eu-central-1", credentials=S3_CREDENTIALS),
        ),
    )
    return watched(cluster, settings, SERVICE, say)


async def damage(stage: Stage) -> None:
    """Write zeros over the write-ahead log on disk, and kill the server; a person is there who can be asked."""
    stage.life.spawn_once("person", answer(stage))
    data = stage.cluster.disk_of(DATABASE_CLAIM, NAMESPACE)
    segments = sorted((data / "pg_wal").glob("0*"))
    for each in segments:
        each.write_bytes(b"\0" * each.stat().st_size)
    stage.say(f"       $ dd if=/dev/zero of=pg_wal/{segments[-1].name}; kill -9 postgres")
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


async def answer(stage: Stage) -> None:
    """Read what a person is asked, and say yes, as `kintsugi approve` does."""
    async with connect(stage.url, token=_TOKEN, who=WHO) as client:
        while True:
            await asyncio.sleep(0.3)
            for incident in await client.incidents(service=SERVICE, open_only=True, limit=1):
                if incident.state is not IncidentState.AWAITING_APPROVAL:
                    continue
                for asked in (await client.incident(incident.id)).approvals:
                    if asked.answered is None:
                        await client.approve(incident.id, path=asked.path, plan=asked.plan)
                        stage.say(f"       {WHO} reads this and says yes: $ kintsugi approve {incident.id}")


async def rows_are_back(stage: Stage) -> str:
    """Say what is wrong when the database does not hold what was in its backup, or the loss was not told."""
    found = await _psql(stage.core.kube, _COUNT)
    stage.say(f"       $ psql -d app -c '{_COUNT}': {found}; before the damage it was {BACKED_UP + LATER}")
    [incident] = await stage.core.ledger.incidents(limit=1, service=SERVICE)
    if found != str(BACKED_UP):
        return f"{found} orders instead of the {BACKED_UP} of the backup"
    return "" if "restored to" in incident.reason else "it was not said how much is lost"


SCENE = Scene(
    title=f"The database's data are damaged on disk ({BACKED_UP} orders are in the backup, {LATER} came after it)",
    break_it=damage,
    end=IncidentState.RECOVERED,
    check=rows_are_back,
)


def _admin(cluster: EmbeddedCluster, folder: Path) -> KubeSettings:
    return KubeSettings(kubeconfig=cluster.kubeconfig(folder_of(folder, "database") / "kubeconfig"))


def _token_file(folder: Path) -> Path:
    """Write down whose word counts."""
    file = folder / "operators"
    file.touch(mode=0o600)
    file.write_text(f"{WHO}:{_TOKEN}\n")
    return file


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
    words = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", statement]
    done = await kube.execute(DATABASE_POD, NAMESPACE, words)
    if done.exit_code:
        raise KintsugiError(f"psql ended with {done.exit_code}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode().strip()
