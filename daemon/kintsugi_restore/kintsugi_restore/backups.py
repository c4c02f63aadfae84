"""
Decides whether a backup may be restored: facts about it come in; a flaw with its reason goes out, or None.

The checks run in the order of the cost of their facts: the listing, the first bytes, the checksum of the whole, the
contents. The first flaw ends the checks of a backup, and the next older one is checked.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kintsugi.durations import format_duration
from kintsugi_restore.s3_objects import S3Folder, StoredObject

SIDECAR = ".sha256"
"""A key with this ending holds the checksum of the key without it, as `sha256sum` writes it or bare."""

METADATA = "sha256"
"""The name of the user's metadata that holds an object's checksum, where there is no sidecar."""

_SHA256 = re.compile(r"\s*([0-9a-fA-F]{64})(?:\s|$)")
_QUARTER = timedelta(minutes=15)
_SLACK = timedelta(minutes=1)
"""The largest difference between the clocks of S3 and of the dumping machine that is not taken for a time zone."""


FILLABLE_TABLES: Mapping[str, frozenset[str]] = {"postgis": frozenset({"spatial_ref_sys"})}
"""
The tables of extensions that a dump may have rows of: they are given to its owner to insert into.

A row of spatial_ref_sys is a coordinate system. Rows of others are run (`cron.job` of pg_cron) or decide what is.
"""


class BackupFlaw(StrEnum):
    """The flaw of a backup."""

    KEY = "key"
    EMPTY = "empty"
    OLD = "old"
    SHRUNK = "shrunk"
    CHANGED = "changed"
    FORMAT = "format"
    TOOLS = "tools"
    SERVER = "server"
    DATABASE = "database"
    CHECKSUM = "checksum"
    DAMAGED = "damaged"
    ROLES = "roles"
    EXTENSIONS = "extensions"
    ROWS = "rows"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnfitBackup:
    """The reason why a backup is not used; `reason` follows its name and a colon."""

    flaw: BackupFlaw
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupRequirements:
    """
    The requirements of a backup: its database, the server's version, its age, and its size relative to the one before.

    `server` and `tools` are major versions: of the server that takes it, and of the programs that read it. `min_size_ratio` is
    the least share of the size before. `roles` and `extensions` are those that the server has or will be given; None
    where the server could not be asked for its extensions.
    """

    database: str
    server: int
    tools: int
    now: datetime
    max_age: timedelta | None = None
    min_size_ratio: float = 0.5
    roles: frozenset[str] = frozenset()
    extensions: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveHeader:
    """
    The header of a dump.

    `created` is when the dump began, by a clock on the wall of its machine that is read as UTC: no zone is recorded.
    `server` and `tools` are major versions: of the server it was taken from, and of the pg_dump that took it.
    """

    database: str
    created: datetime
    server: int
    tools: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveContents:
    """
    The contents of a dump (tables with their schemas) and its needs: the roles that it names, the extensions it creates.

    `foreign_rows` are the tables and sequences of which it has rows or a value, and which it does not make: an extension's own.
    """

    tables: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    foreign_rows: tuple[str, ...] = ()


def newest_first(objects: Iterable[StoredObject]) -> tuple[StoredObject, ...]:
    """Return the objects that may be backups, newest first, without sidecars and the marks of empty folders."""
    backups = [each for each in objects if not each.key.endswith((SIDECAR, "/"))]
    return tuple(sorted(backups, key=lambda each: (each.modified, each.key), reverse=True))


def recorded_sha256(text: str) -> str | None:
    """Read a checksum as it was recorded, alone or before the name of its file; None for any other text."""
    found = _SHA256.match(text)
    return found.group(1).lower() if found else None


def taken(header: ArchiveHeader, stored: StoredObject) -> datetime:
    """
    Return the time at which a dump began: later writes are not in it.

    pg_dump records no time zone. A dump that began after its upload ended was taken in a zone ahead of UTC: it is set
    back by the quarters of an hour that are needed. One that was taken behind UTC looks older than it is. A dump ahead
    of UTC that took longer than it is ahead is not detected: dumps should be made in UTC, as in containers.
    """
    ahead = header.created - stored.modified
    if ahead <= timedelta(0):
        return header.created
    if ahead <= _SLACK:
        return stored.modified
    return header.created - _QUARTER * -(-ahead // _QUARTER)


def check_listed(stored: StoredObject, folder: S3Folder, wanted: BackupRequirements) -> UnfitBackup | None:
    """Judge what the listing says: its name, whether it is empty, when its upload ended."""
    return check_key(stored, folder) or _check_age(stored.modified, wanted)


def check_key(stored: StoredObject, folder: S3Folder) -> UnfitBackup | None:
    """Judge whether there is anything under a name that can be a backup's."""
    rest = stored.key.removeprefix(folder.prefix)
    if not stored.key.startswith(folder.prefix) or {"", ".", ".."} & set(rest.split("/")) or not rest.isprintable():
        return UnfitBackup(
            flaw=BackupFlaw.KEY,
            reason="its key is not the key of a backup: the key points outside its folder or cannot be read",
        )
    if stored.size == 0:
        return UnfitBackup(flaw=BackupFlaw.EMPTY, reason="the file is empty")
    return None


