"""
One question to a PostgreSQL server, as `psql -c` asks it: a connection of its own, a read-only transaction, an end.

The host is resolved once and checked, the connection goes to a checked address, and its certificate is checked against
the name that was asked for. Nothing is taken from the environment: it may hold the ledger's own password.
"""

import re
import ssl
from asyncio import timeout
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import asyncpg

from kintsugi.clients.addresses import Address, AddressRule
from kintsugi.clients.postgres_connection import Connecting
from kintsugi.errors import ProbeFailed
from kintsugi.telemetry import in_words, refused_as

USUAL_PORT = 5432
LONGEST_ANSWER = 1 << 20
READ_ONLY = "BEGIN TRANSACTION READ ONLY"
"""Said besides the session's default, which a pooler between may drop; the connection's end ends it."""

SEARCH_PATH = "pg_catalog,pg_temp"
"""
The schemas for names without one. A path of the database or the user would let the database's owner replace functions
of ours, which run with our rights. `pg_temp` would come first if it were not named.
"""

_MISSING_ROLE = re.compile(r'(FATAL|InvalidAuthorizationSpecificationError): +role ".*" does not exist')
_MISSING_NAME = re.compile(r"\b(relation|function|aggregate|type|operator)\b.* does not exist")


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresServer:
    """
    The server's address, database and user. `sslmode` and the files are libpq's; an empty `database` is the user's own.

    A password in `passfile` comes before `password`. An empty `search_path` is SEARCH_PATH.
    """

    host: str
    user: str
    port: int = USUAL_PORT
    database: str = ""
    sslmode: str = "prefer"
    rootcert: str = ""
    passfile: str = ""
    password: str = field(default="", repr=False)
    search_path: str = ""


class PostgresClient:
    """Ask PostgreSQL servers, each question on a connection of its own."""

    def __init__(self, rule: AddressRule) -> None:
        self._rule = rule

    async def ask(self, statement: str, server: PostgresServer, *, within: timedelta) -> str:
        """
        Ask for one text: the first column of the first row.

        Raises Refused for a host that may not be asked, ProbeFailed when there is no answer or it is over 1 MiB.
        """
        where = f"{server.host}:{server.port}"
        addresses = await self._rule.resolve(server.host, server.port, within=within)
        connecting: Connecting | None = None

        def refusal(error: Exception) -> ProbeFailed:
            if isinstance(error, TimeoutError):
                return ProbeFailed(f"{where}: no answer within {within.total_seconds():g} s")
            why = connecting.refused if connecting is not None else ""
            reason = why or in_words(error)
            return ProbeFailed(f"{where}: {reason}{error_hint(reason, server.search_path)}")

        try:
            # What listens there may be no PostgreSQL. Beside its own errors asyncpg raises InternalClientError, and
            # AttributeError, AssertionError, IndexError and others of a parser that goes by what it was told.
            with refused_as(refusal, passing=()):
                connecting = _connecting(server)
                async with timeout(within.total_seconds()):
                    answer = await self._ask(statement, server, addresses, connecting, within)
        finally:
            if connecting is not None:
                await connecting.close()
        if len(answer) > LONGEST_ANSWER:
            raise ProbeFailed(f"{where}: the answer is longer than 1 MiB: ask for less")
        return answer

    async def _ask(
        self,
        statement: str,
        server: PostgresServer,
        addresses: tuple[Address, ...],
        connecting: Connecting,
        within: timedelta,
    ) -> str:
        connection = await asyncpg.connect(
            host=[str(address) for address in addresses],
            port=server.port,
            user=server.user,
            database=server.database or server.user,
            password=_password(server),
            ssl=False,
            loop=connecting,
            timeout=within.total_seconds(),
            statement_cache_size=0,
            server_settings=session_settings(within, server.search_path),
        )
        try:
            await connection.execute(READ_ONLY)
            return str(await connection.fetchval(statement))
        finally:
            connection.terminate()


def session_settings(within: timedelta, search_path: str = "") -> dict[str, str]:
    """Return what a session is held to: it reads, it ends in time, its times are in UTC, and where it looks up names."""
    return {
        "search_path": search_path or SEARCH_PATH,
        "application_name": "kintsugi",
        "default_transaction_read_only": "on",
        "statement_timeout": str(max(1, int(within.total_seconds() * 1000))),
        "timezone": "UTC",
    }


def error_hint(error: str, search_path: str) -> str:
    """Return what a server's error asks of the author, with a semicolon before it: a schema, or a role; "" where nothing is known."""
    if _MISSING_ROLE.search(error):
        return "; the statement runs as this role, which should not be a superuser: create it there, or name another (psql -U ROLE)"
    if not search_path and _MISSING_NAME.search(error):
        return "; names without a schema are looked up in pg_catalog alone: write SCHEMA.NAME"
    return ""


def _password(server: PostgresServer) -> str:
    """Return the password; an empty one where none is given, so that none is searched elsewhere."""
    if not server.passfile:
        return server.password
    for line in Path(server.passfile).read_text().splitlines():
        fields = line.replace("\\:", "\0").split(":")
        wanted = (server.host, str(server.port), server.database or server.user, server.user)
        if len(fields) == 5 and all(has in ("*", want) for has, want in zip(fields, wanted, strict=False)):
            return fields[4].replace("\0", ":").replace("\\\\", "\\")
    raise ValueError(f"{server.passfile} has no line for {server.user} at {server.host}")


def _connecting(server: PostgresServer) -> Connecting:
    """Return how connections to a server are made. Raises OSError and ValueError when a file of certificates is not right."""
    mode = server.sslmode or "prefer"
    if mode == "disable":
        return Connecting(None, name=server.host, required=False)
    context = _context(server, full=mode == "verify-full", checked=mode != "prefer")
    return Connecting(context, name=server.host, required=mode != "prefer")


def _context(server: PostgresServer, *, full: bool, checked: bool) -> ssl.SSLContext:
    """Make the context of `verify-full`; of `require`, which checks the issuer where a root is named; of `prefer`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = full
    context.verify_mode = ssl.CERT_REQUIRED if full or (checked and server.rootcert) else ssl.CERT_NONE
    if not checked:
        return context
    if server.rootcert and server.rootcert != "system":
        context.load_verify_locations(cafile=server.rootcert)
    else:
        context.load_default_certs()
    return context
