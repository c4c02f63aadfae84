"""
The PostgreSQL server of a restore: its sessions, its checks, and the other clients on it.

Sessions of ours carry a name in `pg_stat_activity`, are given up by the server when the worker's machine is gone, and
run each statement alone; TLS is libpq's, from its own variables (`PGSSLMODE`, `PGSSLROOTCERT`).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from kintsugi.retries import Waits, retry
from kintsugi_restore.worker import PG_MAJOR
from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker.options import ServerOptions
from kintsugi_restore.worker_results import WorkFailure

APPLICATION = "kintsugi restore"
# How long a server may start up or a Service's address may be without an end before that is an answer; seconds.
TIMEOUT = 10.0
# The same for a server of its own, which is started beside the worker, at that very moment.
TIMEOUT_BESIDE = 60.0
_CONNECT_WITHIN = 10.0
# The server notices within a minute that the worker's machine is gone, and takes its sessions (and their locks) back.
KEEPALIVE = {"tcp_keepalives_idle": "20", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
_WAITS = Waits.of(timedelta(seconds=0.5))
_NOT_YET = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)
_AWAY = (
    *_NOT_YET,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    # What the library says when a connection broke off between two halves of an exchange.
    asyncpg.InternalClientError,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseClient:
    """A session on a database; `ours` are those of restores, dead workers' included."""

    pid: int
    user: str
    address: str
    ours: bool

    def __str__(self) -> str:
        """Return who it is: `app from 10.0.0.7`."""
        return f"{self.user} from {self.address}"


class DatabaseServer:
    """One PostgreSQL server, as a user of it."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options

    @property
    def where(self) -> str:
        """Return `HOST:PORT`, as text for people; a server that is reached by a socket is the one beside the worker."""
        return "the server beside the worker" if self.beside else f"{self.options.host}:{self.options.port}"

    @property
    def beside(self) -> bool:
        """Return whether the server is reached by the socket in a folder."""
        return self.options.host.startswith("/")

    @asynccontextmanager
    async def session(self, database: str, *, search_path: str = "pg_catalog") -> AsyncIterator[asyncpg.Connection]:
        """
        Open a session that ends with the block. Raises WorkFailed when the server cannot be used, and says why.

        A restored database may say where names are looked up: not for us. With an empty `search_path` it may.
        """
        connection = await self._connected(database, search_path)
        try:
            with self.explained():
                yield connection
        finally:
            connection.terminate()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what the server or the network says into a failure with a reason."""
        try:
            yield
        except asyncpg.DiskFullError as error:
            raise WorkFailed(WorkFailure.DISK_FULL, f"the disk of {self.where} is full: {error}") from error
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError) as error:
            raise WorkFailed(
                WorkFailure.REFUSED, f"{self.where} does not let {self.options.user} do this: {error}"
            ) from error
        except _AWAY as error:
            reason = str(error) or type(error).__name__
            raise WorkFailed(
                WorkFailure.UNREACHABLE, f"{self.where} cannot be reached or went away: {reason}"
            ) from error
        except asyncpg.PostgresError as error:
            raise WorkFailed(WorkFailure.FAILED, f"{self.where} says: {error}") from error

    async def check(self, session: asyncpg.Connection) -> None:
        """Refuse a server that nothing can be restored into: of another major version, or a standby."""
        major = int(await session.fetchval("SHOW server_version_num")) // 10000
        if major != PG_MAJOR:
            raise WorkFailed(
                WorkFailure.MISMATCH,
                f"{self.where} is PostgreSQL {major}, and this worker's programs are of PostgreSQL {PG_MAJOR}:"
                " both must be of one major version",
            )
        if await session.fetchval("SELECT pg_is_in_recovery()"):
            raise WorkFailed(WorkFailure.REFUSED, f"{self.where} is a standby: a restore needs a primary")

    async def _connected(self, database: str, search_path: str) -> asyncpg.Connection:
        """Connect; a server that starts up or an address that is not routed yet gets its time."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + (TIMEOUT_BESIDE if self.beside else TIMEOUT)
        with self.explained():
            return await retry(
                lambda: self._connect(database, search_path),
                lambda error: isinstance(error, _NOT_YET) and clock() < deadline,
                _WAITS,
            )

    async def _connect(self, database: str, search_path: str) -> asyncpg.Connection:
        search = {"search_path": search_path} if search_path else {}
        return await asyncpg.connect(
            host=self.options.host,
            port=self.options.port,
            user=self.options.user,
            password=self.options.password,
            database=database,
            timeout=_CONNECT_WITHIN,
            statement_cache_size=0,
            server_settings={"application_name": APPLICATION, **search, **KEEPALIVE},
        )


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"{}"'.format(name.replace('"', '""'))


def literal(text: str) -> str:
    """Quote a text for SQL, backslashes and all, whatever the server's settings are."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


async def clients(session: asyncpg.Connection, database: str) -> tuple[DatabaseClient, ...]:
    """List the sessions on a database; the server's own workers are not among them."""
    rows = await session.fetch(
        "SELECT pid, coalesce(usename, '?') AS user, coalesce(host(client_addr), 'the machine itself') AS address,"
        " application_name = $2 AS ours"
        " FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend' ORDER BY pid",
        database,
        APPLICATION,
    )
    return tuple(
        DatabaseClient(pid=row["pid"], user=row["user"], address=row["address"], ours=row["ours"]) for row in rows
    )


async def emptied(session: asyncpg.Connection, database: str, *, within: float = 30.0) -> tuple[DatabaseClient, ...]:
    """End all sessions on a database, and wait until they are gone; give those that were not ours."""
    found = tuple(client for client in await clients(session, database) if not client.ours)
    deadline = asyncio.get_running_loop().time() + within
    while left := await clients(session, database):
        for each in left:
            await session.fetchval("SELECT pg_terminate_backend($1)", each.pid)
        if asyncio.get_running_loop().time() > deadline:
            raise WorkFailed(WorkFailure.FAILED, f"sessions on {database} do not end: {', '.join(map(str, left))}")
        await asyncio.sleep(0.1)
    return found
