"""
The lock of the process that uses a ledger; the operating system or the server releases it when its owner dies.

An SQLite ledger has one daemon (C13): an exclusive `flock` on a file beside it, by its real path. A PostgreSQL ledger may
be shared by replicas, which the Kubernetes Lease and the epoch keep apart; what is refused there is a second process under
the same name, or, of a daemon that is to be alone, any second one.
"""

import errno
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zlib import crc32

from kintsugi.errors import LedgerHeld, LedgerUnavailable
from kintsugi.ledger.engines import Engines
from kintsugi.ledger.session import LockSession

_NAMED, _ALONE = 0x6B696E, 0x6B696F
"""The first halves of our advisory locks' names. The second is the holder's; of one that is alone it is 0."""

_MOUNTS = Path("/proc/self/mountinfo")


@asynccontextmanager
async def process_lock(
    engines: Engines, file: Path | None, holder: str, *, alone: bool
) -> AsyncIterator[LockSession | None]:
    """
    Hold the ledger; yield the session that holds it on a server, None for a file. `alone` admits no other process at all.

    Raises `LedgerHeld` when another live process holds it, `LedgerUnavailable` for a file that has a second name.
    """
    if file is None:
        session = _session(engines, holder, alone=alone)
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


def _session(engines: Engines, holder: str, *, alone: bool) -> LockSession:
    if alone:
        refusal = "another daemon holds this ledger: stop it first, or give this one its own database"
        return LockSession(engines, _ALONE, 0, refusal)
    name = crc32(holder.encode()) - 2**31
    return LockSession(engines, _NAMED, name, f"another live process is {holder} on this ledger")


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
