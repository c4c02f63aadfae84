"""
Connections to the two databases, set up so that neither loses anything.

SQLite: WAL with synchronous=FULL (a power cut loses no commit), foreign keys, and BEGIN IMMEDIATE: with the driver's own
transactions, concurrent read-modify-writes are lost without an error. One connection writes; others only read.
PostgreSQL: every wait has an end, on the server and here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kintsugi.errors import LedgerError
from kintsugi.telemetry import SECRETS

BUSY_TIMEOUT = timedelta(seconds=10)
"""The time limit of a lock, a statement or a connect: more than a busy disk takes, and less than a person waits."""

QUEUE = timedelta(seconds=15)
"""The time limit of the queue for a connection: SQLite has one writer, and unlike a stuck statement a queue moves."""

_POOL = 8
_READERS = 2
_KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""A daemon that vanished without closing is forgotten after 25 s, and its advisory lock with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engines:
    """The engine that writes and the one that reads; on PostgreSQL they are the same."""

    writer: AsyncEngine
    reader: AsyncEngine

    @property
    def on_postgres(self) -> bool:
        """Return which of the two databases this is."""
        return self.writer.dialect.name == "postgresql"

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
    return parsed.set(drivername="sqlite+aiosqlite")


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
        engine = _postgres(url, read_only=read_only)
        return Engines(writer=engine, reader=engine)
    reader = _sqlite(url, size=_READERS, begin="BEGIN", query_only=True)
    return Engines(writer=reader if read_only else _sqlite(url, size=1, begin="BEGIN IMMEDIATE"), reader=reader)


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
    engine = create_async_engine(
        url,
        pool_size=_POOL,
        max_overflow=0,
        pool_timeout=QUEUE.total_seconds(),
        hide_parameters=True,  # labels and logs may hold what is nobody's business
        connect_args={
            "timeout": BUSY_TIMEOUT.total_seconds(),
            "command_timeout": BUSY_TIMEOUT.total_seconds(),
            "server_settings": settings,
        },
    )
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


def _sqlite(url: URL, *, size: int, begin: str, query_only: bool = False) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=QUEUE.total_seconds(),
        hide_parameters=True,  # labels and logs may hold what is nobody's business
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT.total_seconds()},
    )
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

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "begin", on_begin)
    return engine


def _with_ssl(url: URL) -> URL:
    # libpq says sslmode, asyncpg says ssl; people write what psql takes
    mode = url.query.get("sslmode", os.environ.get("PGSSLMODE", ""))
    query = {name: value for name, value in url.query.items() if name != "sslmode"}
    return url.set(query={**query, "ssl": mode} if mode else query)
