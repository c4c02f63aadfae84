"""
The results of a backup worker: a backup that passed its checks, a restored database, its progress.

The worker writes each as one JSON line on its log, under the word that names it (`{"backup": {…}}`); the daemon reads
them back into these. Sizes are in bytes, times aware and in UTC.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

BACKUPS = "/backups"
"""The path at which a worker sees the room for backups."""

SERVER = "server"
"""The container with the PostgreSQL server that a drill restores into."""

SERVER_DATA, SERVER_SOCKET = "/server/data", "/server/socket"
"""The data folder of that server, and the folder of the only socket on which it listens."""

DRILL = "kintsugi_drill_"
"""The prefix of a drill's scratch database: a drill makes only such databases."""

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
class Skipped:
    """A newer backup that did not pass its checks, and why."""

    url: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """
    The backup that was taken: where it came from, and the `file` it is in now, a path inside the room for backups.

    `taken` is the start of the dump: what was written after it is not in it. `proven`: its recorded checksum was
    verified; else `sha256` is only what was downloaded. `skipped` are the newer ones that were no good.
    """

    url: str
    file: str
    key: str
    size: int
    taken: datetime
    sha256: str
    proven: bool
    database: str
    server_major: int
    roles: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    age_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table of a restored database, with its schema (`public.orders`), and how many rows it has."""

    name: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """A database that was restored; `bytes` were read from its dump. `taken` is known where the dump says it."""

    database: str
    bytes: int
    seconds: float
    tables: tuple[Table, ...] = ()
    taken: datetime | None = None


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


def scratch_of(incident: str) -> str:
    """Name the scratch database of a drill, by its incident; its runbook writes `kintsugi_drill_${incident.id}`."""
    return f"{DRILL}{incident}"


LastLine = Backup | Restored | Failed
"""The content of the worker's last line; a worker that was killed has none."""
