"""
`kintsugi backup fetch` and `pg_restore`: the commands that a worker executes, in a Job of its own.

The types of their arguments, their builders, and the names that an expression sees afterwards.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from kintsugi.commands import arg_types
from kintsugi.commands.arg_types import ArgType
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import Flag, ParsedCommand
from kintsugi.commands.references import place_of
from kintsugi.expressions import BOOL, DOUBLE, INT, STRING, TIMESTAMP, ListOf, Struct, Type, format_value
from kintsugi.model.hosts import service_of
from kintsugi.model.restores import DRILL, OWN_SERVER
from kintsugi_restore.commands import BackupFetch, PgRestore, is_drill_server
from kintsugi_restore.worker_results import BACKUPS

_S3 = re.compile(r"s3://[a-z0-9][-a-z0-9.]{1,61}[a-z0-9](?:/([^\s?#\\\x00-\x1f\x7f]{0,900}))?")
_S3_PIECE = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_./]{0,250}[A-Za-z0-9])?")
_BACKUP_FILE = re.compile(rf"{BACKUPS}/([^\x00-\x1f\x7f]{{1,900}})")

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
"""The backup that was fetched; see `model.restores.Backup`."""

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


def _s3(text: str) -> str:
    """Read a bucket and what its keys begin with; a key is no path, so that `..` in it could only mean mischief."""
    if not (found := _S3.fullmatch(text)):
        raise ValueError(f"{text!r} is not s3://BUCKET/PREFIX, without blanks, ?, # or a user name")
    _check_segments(text, found[1] or "")
    return text


def _put_s3(before: str, value: object) -> str:
    """A value alone is a whole URL; inside one it is a piece of the key."""
    text = format_value(value)
    if before and not _S3_PIECE.fullmatch(text):
        raise ValueError(f"{text!r} is not a piece of a key (letters, digits, and -_./ between them)")
    return text


def _backup_file(text: str) -> str:
    if not (found := _BACKUP_FILE.fullmatch(text)):
        raise ValueError(f"{text!r} is not a file below {BACKUPS}: take it from the step that fetched it")
    _check_segments(text, found[1])
    return text


def _check_segments(text: str, path: str) -> None:
    if any(segment in {".", ".."} for segment in path.split("/")):
        raise ValueError(f"{text!r} points outside its folder: leave out . and ..")


S3 = ArgType(word="s3://BUCKET/PREFIX", shape="url", convert=_s3, sample="s3://sample/sample", put=_put_s3)
BACKUP_FILE = replace(arg_types.TEXT, word="FILE", convert=_backup_file, sample=f"{BACKUPS}/sample")
