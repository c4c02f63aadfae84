"""
Connections to the two databases, set up so that neither loses anything; and what their errors mean.

What asks the database is a plain function of a connection. SQLite blocks who asks it, so its functions run in a thread, a
whole transaction at a time; on PostgreSQL they run on the event loop, which goes on while the server works.

SQLite: WAL with synchronous=FULL (a power cut loses no commit), foreign keys, and BEGIN IMMEDIATE: with the driver's own
transactions, concurrent read-modify-writes are lost without an error. One connection writes; others only read.
PostgreSQL: every wait has an end, on the server and here.

An error of a driver or of SQLAlchemy is classified by three questions: may the same transaction be retried, was the connection
lost (so that a COMMIT may have succeeded), and which advice does a person need.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg
from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from kintsugi.errors import LedgerError, LedgerUnavailable
from kintsugi.offload import searched
from kintsugi.telemetry import SECRETS

T = TypeVar("T")

BUSY_TIMEOUT = timedelta(seconds=10)
"""The time limit of a lock, a statement or a connect: more than a busy disk takes, and less than a person waits."""

QUEUE = timedelta(seconds=15)
"""The time limit of the queue for a connection: SQLite has one writer, and unlike a stuck statement a queue moves."""

_POOL = 8
_READERS = 2
_KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""A daemon that vanished without closing is forgotten after 25 s, and its advisory lock with it."""


class ConnectionPool(Protocol):
    """Connections to a database, each lent to one function at a time. `engine` is SQLAlchemy's."""

    @property
    def engine(self) -> Engine: ...

    async def run(self, work: Callable[[Connection], T]) -> T: ...

    async def dispose(self) -> None: ...


class _SqlitePool:
    """Connections to an SQLite file, with a thread for each."""

    def __init__(self, engine: Engine, size: int) -> None:
        self.engine = engine
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="ledger")

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Call `work` in a thread; what it has not committed is rolled back."""
        call = self._threads.submit(self._connected, work)
        return call.result() if call.done() else await asyncio.wrap_future(call)

    def _connected(self, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection:
            return work(connection)

    async def dispose(self) -> None:
        """Close every connection, and end the threads."""
        self.engine.dispose()
        self._threads.shutdown(wait=False)


class PostgresPool:
    """Connections to a PostgreSQL server. `async_engine` is for a session that stays open."""

    def __init__(self, async_engine: AsyncEngine) -> None:
        self.async_engine = async_engine

    @property
    def engine(self) -> Engine:
        """Return the engine that `work` sees."""
        return self.async_engine.sync_engine

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Call `work` on the event loop, which does other things while the server answers it."""
        async with self.async_engine.connect() as connection:
            return await connection.run_sync(work)

    async def dispose(self) -> None:
        """Close every connection."""
        await self.async_engine.dispose()


def off_loop(connection: Connection, work: Callable[[], T], *, size: int | None = None) -> T:
    """
    Return what `work` gives, which goes through foreign text while the connection is lent: see `offload`.

    `size` is how many bytes these are, None where that is not known.
    """
    if not connection.dialect.is_async:
        return work()
    return await_only(asyncio.to_thread(work) if size is None else searched(size, work))


@dataclass(frozen=True, kw_only=True, slots=True)
class Engines:
    """The connection that writes and those that read; on PostgreSQL they are the same."""

    writer: ConnectionPool
    reader: ConnectionPool

    @property
    def on_postgres(self) -> bool:
        """Return which of the two databases this is."""
        return self.writer.engine.dialect.name == "postgresql"

    async def dispose(self) -> None:
        """Close every connection."""
        await self.reader.dispose()
        await self.writer.dispose()


