"""What the first bytes of a dump say, and what other files say instead (E8, E10)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi_restore.backups import ArchiveHeader, BackupFlaw, UnfitBackup
from kintsugi_restore.worker.archive import HEAD, read_header

CREATED = (7, 14, 2, 24, 10, 126, 0)
"""02:14:07 on the 24th of November 2026, as C counts months and years."""


def number(value: int) -> bytes:
    """Write a number as pg_dump does: a sign, then its lowest byte first."""
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def text(value: str) -> bytes:
    """Write a text as pg_dump does."""
    return number(len(value.encode())) + value.encode()


def head(version: tuple[int, int] = (1, 15), server: str = "16.14 (Debian 16.14-1)", database: str = "shop") -> bytes:
    """Write the beginning of a dump in the custom format; before 1.15 the compression is a number, since then a byte."""
    compression = b"\x01" if version >= (1, 15) else number(-1)
    created = b"".join(map(number, CREATED))
    return (
        b"PGDMP" + bytes([*version, 0, 4, 8, 1]) + compression + created + text(database) + text(server) + text("16.14")
    )


@pytest.mark.parametrize("version", [(1, 12), (1, 13), (1, 14), (1, 15), (1, 16)])
def test_the_header_of_each_format_since_9_0_is_read(version: tuple[int, int]) -> None:
    """1.16 is PostgreSQL 17's and 18's: pg_restore 16 cannot read it, and it is known for what it is."""
    assert read_header(head(version) + bytes(100)) == ArchiveHeader(
        database="shop", created=datetime(2026, 11, 24, 2, 14, 7, tzinfo=UTC), server=16, tools=16
    )


def test_old_versions_have_their_first_number() -> None:
    """9.6 is a major version of its own, and older than all that count."""
    found = read_header(head(server="9.6.24", database='Kün.st "x"'))
    assert isinstance(found, ArchiveHeader)
    assert (found.server, found.database) == (9, 'Kün.st "x"')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"--\n-- PostgreSQL database dump\n--\n", "the file is plain SQL"),
        (b"\xef\xbb\xbf\n  SET statement_timeout = 0;", "the file is plain SQL"),
        (b"\x1f\x8b\x08\x00", "the file is wrapped in gzip"),
        (b"\x28\xb5\x2f\xfd", "the file is wrapped in zstd"),
        (b"age-encryption.org/v1\n", "the file is wrapped in age"),
        (b"", "the file is not a dump of pg_dump"),
        (b"<?xml version", "the file is not a dump of pg_dump"),
    ],
)
def test_a_file_that_is_no_dump_is_called_what_it_is(content: bytes, said: str) -> None:
    """With what would be right, where it can be said."""
    found = read_header(content)
    assert isinstance(found, UnfitBackup)
    assert found.flaw is BackupFlaw.FORMAT
    assert found.reason.startswith(said)


@given(st.integers(min_value=5, max_value=len(head()) - 1))
def test_a_header_that_is_cut_off_is_damaged(length: int) -> None:
    """At whatever byte."""
    found = read_header(head()[:length])
    assert isinstance(found, UnfitBackup)
    assert found.flaw is BackupFlaw.DAMAGED


@given(st.binary(max_size=HEAD))
def test_no_bytes_after_the_magic_word_do_harm(content: bytes) -> None:
    """Sizes and lengths come from outside."""
    assert isinstance(read_header(b"PGDMP" + content), ArchiveHeader | UnfitBackup)
