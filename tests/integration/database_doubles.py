"""A database and a worker that only say what they would: for the ways that a restore may take, not for the data."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from kintsugi.model.restores import Backup, Restored, Table
from kintsugi_restore.worker_log import encode
from kubesim import ExecReply, Image
from kubesim.images import Program
from tests.integration.database_stage import NAMESPACE, WORKER, stateful_set
from tests.integration.process_stage import CLAIM_SPEC

Json = dict[str, Any]

SERVER = "database:16"
OWN_CLAIM = "database-pvc"
PROBE = ("true",)
_PANIC = "2026-05-04 12:00:00 UTC [1] PANIC:  could not locate a valid checkpoint record"


def rows(*found: Json) -> ExecReply:
    """Answer a question with these rows, as the server itself would."""
    return ExecReply(stdout=f"{orjson.dumps(found).decode()}\n", needs_ready=True)


def server(
    *,
    newest: datetime,
    starts_after: timedelta = timedelta(seconds=1),
    last_words: str = _PANIC,
) -> Image:
    """
    Make the image of a server that answers all that a restore asks; one that crashes says that its data are damaged.

    `newest` is when the newest of its rows was written.
    """
    counted = {"schemaname": "public", "relname": "orders", "inserted": 1000, "updated": 0, "deleted": 0}
    answers = {
        "*pg_is_in_recovery*": rows({"standby": False}),
        "*pg_stat_activity*": rows({"count": 0}),
        "*count(*) FROM pg_stat_user_tables*": rows({"count": 7}),
        "*pg_stat_user_tables*": rows(counted),
        "*pg_replication_slots*": rows(),
        "*pg_constraint*": rows(),
        "*pg_extension*": rows(),
        "*orders_id_seq*": rows({"ahead": True}),
        "*max(created_at)*": rows({"newest": newest.isoformat()}),
        "*FROM orders*": rows({"count": 1000}),
        "*pg_database*": rows({"datname": "app"}),
        "psql *": rows({"one": 1}),
        "true": ExecReply(needs_ready=True),
    }
    return Image(commands=answers, ready_after=starts_after, last_words=(last_words,))


def worker(folder: Path, *, taken: datetime) -> Image:
    """Make the image of a worker whose every work is done at once; the backup that it finds was taken then."""
    backup = Backup(
        url="s3://backup-bucket/database/monday.dump",
        file="/backups/monday.dump",
        key="database/monday.dump",
        size=4096,
        taken=taken,
        sha256="0" * 64,
        proven=True,
        database="app",
        server_major=16,
    )
    restored = Restored(database="app", bytes=4096, seconds=0.5, tables=(Table(name="public.orders", rows=1000),))
    script = folder / "worker.py"
    script.write_text(
        f"import sys\nprint({encode(backup)!r} if 'fetch' in sys.argv else {encode(restored)!r}, flush=True)\n"
    )
    return Image(
        program=Program(entrypoint=("python",), programs={"python": (sys.executable, "-I", "-S", str(script))})
    )


def images(folder: Path, *, starts_after: timedelta = timedelta(seconds=1)) -> Mapping[str, Image]:
    """Return the images of a server and a worker. The backup is of just now: it is within any RPO."""
    taken = datetime.now(UTC) - timedelta(seconds=20)
    return {
        SERVER: server(newest=taken, starts_after=starts_after),
        WORKER: worker(folder, taken=taken),
    }


def with_a_claim_of_its_own() -> Sequence[Json]:
    """Return a database on a claim that people made, with marks of theirs."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": OWN_CLAIM, "namespace": NAMESPACE, "labels": {"team": "data"}},
        "spec": CLAIM_SPEC,
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": OWN_CLAIM}}
    return claim, stateful_set(SERVER, PROBE, volumes=[volume])
