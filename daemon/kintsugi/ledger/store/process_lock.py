"""
The lock of the process that uses a ledger; the operating system or the server releases it when its owner dies.

An SQLite ledger has one daemon (C13): an exclusive `flock` on a file beside it, by its real path. A PostgreSQL ledger may
be shared by replicas, which the Kubernetes Lease and the epoch keep apart; what is refused there is a second process under
the same name, or, of a daemon that is to be alone, any second one.
"""

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from zlib import crc32

import structlog
from sqlalchemy import Connection, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import LedgerHeld, LedgerUnavailable, StaleEpoch
from kintsugi.ledger.store.engines import DRIVER_ERRORS, Engines, PostgresPool, ledger_error

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=2)
"""The interval of the check of the session's lock: a fraction of the 25 s after which a server drops a dead peer."""

_MINE = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
    " AND classid::bigint = :kind AND objid::bigint = :name"
)
_BIRTH = text("SELECT pg_postmaster_start_time()")

_NAMED, _ALONE = 0x6B696E, 0x6B696F
"""The first halves of our advisory locks' names. The second is the holder's; of one that is alone it is 0."""

_MOUNTS = Path("/proc/self/mountinfo")


class LockSession:
    """
    One advisory lock, of a session that stays open and is watched all the time.

    A server, a proxy or a failover may end a session silently. Its lock is then free and another daemon may lead; without
    the watch this process would notice only at its next fenced write. `kind` and `name` are its two numbers of 32 bits; `refusal` says who has it when we cannot. Raises LedgerHeld from
    `take`, StaleEpoch from `watch`.
    """

    def __init__(self, connections: PostgresPool, kind: int, name: int, refusal: str) -> None:
        self._connections, self._kind, self._name, self._refusal = connections, kind, name, refusal
        self._connection: AsyncConnection | None = None
        self._birth: object = None
        self._lock = select(func.pg_try_advisory_lock(kind, name))

    async def take(self) -> None:
        """Take the lock in a new session. Raises LedgerHeld when another live process has it, LedgerUnavailable."""
        try:
            taken = await (await self._connect()).scalar(self._lock)
        except DRIVER_ERRORS as error:
            raise ledger_error(error, "open") from error
        if not taken:
            raise LedgerHeld(self._refusal)

    async def _connect(self) -> AsyncConnection:
        self._connection = await self._connections.async_engine.connect()
        await self._connection.execution_options(isolation_level="AUTOCOMMIT")
        self._birth = await self._connection.scalar(_BIRTH)
        return self._connection

    async def close(self) -> None:
        """End the session for good, not given back to the pool: the server frees the lock with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def watch(self, ours: Callable[[Connection], None]) -> None:
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

    async def _again(self, ours: Callable[[Connection], None]) -> None:
        """Take the lock again where the server itself was started anew; where only the session has ended, give up."""
        birth = self._birth
        try:
            await self.close()
            connection = await self._connect()
            mine = self._birth != birth and await connection.scalar(self._lock)
            if mine:
                await connection.run_sync(ours)
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


@asynccontextmanager
async def process_lock(
    engines: Engines, file: Path | None, holder: str, *, alone: bool
) -> AsyncIterator[LockSession | None]:
    """
    Hold the ledger; yield the session that holds it on a server, None for a file. `alone` admits no other process at all.

    Raises `LedgerHeld` when another live process holds it, `LedgerUnavailable` for a file that has a second name.
    """
    if file is None:
        assert isinstance(engines.writer, PostgresPool), "what has no file is a server"
        session = _session(engines.writer, holder, alone=alone)
        try:
            await session.take()
            yield session
        finally:
            await session.close()
        return
    real = _real(file)
    descriptor = _lock_file(real.with_name(f"{real.name}.lock"), holder)
    try:
        yield None
    finally:
        os.close(descriptor)


def _session(connections: PostgresPool, holder: str, *, alone: bool) -> LockSession:
    if alone:
        refusal = "another daemon holds this ledger: stop it first, or give this one its own database"
        return LockSession(connections, _ALONE, 0, refusal)
    name = crc32(holder.encode()) - 2**31
    return LockSession(connections, _NAMED, name, f"another live process is {holder} on this ledger")


def _real(file: Path) -> Path:
    """
    Follow links to the file itself, so that each of its names finds one lock. Raises LedgerUnavailable.

    A hard link, or the file mounted alone somewhere else, is a name that no path leads away from: SQLite keeps its log
    beside the name, so that two of them lose commits. Neither is served.
    """
    real = file.resolve()
    right = "give the ledger one name, in a directory that is mounted whole"
    if real.exists() and real.stat().st_nlink > 1:
        raise LedgerUnavailable(
            f"the ledger {real} has a second name (a hard link), and with it a second lock: {right}"
        )
    if is_mount_point(real, _MOUNTS.read_text() if _MOUNTS.exists() else ""):
        raise LedgerUnavailable(f"the ledger {real} is mounted as a single file, with a lock of its own: {right}")
    return real


def is_mount_point(file: Path, mounts: str) -> bool:
    """Return whether a file is a mount of its own by the lines of `/proc/self/mountinfo`, whose fifth word is where."""
    places = (line.split()[4] for line in mounts.splitlines() if len(line.split()) > 4)
    return str(file) in {place.encode().decode("unicode_escape", "replace") for place in places}


_FOLDERS = {errno.EROFS: "a folder that is not read-only", errno.EACCES: "a folder that Kintsugi may write"}


def _lock_file(path: Path, holder: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerUnavailable(
            f"the ledger's lock {path} cannot be opened: {error.strerror}; "
            f"set --ledger sqlite:///PATH (ledger.url) to a file in {_FOLDERS.get(error.errno or 0, 'an existing folder')}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        other = os.pread(descriptor, 256, 0).decode(errors="replace").strip() or "another process"
        os.close(descriptor)
        raise LedgerHeld(
            f"{path.name} is held by {other}: an SQLite ledger has one daemon; more replicas need PostgreSQL"
        ) from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{holder}, process {os.getpid()}\n".encode(), 0)
    except OSError:
        pass  # a full disk: the lock itself holds, only its note is missing
    return descriptor
