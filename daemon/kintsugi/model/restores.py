"""
The results of a restore that a drill reports, and the names of its scratch database.

A result is written by the worker as one JSON line on its log. Sizes are in bytes, times aware and in UTC.
"""

from dataclasses import dataclass
from datetime import datetime

OWN_SERVER = "localhost"
"""The host that a drill's restore names: the server of its own Job, in the namespace after the dot."""

DRILL = "kintsugi_drill_"
"""The prefix of a drill's scratch database: a drill makes only such databases."""


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


def scratch_of(incident: str) -> str:
    """Name the scratch database of a drill, by its incident; its runbook writes `kintsugi_drill_${incident.id}`."""
    return f"{DRILL}{incident}"