def check_size(stored: StoredObject, before: StoredObject | None, wanted: BackupRequirements) -> UnfitBackup | None:
    """Judge its size against that of the backup before, which is of the same database."""
    if before is None or stored.size >= wanted.min_size_ratio * before.size:
        return None
    return UnfitBackup(
        flaw=BackupFlaw.SHRUNK,
        reason=f"the file has {size(stored.size)}, less than {wanted.min_size_ratio:.0%} of the {size(before.size)} of the previous backup",
    )


def check_header(header: ArchiveHeader, stored: StoredObject, wanted: BackupRequirements) -> UnfitBackup | None:
    """Judge what its first bytes say: of which database, from which server, by which pg_dump, when."""
    if header.database != wanted.database:
        return UnfitBackup(
            flaw=BackupFlaw.DATABASE, reason=f"the backup is of database {header.database}, not of {wanted.database}"
        )
    if header.server > wanted.server:
        return UnfitBackup(
            flaw=BackupFlaw.SERVER,
            reason=f"the backup was taken from PostgreSQL {header.server}, newer than the target's {wanted.server}",
        )
    if header.tools > wanted.tools:
        return UnfitBackup(
            flaw=BackupFlaw.TOOLS,
            reason=f"pg_dump {header.tools} wrote the backup, which pg_restore {wanted.tools} cannot read",
        )
    return _check_age(taken(header, stored), wanted)


def check_checksum(recorded: str | None, found: str) -> UnfitBackup | None:
    """Judge the checksum of the whole against the recorded one; where none is recorded it is no flaw, only unproven."""
    if recorded is None or recorded == found:
        return None
    return UnfitBackup(
        flaw=BackupFlaw.CHECKSUM,
        reason=f"the file has changed: its sha256 is {found}, but {recorded} was recorded",
    )


def check_contents(contents: ArchiveContents, wanted: BackupRequirements) -> UnfitBackup | None:
    """Judge what it needs of the server."""
    if wanted.extensions is not None and (extensions := _missing(contents.extensions, wanted.extensions)):
        return UnfitBackup(
            flaw=BackupFlaw.EXTENSIONS, reason=f"the server lacks a required object: extension {extensions}"
        )
    if roles := _missing(contents.roles, wanted.roles):
        return UnfitBackup(
            flaw=BackupFlaw.ROLES, reason=f"the server and the declarations lack a required object: role {roles}"
        )
    return _check_rows(contents)


def _check_rows(contents: ArchiveContents) -> UnfitBackup | None:
    """Check for rows that only a superuser may insert; no part of a dump is run as a superuser."""
    filled = {table for extension in contents.extensions for table in FILLABLE_TABLES.get(extension, ())}
    foreign = [name for name in contents.foreign_rows if name.rpartition(".")[2] not in filled]
    if not foreign:
        return None
    flags = " ".join(f"--exclude-table-data={name}" for name in foreign)
    return UnfitBackup(
        flaw=BackupFlaw.ROWS,
        reason=f"the backup has rows of tables that it does not create (an extension's tables, for example). Only a superuser could insert them: "
        f"{', '.join(foreign)}; dump the database without these rows (pg_dump {flags}), and keep the rows elsewhere",
    )


def size(count: int) -> str:
    """Write a number of bytes for people."""
    if count < 1000:
        return f"{count} bytes"
    amount = float(count)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
    return f"{amount / 1000:.3g} TB"


def _check_age(moment: datetime, wanted: BackupRequirements) -> UnfitBackup | None:
    age = wanted.now - moment
    if wanted.max_age is None or age <= wanted.max_age:
        return None
    whole = format_duration(timedelta(minutes=age // timedelta(minutes=1)))
    return UnfitBackup(
        flaw=BackupFlaw.OLD, reason=f"the backup is {whole} old, older than {format_duration(wanted.max_age)}"
    )


def _missing(needed: Iterable[str], there: frozenset[str]) -> str:
    return ", ".join(sorted(set(needed) - there))