def parse_url(url: str) -> URL:
    """
    Read a ledger's URL: `sqlite:///relative`, `sqlite:////absolute` or `postgresql://user@host/database`.

    Its password is masked from then on. Raises `LedgerError` for anything else; an in-memory SQLite is refused because nothing in it lasts.
    """
    try:
        parsed = make_url(url.strip())  # a Secret that is made of a file holds the end of its line, too
    except ArgumentError as error:
        raise LedgerError("the ledger's URL cannot be read: write sqlite:////path/file or postgresql://…") from error
    SECRETS.register(parsed.password or "")
    backend = parsed.drivername.split("+")[0]
    if backend in ("postgresql", "postgres"):
        return _with_ssl(parsed.set(drivername="postgresql+asyncpg"))
    if backend != "sqlite":
        raise LedgerError(f"the ledger cannot be stored in {backend}: use sqlite:////path/file or postgresql://…")
    if not parsed.database or parsed.database == ":memory:":
        raise LedgerError("the ledger needs a file: an SQLite database in memory is lost at the next restart")
    return parsed.set(drivername="sqlite+pysqlite")


def shown_url(engine: Engine) -> str:
    """Return the ledger's URL as a person sets it, without its password."""
    url = engine.url
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def file_of(url: URL) -> Path | None:
    """Return the file of an SQLite ledger, None for PostgreSQL."""
    return Path(url.database) if url.drivername.startswith("sqlite") and url.database else None


def connect(url: URL, *, read_only: bool = False) -> Engines:
    """Make the engines; nothing is opened yet."""
    if file_of(url) is None:
        connections = PostgresPool(_postgres(url, read_only=read_only))
        return Engines(writer=connections, reader=connections)
    reader = _sqlite(url, size=_READERS, begin="BEGIN", query_only=True)
    return Engines(writer=reader if read_only else _sqlite(url, size=1, begin="BEGIN IMMEDIATE"), reader=reader)


def _options(size: int, connect_args: Mapping[str, object]) -> dict[str, Any]:
    return {
        "pool_size": size,
        "max_overflow": 0,
        "pool_timeout": QUEUE.total_seconds(),
        "hide_parameters": True,  # labels and logs may hold what is nobody's business
        "connect_args": {"timeout": BUSY_TIMEOUT.total_seconds(), **connect_args},
    }


