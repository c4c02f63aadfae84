"""
The worker's command line, read into values.

Passwords are in the environment only (every process on the machine can see a command line): `PGPASSWORD` is the user's,
`PGPASSWORD_<ROLE>` that of a declared role, in capitals and with `_` for what a variable's name cannot hold.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

USUAL_PORT = 5432
PASSWORD = "PGPASSWORD"  # noqa: S105  the name of the variable


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseRole:
    """A role that the database needs, and its password where one is given."""

    name: str
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    """The address of the PostgreSQL server, and the user's credentials."""

    host: str
    port: int
    user: str
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchOptions:
    """
    The options of a fetch. `volume_bytes` is in bytes; `min_size_ratio` is the least share of the size of the backup before.

    All of it ends `within` that time.
    """

    url: str
    into: Path
    database: str
    server: ServerOptions | None = None
    max_age: timedelta | None = None
    volume_bytes: int | None = None
    min_size_ratio: float = 0.5
    roles: tuple[DatabaseRole, ...] = ()
    within: timedelta = timedelta(hours=4)


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreOptions:
    """
    The options of a restore. `scratch` marks the database as a drill's, `name` is the run's id.

    With `hold` the worker stays when it is done, until it is asked to stop: the server ends with it.
    """

    file: Path
    server: ServerOptions
    database: str
    sha256: str | None = None
    roles: tuple[DatabaseRole, ...] = ()
    scratch: bool = False
    name: str = ""
    hold: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DropOptions:
    """The options of dropping a scratch database."""

    server: ServerOptions
    database: str


Options = FetchOptions | RestoreOptions | DropOptions


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read the command line. Exits with 2 and says what would be right when it cannot be understood."""
    found = _parser().parse_args(arguments)
    roles = tuple(_role(name, environment) for name in getattr(found, "role", ()))
    match found.work:
        case "fetch":
            return _fetch(found, roles, environment)
        case "restore":
            return RestoreOptions(
                file=found.file,
                server=_server(found, environment),
                database=found.database,
                sha256=found.sha256,
                roles=roles,
                scratch=found.scratch,
                name=found.name,
                hold=found.hold,
            )
        case _:
            return DropOptions(server=_server(found, environment), database=found.database)


def password_variable(role: str) -> str:
    """Name the variable that holds the password of a role."""
    return f"{PASSWORD}_{re.sub(r'[^A-Za-z0-9]', '_', role).upper()}"


def _fetch(found: argparse.Namespace, roles: tuple[DatabaseRole, ...], environment: Mapping[str, str]) -> FetchOptions:
    server = None
    if found.server:
        host, _, port = found.server.rpartition(":") if ":" in found.server else (found.server, "", str(USUAL_PORT))
        server = ServerOptions(host=host, port=int(port), user=found.user, password=environment.get(PASSWORD))
    return FetchOptions(
        url=found.url,
        into=found.into,
        database=found.database,
        server=server,
        max_age=None if found.max_age is None else timedelta(seconds=found.max_age),
        volume_bytes=found.volume_bytes,
        min_size_ratio=found.min_size_ratio,
        roles=roles,
        within=timedelta(seconds=found.within),
    )


def _server(found: argparse.Namespace, environment: Mapping[str, str]) -> ServerOptions:
    return ServerOptions(host=found.host, port=found.port, user=found.user, password=environment.get(PASSWORD))


def _role(name: str, environment: Mapping[str, str]) -> DatabaseRole:
    return DatabaseRole(name=name, password=environment.get(password_variable(name)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kintsugi_restore.worker", allow_abbrev=False)
    works = parser.add_subparsers(dest="work", required=True)
    _add_fetch(works.add_parser("fetch", help="fetch the newest backup that passes every check", allow_abbrev=False))
    _add_restore(works.add_parser("restore", help="restore a dump into a fresh database", allow_abbrev=False))
    drop = works.add_parser("drop", help="drop the scratch database of a drill", allow_abbrev=False)
    _add_server(drop)
    drop.add_argument("--database", required=True)
    return parser


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--server", metavar="HOST[:PORT]")
    parser.add_argument("--user", default="postgres")
    parser.add_argument("--max-age", type=float, metavar="SECONDS")
    parser.add_argument("--volume-bytes", type=int, metavar="BYTES")
    parser.add_argument("--min-size-ratio", type=float, metavar="FRACTION", default=0.5)
    parser.add_argument("--within", type=float, metavar="SECONDS", default=4 * 3600)
    parser.add_argument("--role", action="append", default=[])


def _add_restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    _add_server(parser)
    parser.add_argument("--database", required=True)
    parser.add_argument("--sha256")
    parser.add_argument("--role", action="append", default=[])
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--name", default="")
    parser.add_argument("--hold", action="store_true")


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=USUAL_PORT)
    parser.add_argument("--user", default="postgres")
