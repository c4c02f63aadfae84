"""
The progress and the failure of a backup worker, and the names on which it and the daemon agree; its results are `model.restores`.

The worker writes each as one JSON line on its log, under the word that names it (`{"failed": {…}}`); the daemon reads
them back into these. Sizes are in bytes.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from kintsugi.model.restores import Backup, Restored

BACKUPS = "/backups"
"""The path at which a worker sees the room for backups."""

SERVER = "server"
"""The container with the PostgreSQL server that a drill restores into."""

SERVER_DATA, SERVER_SOCKET = "/server/data", "/server/socket"
"""The data folder of that server, and the folder of the only socket on which it listens."""

OWNER = "kintsugi_owner_"
"""The prefix of the role as which a database is restored, and restored data are read."""

SEARCH_PATH = "pg_catalog,public"
"""The schemas for names without one when restored data are read, whatever the restored database sets."""

LOCK_CLASS = 0x4B494E54
"""The class of the advisory locks of workers ("KINT"): it distinguishes them from others' in `pg_locks`."""


_LONGEST_NAME = 63
"""PostgreSQL's limit of a name, in bytes (NAMEDATALEN - 1)."""

_PLAIN_NAME = re.compile(r"[a-z0-9_]+")


class WorkPhase(StrEnum):
    """The worker's current activity."""

    LISTING = "listing"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    READING = "reading"
    WAITING = "waiting"
    RESTORING = "restoring"
    COUNTING = "counting"


class WorkFailure(StrEnum):
    """The kind of a worker's failure."""

    NO_GOOD_BACKUP = "no-good-backup"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    DISK_FULL = "disk-full"
    INTERRUPTED = "interrupted"
    MISMATCH = "mismatch"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkProgress:
    """The worker's progress: `bytes` done `of` so many (0 where the total is unknown), on `what`."""

    phase: WorkPhase
    bytes: int = 0
    of: int = 0
    what: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The worker's own last word when it did not succeed; `reason` is one clear sentence."""

    kind: WorkFailure
    reason: str


def owner_of(database: str) -> str:
    """Name the role that a database is restored as: it has no right beyond it."""
    name = f"{OWNER}{database}"
    if len(name) <= _LONGEST_NAME and _PLAIN_NAME.fullmatch(database):
        return name
    return f"{OWNER}{hashlib.sha256(database.encode()).hexdigest()[:32]}"


LastLine = Backup | Restored | Failed
"""The content of the worker's last line; a worker that was killed has none."""