def _postgres(url: URL, *, read_only: bool) -> AsyncEngine:
    milliseconds = str(BUSY_TIMEOUT // timedelta(milliseconds=1))
    # force_custom_plan: a plan that was made for empty tables and kept would scan them whole until the next ANALYZE
    settings = {
        "application_name": "kintsugi",
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        "plan_cache_mode": "force_custom_plan",
        **_KEEPALIVE,
    }
    if read_only:
        settings["default_transaction_read_only"] = "on"
    given = {"command_timeout": BUSY_TIMEOUT.total_seconds(), "server_settings": settings}
    engine = create_async_engine(url, **_options(_POOL, given))
    event.listen(engine.sync_engine, "connect", _commit_durably)
    return engine


def _commit_durably(connection: Any, _record: object) -> None:
    # an answered commit must be on disk; a server that promises more than that is left alone
    cursor = connection.cursor()
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    cursor.close()
    connection.commit()


def _sqlite(url: URL, *, size: int, begin: str, query_only: bool = False) -> ConnectionPool:
    engine = create_engine(url, **_options(size, {"isolation_level": None, "check_same_thread": False}))
    pragmas: Mapping[str, str] = {
        "busy_timeout": str(BUSY_TIMEOUT // timedelta(milliseconds=1)),
        "foreign_keys": "ON",
        "synchronous": "FULL",
        "query_only": "ON" if query_only else "OFF",
    }

    def on_connect(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        if not query_only:
            cursor.execute("PRAGMA journal_mode = WAL")
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return _SqlitePool(engine, size)


def _with_ssl(url: URL) -> URL:
    # libpq says sslmode, asyncpg says ssl; people write what psql takes
    mode = url.query.get("sslmode", os.environ.get("PGSSLMODE", ""))
    query = {name: value for name, value in url.query.items() if name != "sslmode"}
    return url.set(query={**query, "ssl": mode} if mode else query)


DRIVER_ERRORS = (
    exc.SQLAlchemyError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
"""Everything that a statement, a commit or a connect can raise; asyncpg's connect errors arrive unwrapped."""


class DatabaseFailure(Enum):
    """The consequence of a failed transaction."""

    AGAIN = "again"  # nothing was kept; the same transaction may succeed
    LOST = "lost"  # the connection went; at COMMIT the outcome is unknown
    UNAVAILABLE = "unavailable"  # down, full, locked, read-only
    REFUSED = "refused"  # the database understood and said no: a fault of ours


DAMAGED = (
    ". The file is damaged: stop the daemon, keep the file, and restore it from a backup; "
    "it is never recreated automatically, because limits and cooldowns would be lost"
)

_NOT_UNIQUE = "23505"
_AGAIN_STATES = frozenset({"40001", "40P01", _NOT_UNIQUE})
"""Serialisation failure, deadlock, and a unique row that another replica wrote between our look and our insert."""

_LOST_STATES = frozenset({"57P01", "57P02", "57P05", "25P03"})
"""The server ended the session: shutdown, crash of a peer, idle too long."""

_UNAVAILABLE_CLASSES = ("08", "25006", "28", "3D", "42501", "53", "55P03", "57", "58", "XX")
"""Connection, read-only, authorisation, no such database, resources, lock timeout, operator, system and internal errors."""

_SQLITE_REFUSED = ("no such", "syntax error", "constraint failed", "has no column")


def classify(error: BaseException) -> DatabaseFailure:
    """Return the consequence of an error for the transaction that it ended."""
    if isinstance(error, (exc.TimeoutError, TimeoutError)):  # no connection came free, or no answer: enough waited
        return DatabaseFailure.UNAVAILABLE
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return DatabaseFailure.LOST
    state = _state(error)
    if state:
        return _classify_state(state)
    if isinstance(error, (OSError, asyncpg.InterfaceError)):
        return DatabaseFailure.LOST
    if isinstance(error, exc.DBAPIError) and error.orig is not None and error.orig is not error:
        return classify(error.orig)
    if isinstance(error, sqlite3.DatabaseError):
        refused = any(words in str(error) for words in _SQLITE_REFUSED)
        return DatabaseFailure.REFUSED if refused else DatabaseFailure.UNAVAILABLE
    return _classify_cause(error)


def ledger_error(error: BaseException, what: str) -> LedgerError:
    """Build our error for another one; `what` says which transaction it ended."""
    text = _first_line(error)
    if isinstance(error, exc.TimeoutError):
        return LedgerUnavailable(f"the ledger could not {what}: every connection stayed busy ({text})")
    if isinstance(error, TimeoutError):
        return LedgerUnavailable(f"the ledger could not {what}: the database gave no answer in time")
    if classify(error) is DatabaseFailure.REFUSED or _state(error) == _NOT_UNIQUE:
        return LedgerError(f"the ledger could not {what}: the database refused it: {text}")
    return LedgerUnavailable(f"the ledger could not {what}: {text}{_advice(text)}")


def _classify_state(state: str) -> DatabaseFailure:
    if state in _AGAIN_STATES:
        return DatabaseFailure.AGAIN
    if state in _LOST_STATES or state.startswith("08"):
        return DatabaseFailure.LOST
    return DatabaseFailure.UNAVAILABLE if state.startswith(_UNAVAILABLE_CLASSES) else DatabaseFailure.REFUSED


def _classify_cause(error: BaseException) -> DatabaseFailure:
    cause = error.__cause__
    if cause is not None and cause is not error and isinstance(cause, DRIVER_ERRORS):
        return classify(cause)
    return DatabaseFailure.REFUSED


def is_read_only(error: BaseException) -> bool:
    """Return whether the server takes no writes: a standby, or a primary that was demoted under our connections."""
    return _state(error) == "25006"


def _state(error: BaseException) -> str:
    orig = error.orig if isinstance(error, exc.DBAPIError) else error
    state = getattr(orig, "sqlstate", None)
    return state if isinstance(state, str) else ""


def _first_line(error: BaseException) -> str:
    orig = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    lines = str(orig).strip().splitlines()
    text = lines[0] if lines else type(orig).__name__
    return text.removeprefix("<class 'asyncpg.exceptions.").removeprefix("<class '")


def _advice(text: str) -> str:
    if "malformed" in text or "not a database" in text:
        return DAMAGED
    if "full" in text:
        return ". Free space where the ledger lies; nothing is accepted or changed until then"
    return ""
