"""
The ledger: everything that was seen, decided and done, durable and in one place.

The only speaker of the database. The chapters hold the concerns; here they are bound together, opened and led.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import schema
from kintsugi.ledger.admissions import Admissions
from kintsugi.ledger.boundary import QUIET, Boundary
from kintsugi.ledger.claims import Claims
from kintsugi.ledger.conditions import Conditions
from kintsugi.ledger.drills import Drills
from kintsugi.ledger.engines import Engines, connect, file_of, parse_url
from kintsugi.ledger.evidence import Exhibits
from kintsugi.ledger.failures import DAMAGED, FOREIGN, wrapped
from kintsugi.ledger.holder import held
from kintsugi.ledger.incidents import Incidents
from kintsugi.ledger.knowledge import Knowledge
from kintsugi.ledger.leading import Leading, check_epoch
from kintsugi.ledger.letters import Letters
from kintsugi.ledger.listing import SignalPages
from kintsugi.ledger.mending import Mending
from kintsugi.ledger.outbox import Outbox
from kintsugi.ledger.people import People
from kintsugi.ledger.reopening import Reopening
from kintsugi.ledger.retention import Retention
from kintsugi.ledger.runs import Runs
from kintsugi.ledger.session import LockSession
from kintsugi.ledger.signals import Signals
from kintsugi.ledger.store import Store
from kintsugi.ledger.triggers import Triggers
from kintsugi.ledger.windows import Windows

_TURN = 0x6B696E00
"""Replicas that start together bring the schema up to date one after the other."""


class Ledger(
    Leading,
    Mending,
    Signals,
    Triggers,
    Reopening,
    SignalPages,
    Letters,
    Conditions,
    Claims,
    Admissions,
    Incidents,
    Runs,
    Drills,
    Exhibits,
    People,
    Knowledge,
    Outbox,
    Retention,
):
    """
    All chapters on one store. Make it with `open` (the daemon) or `read` (everybody else).

    Every method raises `LedgerUnavailable` when the database is down, full, locked or read-only; then nothing of the
    call counts, and it can be made again: what did land is recognised. `now` is the caller's clock.
    """

    _session: LockSession | None = None

    async def keep_held(self) -> None:
        """
        Watch over the lock that keeps other daemons away, for as long as it is held; a lock on a file needs nobody.

        Raises StaleEpoch when its session has ended: another daemon may lead, and this one must stop.
        """
        if self._session is None:
            return

        async def ours(connection: AsyncConnection) -> None:
            if self.epoch is not None:
                await check_epoch(connection, self.epoch)

        await self._session.watch(ours)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        holder: str,
        boundary: Boundary = QUIET,
        windows: Windows | None = None,
        alone: bool = False,
    ) -> AsyncIterator["Ledger"]:
        """
        Hold the ledger, bring its schema up to date, check an SQLite file, and close it all at the end.

        `windows` say how far back the past counts: that long it is told to the guards, and kept. `alone`: also on
        PostgreSQL nobody else is let in, whatever their name.
        Raises `LedgerHeld` when another daemon lives on it, `LedgerUnavailable` when it cannot be reached or the file
        is damaged (it is never made anew), `LedgerError` for a bad URL or a newer schema.
        """
        parsed = parse_url(url)
        engines = connect(parsed)
        try:
            async with held(engines, file_of(parsed), holder, alone=alone) as session:
                await _prepare(engines)
                ledger = cls(Store(engines, boundary, holder, windows))
                ledger._session = session
                try:
                    yield ledger
                finally:
                    await ledger._intake.close()
        finally:
            await engines.dispose()

    @classmethod
    @asynccontextmanager
    async def read(cls, url: str) -> AsyncIterator["Ledger"]:
        """Look into a ledger, beside a daemon or without one: no lock, no epoch, and every write is refused."""
        parsed = parse_url(url)
        file = file_of(parsed)
        if file is not None and not file.exists():
            raise LedgerUnavailable(f"there is no ledger at {file}: the daemon makes it when it starts")
        engines = connect(parsed, read_only=True)
        try:
            await _check(engines)
            yield cls(Store(engines, QUIET, "a reader"))
        finally:
            await engines.dispose()


async def _prepare(engines: Engines) -> None:
    try:
        if not engines.on_postgres:
            await _quick_check(engines)
        async with engines.writer.begin() as connection:
            if engines.on_postgres:
                # A cold start on a busy machine may take long between two statements of a migration.
                await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '60s'"))
                await connection.execute(select(func.pg_advisory_xact_lock(_TURN)))
            await connection.run_sync(schema.migrate)
    except FOREIGN as error:
        raise wrapped(error, "open") from error


async def _quick_check(engines: Engines) -> None:
    async with engines.writer.connect() as connection:
        found = (await connection.execute(text("PRAGMA quick_check(1)"))).scalar_one()
    if found != "ok":
        raise LedgerUnavailable(f"the ledger could not open: {found}{DAMAGED}")


async def _check(engines: Engines) -> None:
    try:
        async with engines.reader.connect() as connection:
            await connection.run_sync(schema.check)
    except FOREIGN as error:
        raise wrapped(error, "read") from error
