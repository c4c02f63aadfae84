"""
Who is alive on a ledger: a lock that the operating system or the server takes back when its owner dies.

An SQLite ledger has one daemon (C13): an exclusive `flock` on a file beside it. A PostgreSQL ledger is shared by
replicas, which the Kubernetes Lease and the epoch keep apart; what is refused there is a second process under the same
name, by an advisory lock of a session that stays open as long as the ledger does.
"""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zlib import crc32

from sqlalchemy import func, select

from kintsugi.errors import LedgerHeld, LedgerUnavailable
from kintsugi.ledger.engines import Engines
from kintsugi.ledger.failures import FOREIGN, wrapped

_CLASS = 0x6B696E
"""The first half of our advisory locks' names; the second is the holder's."""


@asynccontextmanager
async def held(engines: Engines, file: Path | None, holder: str) -> AsyncIterator[None]:
    """Hold the ledger; raises `LedgerHeld` when another live process does."""
    if file is None:
        async with _session_lock(engines, holder):
            yield
        return
    descriptor = _lock_file(file.with_name(f"{file.name}.lock"), holder)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock_file(path: Path, holder: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerUnavailable(
            f"the ledger's lock {path} cannot be opened: {error.strerror}; "
            "say with --ledger sqlite:///PATH (ledger.url) where the ledger is to be, in a directory that is there"
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


@asynccontextmanager
async def _session_lock(engines: Engines, holder: str) -> AsyncIterator[None]:
    name = crc32(holder.encode()) - 2**31
    try:
        connection = await engines.writer.connect()
    except FOREIGN as error:
        raise wrapped(error, "open") from error
    try:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        if not await connection.scalar(select(func.pg_try_advisory_lock(_CLASS, name))):
            raise LedgerHeld(f"another live process is {holder} on this ledger")
        yield
    finally:
        # closed for good, not given back to the pool: the server frees the lock with its session
        await connection.invalidate()
        await connection.close()
