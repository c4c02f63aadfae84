"""
The ledger: everything that was seen, decided and done, durable and in one place.

This module binds its seven aggregates together, opens them and takes the lead.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, text

from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger.catalogs import Catalogs
from kintsugi.ledger.good_state import GoodState
from kintsugi.ledger.incidents.incidents import Incidents
from kintsugi.ledger.outbox import Outbox
from kintsugi.ledger.people import People
from kintsugi.ledger.signals.signals import Signals
from kintsugi.ledger.store import schema
from kintsugi.ledger.store.engines import (
    DAMAGED,
    DRIVER_ERRORS,
    Engines,
    connect,
    file_of,
    ledger_error,
    parse_url,
    shown_url,
)
from kintsugi.ledger.store.process_lock import LockSession, process_lock
from kintsugi.ledger.store.transactions import NO_FAILPOINTS, Failpoints, LedgerWrite, Store, Windows
from kintsugi.ledger.upkeep import Upkeep

_LOCK_ID = 0x6B696E00
"""Replicas that start together bring the schema up to date one after the other."""


class Ledger:
    """
    Seven aggregates on one store. Make it with `open` (the daemon) or `read` (all others).

    Every method raises `LedgerUnavailable` when the database is down, full, locked or read-only; the call can then be
    repeated: changes that were committed are recognised. `now` is the caller's clock.
    """

    def __init__(self, store: Store, session: LockSession | None = None) -> None:
        self._store, self._session = store, session
        self.signals = Signals(store)
        self.incidents = Incidents(store)
        self.people = People(store)
        self.good_state = GoodState(store)
        self.catalogs = Catalogs(store)
        self.outbox = Outbox(store)
        self.upkeep = Upkeep(store)

    @property
    def epoch(self) -> int | None:
        """The epoch under which this process took the lead, None before it did."""
        return self._store.epoch

    async def lead(self, now: datetime) -> int:
        """Take the lead, and return its epoch: see `Store.lead`."""
        return await self._store.lead(now)

    async def commit(self, *writes: LedgerWrite[Any]) -> list[Any]:
        """Make the leader's changes in their order in one transaction, all or none: see `Store.write`; return their values."""
        return await self._store.write_all(writes, fenced=True)

    async def ping(self) -> None:
        """Ask the database for an answer."""

        def work(connection: Connection) -> None:
            connection.execute(text("SELECT 1"))

        await self._store.read(work)

    async def keep_held(self) -> None:
        """
        Watch the lock that keeps other daemons away, as long as it is held; a file lock needs no watching.

        Raises StaleEpoch when its session has ended: another daemon may lead, and this one must stop.
        """
        if self._session is None:
            return

        def ours(connection: Connection) -> None:
            if self.epoch is not None:
                self._store.check_commits(connection)
                self._store.check_epoch(connection)

        await self._session.watch(ours)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        holder: str,
        failpoints: Failpoints = NO_FAILPOINTS,
        windows: Windows | None = None,
        alone: bool = False,
    ) -> AsyncIterator["Ledger"]:
        """
        Lock the ledger, bring its schema up to date, check an SQLite file, and close everything at the end.

        `windows` say how far back the past counts: so long it is kept and read for the guards. `alone`: on PostgreSQL, too, no
        other process is admitted under any name. Raises `LedgerHeld` when another daemon holds it, `LedgerUnavailable` when it
        cannot be reached or the file is damaged (it is never recreated), `LedgerError` for a bad URL or an unknown schema.
        """
        parsed = parse_url(url)
        engines = connect(parsed)
        try:
            async with process_lock(engines, file_of(parsed), holder, alone=alone) as session:
                await _prepare(engines)
                ledger = cls(Store(engines, failpoints, holder, windows), session)
                try:
                    yield ledger
                finally:
                    await ledger.signals.close()
        finally:
            await engines.dispose()

    @classmethod
    @asynccontextmanager
    async def read(cls, url: str) -> AsyncIterator["Ledger"]:
        """Open a ledger for reading, beside a daemon or without one: no lock, no epoch, and every write is refused."""
        parsed = parse_url(url)
        file = file_of(parsed)
        if file is not None and not file.exists():
            raise LedgerUnavailable(f"there is no ledger at {file}: the daemon makes it when it starts")
        engines = connect(parsed, read_only=True)
        try:
            await _check(engines)
            yield cls(Store(engines, NO_FAILPOINTS, "a reader"))
        finally:
            await engines.dispose()


async def _prepare(engines: Engines) -> None:
    try:
        await engines.writer.run(_check_and_migrate)
    except DRIVER_ERRORS as error:
        raise ledger_error(error, f"open {shown_url(engines.writer.engine)} (--ledger, ledger.url)") from error


def _check_and_migrate(connection: Connection) -> None:
    on_postgres = connection.dialect.name == "postgresql"
    found = "ok" if on_postgres else connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
    if found != "ok":
        raise LedgerUnavailable(f"the ledger could not open: {found}{DAMAGED}")
    if on_postgres:
        # A cold start on a busy machine may take long between two statements of a migration.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '60s'"))
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK_ID)))
    schema.migrate(connection)
    connection.commit()


async def _check(engines: Engines) -> None:
    try:
        await engines.reader.run(schema.check)
    except DRIVER_ERRORS as error:
        raise ledger_error(error, "read") from error
