"""
Reads a dump's header from its first bytes: database, server version, time. No program is needed for it.

The layout is that of `ReadHead` in PostgreSQL's `src/bin/pg_dump/pg_backup_archiver.c`: a magic word, the format's version,
the sizes of numbers, then the compression, the time of the dump and three texts. A tar archive begins with its `toc.dat`,
which begins with the same.
"""

import re
from datetime import UTC, datetime

from kintsugi_restore.backups import ArchiveHeader, BackupFlaw, UnfitBackup

HEAD = 4096
"""The number of a dump's first bytes that are enough."""

_MAGIC = b"PGDMP"
_TAR_BLOCK = 512
_TAR_MAGIC = slice(257, 262)
_OLDEST = (1, 12)
"""The format of pg_dump 9.0; nothing older is in use."""

_ALGORITHM_BYTE = (1, 15)
_LONGEST_TEXT = 1024
_PLAIN = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:--|/\*|SET |CREATE |COPY |INSERT |BEGIN|\\)", re.IGNORECASE)
_WRAPPED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"Salted__": "openssl",
    b"-----BEGIN PGP": "PGP",
    b"age-encryption.org": "age",
    b"PK\x03\x04": "zip",
}


def read_header(head: bytes) -> ArchiveHeader | UnfitBackup:
    """Read the first bytes of a dump (HEAD of them, or all there are), or say what they are instead."""
    if head[_TAR_MAGIC] == b"ustar":
        head = head[_TAR_BLOCK:]
    if not head.startswith(_MAGIC):
        return UnfitBackup(flaw=BackupFlaw.FORMAT, reason=_instead(head))
    try:
        return _header(_Numbers(head))
    except (ValueError, UnicodeDecodeError):
        return UnfitBackup(
            flaw=BackupFlaw.DAMAGED,
            reason="its first bytes are damaged: they begin as a dump's, and continue otherwise",
        )


def _header(numbers: "_Numbers") -> ArchiveHeader:
    numbers.bytes(len(_MAGIC))
    version = (numbers.byte(), numbers.byte())
    if version < _OLDEST:
        raise ValueError(version)
    numbers.byte()
    numbers.width = numbers.byte()
    numbers.bytes(2)
    if version >= _ALGORITHM_BYTE:
        numbers.byte()
    else:
        numbers.number()
    second, minute, hour, day, month, year, _ = (numbers.number() for _ in range(7))
    created = datetime(1900 + year, month + 1, day, hour, minute, min(second, 59), tzinfo=UTC)
    database, server, tools = numbers.text(), numbers.text(), numbers.text()
    return ArchiveHeader(database=database, created=created, server=_major(server), tools=_major(tools))


def _major(version: str) -> int:
    """Return the major version: `16` of `16.14 (Debian 16.14-1)`, 9 of `9.6.24`."""
    found = re.match(r"(\d+)", version)
    if found is None:
        raise ValueError(version)
    return int(found.group(1))


def _instead(head: bytes) -> str:
    if _PLAIN.match(head):
        return "the file is plain SQL, which cannot be read through or restored as a dump: make dumps with pg_dump -Fc"
    for magic, name in _WRAPPED.items():
        if head.startswith(magic):
            return f"the file is wrapped in {name}: make dumps with pg_dump -Fc, which compresses on its own"
    return "the file is not a dump of pg_dump (custom or tar format)"


class _Numbers:
    """Reads a header's fields one after the other. Raises ValueError where they are missing or invalid."""

    def __init__(self, head: bytes) -> None:
        self._left = memoryview(head)
        self.width = 4

    def bytes(self, count: int) -> bytes:
        if count > len(self._left):
            raise ValueError(count)
        found, self._left = bytes(self._left[:count]), self._left[count:]
        return found

    def byte(self) -> int:
        return self.bytes(1)[0]

    def number(self) -> int:
        """Read a sign and a number, its lowest byte first."""
        sign = self.byte()
        value = int.from_bytes(self.bytes(self.width), "little")
        return -value if sign else value

    def text(self) -> str:
        length = self.number()
        if not 0 <= length <= _LONGEST_TEXT:
            raise ValueError(length)
        return self.bytes(length).decode()
