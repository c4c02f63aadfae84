"""
The session on PostgreSQL whose advisory lock shows that this process holds the ledger; it is watched all the time.

A server, a proxy or a failover may end a session silently. Its lock is then free and another daemon may lead; without the watch
this process would notice only at its next fenced write.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import LedgerHeld, StaleEpoch
from kintsugi.ledger.engines import Engines
from kintsugi.ledger.failures import DRIVER_ERRORS, ledger_error

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=2)
"""
The interval of the check that the session holds its lock: a fraction of the 25 s after which a server drops a dead
peer.
"""

_MINE = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
    " AND classid::bigint = :kind AND objid::bigint = :name"
)
_BIRTH = text("SELECT pg_postmaster_start_time()")


class LockSession:
    """
    One advisory lock, of a session that stays open.

    `kind` and `name` are its two numbers of 32 bits; `refusal` says who has it when we cannot. Raises LedgerHeld from
    `take`, StaleEpoch from `watch`.
    """

    def __init__(self, engines: Engines, kind: int, name: int, refusal: str) -> None:
        self._engines, self._kind, self._name, self._refusal = engines, kind, name, refusal
        self._connection: AsyncConnection | None = None
        self._birth: object = None

    async def take(self) -> None:
        """Take the lock in a new session. Raises LedgerHeld when another live process has it, LedgerUnavailable."""
        try:
            self._connection = await self._engines.writer.connect()
            await self._connection.execution_options(isolation_level="AUTOCOMMIT")
            self._birth = await self._connection.scalar(_BIRTH)
            taken = await self._connection.scalar(select(func.pg_try_advisory_lock(self._kind, self._name)))
        except DRIVER_ERRORS as error:
            raise ledger_error(error, "open") from error
        if not taken:
            raise LedgerHeld(self._refusal)

    async def close(self) -> None:
        """End the session for good, not given back to the pool: the server frees the lock with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def watch(self, ours: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """
        Check periodically that the lock is still held; end only by StaleEpoch, when it is not.

        While the database is unreachable no other process can take it, and nothing is written. After a restart of the
        database the lock is taken again, and `ours` raises StaleEpoch if another process has led meanwhile.
        """
        while True:
            await asyncio.sleep(EVERY.total_seconds())
            if await self._is_lost():
                await self._again(ours)

    async def _is_lost(self) -> bool:
        """Return whether the session has lost its lock. A timeout is not a loss: the session is asked again."""
        connection = self._connection
        if connection is None or connection.closed or connection.invalidated:
            return True
        try:
            return not await connection.scalar(_MINE, {"kind": self._kind, "name": self._name % 2**32})
        except TimeoutError:
            return False
        except DRIVER_ERRORS as error:
            log.warning("ledger lock session lost", error=str(ledger_error(error, "ask")))
            return True

    async def _again(self, ours: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Take the lock again where the server itself was started anew; where only the session has ended, give up."""
        birth = self._birth
        try:
            await self.close()
            connection = self._connection = await self._engines.writer.connect()
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            self._birth = await connection.scalar(_BIRTH)
            mine = self._birth != birth and await connection.scalar(
                select(func.pg_try_advisory_lock(self._kind, self._name))
            )
            if mine:
                await ours(connection)
        except DRIVER_ERRORS as error:
            self._birth = birth
            log.warning("ledger lock not taken again yet", error=str(ledger_error(error, "open")))
            await self.close()
            return
        if not mine:
            raise StaleEpoch(
                "the session that held the ledger has ended and another daemon may hold it now: this one must stop"
            )
        log.warning("ledger lock taken again after a restart of the database")
