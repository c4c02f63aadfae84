"""
`kintsugi backup fetch` and `pg_restore`: the commands that a worker executes, in a Job of its own.

Their rows and builders, and the names that an expression sees afterwards.
"""

from collections.abc import Mapping

from kintsugi.commands import arg_types
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import Flag, ParsedCommand
from kintsugi.commands.references import place_of
from kintsugi.expressions import BOOL, DOUBLE, INT, STRING, TIMESTAMP, ListOf, Struct, Type
from kintsugi.model.hosts import service_of
from kintsugi.model.restores import DRILL, OWN_SERVER
from kintsugi.model.worker_commands import BackupFetch, PgRestore, is_drill_server

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
        "serverMajor": INT,
        "roles": ListOf(STRING),
        "extensions": ListOf(STRING),
        "skipped": ListOf(Struct("SkippedBackup", {"url": STRING, "reason": STRING})),
        "ageSeconds": DOUBLE,
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
"""The restored database; `taken` is absent where the dump does not record it."""

WORK: Mapping[str, Type] = {
    "done": Struct("Work", {"phase": STRING, "bytes": INT, "of": INT, "what": STRING}),
    "notes": ListOf(STRING),
}
"""The progress of a worker, and its messages for people."""

FETCH: Mapping[str, Type] = {"backup": BACKUP, **WORK}
RESTORE: Mapping[str, Type] = {"restored": RESTORED, **WORK}

INTO_NEW_DATABASE = "a backup is restored into a fresh database, in one transaction: all of it or nothing"
SERVER = (
    Flag(names=("-h", "--host"), key="host", kind=arg_types.HOST),
    Flag(names=("-p", "--port"), key="port", kind=arg_types.PORT),
    Flag(names=("-U", "--username"), key="user", kind=arg_types.IDENTIFIER),
)
PROMPT = Flag(
    names=("-W", "--password"),
    refused="it cannot be typed in: the service's `env` names the Secret (PGPASSWORD)",
)


def build_fetch(parsed: ParsedCommand) -> BackupFetch:
    """Build `kintsugi backup fetch`; a server is named by its host and its user, or not at all."""
    (source,) = parsed.exactly(1)
    if parsed.text("user") and not parsed.text("host"):
        raise parsed.misused("-U is the user of a server: name that with -h, too")
    host = _host(parsed) if parsed.text("host") else ""
    if is_drill_server(host):
        raise parsed.misused(f"{host} is the server of a drill's own Job, which nothing but its restore can reach")
    return BackupFetch(
        url=source.text,
        database=parsed.text("database"),
        namespace=place_of(parsed),
        max_age=parsed.duration("max_age"),
        host=host,
        port=parsed.number("port") or 0,
        user=parsed.text("user"),
    )


def build_restore(parsed: ParsedCommand) -> PgRestore:
    """Build `pg_restore` of one dump, into a Service of the cluster or the server of a drill's own Job."""
    if not (parsed.on("exits") and parsed.on("single")):
        raise parsed.misused(f"it needs --exit-on-error and --single-transaction: {INTO_NEW_DATABASE}")
    (file,) = parsed.exactly(1)
    host = _host(parsed)
    if is_drill_server(host) and (parsed.number("port") or not parsed.text("database").startswith(DRILL)):
        raise parsed.misused(
            f"-h {OWN_SERVER} is the server of a drill's own Job: without -p, and with -d {DRILL}NAME; write -h SERVICE.NAMESPACE for another"
        )
    return PgRestore(
        file=file.text,
        host=host,
        port=parsed.number("port") or 0,
        user=parsed.text("user"),
        database=parsed.text("database"),
    )


def _host(parsed: ParsedCommand) -> str:
    """Return the host with its namespace, so that everybody who reads it sees the same one."""
    host = parsed.text("host").rstrip(".").lower()
    full = host if "." in host else f"{host}.{place_of(parsed)}"
    if service_of(full) is None:
        raise CommandProblem(
            f"{parsed.spec.verb}: {host!r} is not a Service of the cluster: write -h SERVICE.NAMESPACE, as in database.production"
        )
    return full
