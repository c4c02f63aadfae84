"""
`kintsugi backup fetch`, `pg_restore` and `dropdb`: the commands that a worker does, in a Job of its own.

Their rows and builders, and the names that an expression sees afterwards.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from kintsugi.commands import flags, kinds
from kintsugi.commands.problem import CommandProblem
from kintsugi.commands.references import place_of
from kintsugi.commands.row import Bound, Flag, Row
from kintsugi.expressions import BOOL, DOUBLE, INT, STRING, TIMESTAMP, ListOf, Struct, Type
from kintsugi.model.command import BackupFetch, Dropdb, PgRestore, Verb
from kintsugi.model.hosts import service_of
from kintsugi.model.restore import DRILL

BACKUP = Struct(
    "Backup",
    {
        "url": STRING,
        "file": STRING,
        "key": STRING,
        "size": INT,
        "taken": TIMESTAMP,
        "sha256": STRING,
        "proven": BOOL,
        "database": STRING,
        "server_major": INT,
        "roles": ListOf(STRING),
        "extensions": ListOf(STRING),
        "skipped": ListOf(Struct("SkippedBackup", {"url": STRING, "reason": STRING})),
        "age_seconds": DOUBLE,
    },
)
"""The backup that was fetched; see `model.restore.Backup`."""

RESTORED = Struct(
    "Restored",
    {
        "database": STRING,
        "bytes": INT,
        "seconds": DOUBLE,
        "tables": ListOf(Struct("RestoredTable", {"name": STRING, "rows": INT})),
        "taken": TIMESTAMP,
    },
)
"""What was restored; `taken` is absent where the dump does not say it."""

WORK: Mapping[str, Type] = {
    "done": Struct("Work", {"phase": STRING, "bytes": INT, "of": INT, "what": STRING}),
    "notes": ListOf(STRING),
}
"""How far a worker is, and what it has to say to people."""

FETCH: Mapping[str, Type] = {"backup": BACKUP, **WORK}
RESTORE: Mapping[str, Type] = {"restored": RESTORED, **WORK}
DROP: Mapping[str, Type] = {"dropped": Struct("Dropped", {"database": STRING}), **WORK}

_FRESH = "a backup is restored into a fresh database, in one transaction: all of it or nothing"
_SERVER = (
    Flag(names=("-h", "--host"), key="host", kind=kinds.HOST),
    Flag(names=("-p", "--port"), key="port", kind=kinds.PORT),
    Flag(names=("-U", "--username"), key="user", kind=kinds.IDENTIFIER),
)
_SCRATCH = replace(
    kinds.IDENTIFIER,
    word=f"{DRILL}NAME",
    convert=kinds.matching(
        re.compile(rf"{DRILL}[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?"),
        f"the scratch database of a drill, and no other is dropped: its name begins with {DRILL}",
    ),
    sample=f"{DRILL}sample",
)
_PROMPT = Flag(
    names=("-W", "--password"),
    refused="nobody is there to type it: the service's `env` names the Secret (PGPASSWORD)",
)


def build_fetch(bound: Bound) -> BackupFetch:
    """Build `kintsugi backup fetch`; a server is named by its host and its user, or not at all."""
    (source,) = bound.exactly(1)
    if bound.text("user") and not bound.text("host"):
        raise bound.misused("-U is the user of a server: name that with -h, too")
    return BackupFetch(
        url=source.text,
        database=bound.text("database"),
        namespace=place_of(bound),
        max_age=bound.duration("max_age"),
        host=_host(bound) if bound.text("host") else "",
        port=bound.number("port") or 0,
        user=bound.text("user"),
    )


def build_restore(bound: Bound) -> PgRestore:
    """Build `pg_restore` of one dump, into a Service of the cluster."""
    if not (bound.on("exits") and bound.on("single")):
        raise bound.misused(f"it needs --exit-on-error and --single-transaction: {_FRESH}")
    (file,) = bound.exactly(1)
    return PgRestore(
        file=file.text,
        host=_host(bound),
        port=bound.number("port") or 0,
        user=bound.text("user"),
        database=bound.text("database"),
    )


def build_drop(bound: Bound) -> Dropdb:
    """Build `dropdb` of a drill's scratch database; no other is ever dropped."""
    (database,) = bound.exactly(1)
    return Dropdb(host=_host(bound), port=bound.number("port") or 0, user=bound.text("user"), database=database.text)


def _host(bound: Bound) -> str:
    """Give the host with its namespace, so that everybody who reads it sees the same one."""
    host = bound.text("host").rstrip(".").lower()
    full = host if "." in host else f"{host}.{place_of(bound)}"
    if service_of(full) is None:
        raise CommandProblem(
            f"{bound.row.verb}: {host!r} is not a Service of the cluster: write -h SERVICE.NAMESPACE, as in database.production"
        )
    return full


ROWS = (
    Row(
        verb=Verb.BACKUP_FETCH,
        changes=True,
        usage="kintsugi backup fetch s3://BUCKET/PREFIX --database=NAME [--max-age=DURATION] [-h HOST [-p PORT] -U USER] [-n NS]",
        example="kintsugi backup fetch s3://backup-bucket/database/ --database=app --max-age=26h",
        flags=(
            flags.NAMESPACE,
            *_SERVER,
            Flag(names=("--database",), key="database", kind=kinds.IDENTIFIER, required=True),
            Flag(names=("--max-age",), key="max_age", kind=kinds.DURATION),
        ),
        arguments=(kinds.S3,),
        build=build_fetch,
        result=FETCH,
    ),
    Row(
        verb=Verb.PG_RESTORE,
        changes=True,
        usage="pg_restore --exit-on-error --single-transaction -h SERVICE.NAMESPACE [-p PORT] -U USER -d DATABASE FILE",
        example="pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/app.dump",
        flags=(
            Flag(names=("-e", "--exit-on-error"), key="exits"),
            Flag(names=("-1", "--single-transaction"), key="single"),
            *(Flag(names=each.names, key=each.key, kind=each.kind, required=each.key != "port") for each in _SERVER),
            Flag(names=("-d", "--dbname"), key="database", kind=kinds.IDENTIFIER, required=True),
            *(Flag(names=names) for names in (("-v", "--verbose"), ("-w", "--no-password"))),
            _PROMPT,
            Flag(names=("-c", "--clean"), refused=f"it drops what is there: {_FRESH}"),
            Flag(names=("-C", "--create"), refused="the database is made by the worker: name it with -d"),
            Flag(names=("-j", "--jobs"), kind=kinds.NATURAL, refused=f"it takes several transactions: {_FRESH}"),
            Flag(names=("-f", "--file"), kind=kinds.TEXT, refused="no files are written: name the database with -d"),
        ),
        arguments=(kinds.BACKUP_FILE,),
        build=build_restore,
        result=RESTORE,
    ),
    Row(
        verb=Verb.DROPDB,
        changes=True,
        usage=f"dropdb [--if-exists] -h SERVICE.NAMESPACE [-p PORT] -U USER {DRILL}NAME",
        example=f"dropdb --if-exists -h database.production -U postgres {DRILL}one",
        flags=(
            Flag(names=("--if-exists",)),
            *(Flag(names=each.names, key=each.key, kind=each.kind, required=each.key != "port") for each in _SERVER),
            Flag(names=("-w", "--no-password")),
            _PROMPT,
            Flag(names=("-f", "--force"), refused="a scratch database has no clients but our own"),
        ),
        arguments=(_SCRATCH,),
        build=build_drop,
        result=DROP,
    ),
)
