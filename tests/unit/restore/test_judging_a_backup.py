"""Whether a backup is one to restore, from facts alone (E10)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.errors import UsageError
from kintsugi_restore.backups import (
    ArchiveContents,
    ArchiveHeader,
    BackupFlaw,
    BackupRequirements,
    UnfitBackup,
    check_checksum,
    check_contents,
    check_header,
    check_key,
    check_listed,
    check_size,
    newest_first,
    recorded_sha256,
    size,
    taken,
)
from kintsugi_restore.s3_objects import S3Folder, StoredObject

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FOLDER = S3Folder(bucket="backup-bucket", prefix="database/")
STORED = StoredObject(key="database/1.dump", size=1000, modified=NOW - HOUR)
HEADER = ArchiveHeader(database="shop", created=NOW - 2 * HOUR, server=16, tools=16)
WANTED = BackupRequirements(database="shop", server=16, tools=16, now=NOW, max_age=26 * HOUR)
DIGITS = "0123456789abcdef" * 4


def flaw(unfit: UnfitBackup | None) -> BackupFlaw | None:
    """Return what is wrong, None where nothing is."""
    return None if unfit is None else unfit.flaw


def test_backups_come_newest_first_without_what_is_none() -> None:
    """Of two that ended at once the later name comes first: names often carry the time."""
    old, new = replace(STORED, key="database/a", modified=NOW - 2 * HOUR), replace(STORED, key="database/b")
    others = [replace(STORED, key=key, modified=NOW) for key in ("database/b.sha256", "database/", "database/sub/")]
    assert newest_first([old, *others, new, replace(new, key="database/c")]) == (
        replace(new, key="database/c"),
        new,
        old,
    )


@pytest.mark.parametrize(
    "key",
    [
        "database/../1.dump",
        "database/x/../../1.dump",
        "database//1.dump",
        "database/./1",
        "other/1.dump",
        "database/a\nb",
    ],
)
def test_a_key_that_is_no_place_in_the_folder_is_no_backup(key: str) -> None:
    """E7: whatever a store lists."""
    assert flaw(check_key(replace(STORED, key=key), FOLDER)) is BackupFlaw.KEY


@pytest.mark.parametrize("key", ["database/1..2.dump", "database/2026/11/24.dump", "database/…ümlaut 1+2=3.dump"])
def test_an_odd_key_is_a_key(key: str) -> None:
    """No file is named for it."""
    assert check_key(replace(STORED, key=key), FOLDER) is None


@pytest.mark.parametrize(("age", "found"), [(26 * HOUR, None), (26 * HOUR + timedelta(minutes=1), BackupFlaw.OLD)])
def test_a_backup_may_be_as_old_as_is_said(age: timedelta, found: BackupFlaw | None) -> None:
    """By the end of its upload, and by its own beginning."""
    assert flaw(check_listed(replace(STORED, modified=NOW - age), FOLDER, WANTED)) is found
    assert flaw(check_header(replace(HEADER, created=NOW - age), STORED, WANTED)) is found
    assert check_listed(replace(STORED, modified=NOW - age), FOLDER, replace(WANTED, max_age=None)) is None


def test_a_clock_that_is_ahead_makes_no_backup_old() -> None:
    """S3's clock is not this machine's."""
    assert check_listed(replace(STORED, modified=NOW + HOUR), FOLDER, WANTED) is None


@pytest.mark.parametrize(("count", "found"), [(500, None), (499, BackupFlaw.SHRUNK), (5000, None)])
def test_less_than_half_of_the_one_before_is_suspicious(count: int, found: BackupFlaw | None) -> None:
    """Exactly half is not."""
    assert flaw(check_size(replace(STORED, size=count), STORED, WANTED)) is found
    assert check_size(replace(STORED, size=count), None, WANTED) is None


def test_each_fact_of_the_header_is_judged_with_its_reason() -> None:
    """An older server's dump goes into a newer one, not the other way round."""
    assert check_header(HEADER, STORED, WANTED) is None
    assert check_header(replace(HEADER, server=12, tools=12), STORED, WANTED) is None
    assert flaw(check_header(replace(HEADER, database="crm"), STORED, WANTED)) is BackupFlaw.DATABASE
    assert flaw(check_header(replace(HEADER, server=17, tools=17), STORED, WANTED)) is BackupFlaw.SERVER
    unfit = check_header(replace(HEADER, tools=17), STORED, WANTED)
    assert unfit == UnfitBackup(
        flaw=BackupFlaw.TOOLS, reason="pg_dump 17 wrote the backup, which pg_restore 16 cannot read"
    )


@pytest.mark.parametrize(
    ("created", "said"),
    [
        (-3 * HOUR, -3 * HOUR),
        (-HOUR, -HOUR),
        (-HOUR + timedelta(seconds=30), -HOUR),
        (HOUR - timedelta(minutes=5), -HOUR - timedelta(minutes=5)),
        (timedelta(hours=4, minutes=40), -HOUR - timedelta(minutes=5)),
    ],
    ids=["in UTC or behind it", "at once", "clocks that differ", "an hour ahead", "5:45 ahead, as in Nepal"],
)
def test_a_dump_was_taken_when_it_began_and_never_after_its_upload(created: timedelta, said: timedelta) -> None:
    """pg_dump writes down the clock on the wall; the upload of this one ended an hour ago."""
    assert taken(replace(HEADER, created=NOW + created), STORED) == NOW + said


def test_a_checksum_is_read_as_people_record_it() -> None:
    """Bare, as `sha256sum` writes it, in capitals; anything else is none."""
    assert recorded_sha256(DIGITS) == recorded_sha256(f"{DIGITS.upper()}  1.dump\n") == DIGITS
    assert [recorded_sha256(text) for text in ("", DIGITS[:-1], f"{DIGITS}0", "<html>")] == [None] * 4
    assert check_checksum(None, DIGITS) is check_checksum(DIGITS, DIGITS) is None
    assert flaw(check_checksum("0" * 64, DIGITS)) is BackupFlaw.CHECKSUM


def test_an_extension_that_a_backup_needs_must_be_there_or_not_be_known() -> None:
    """Where no server can be asked for its extensions, none is missed."""
    contents = ArchiveContents(roles=("app", "postgres"), extensions=("hstore", "vector"))
    has = replace(WANTED, roles=frozenset({"app", "postgres"}), extensions=frozenset({"hstore", "vector"}))
    assert check_contents(contents, has) is None
    assert check_contents(contents, replace(has, extensions=None)) is None
    assert flaw(check_contents(contents, replace(has, extensions=frozenset()))) is BackupFlaw.EXTENSIONS
    unfit = check_contents(contents, replace(has, roles=frozenset({"postgres"})))
    assert unfit == UnfitBackup(
        flaw=BackupFlaw.ROLES, reason="the server and the declarations lack a required object: role app"
    )


def test_rows_that_only_a_superuser_could_insert_are_a_flaw_but_for_coordinate_systems() -> None:
    rows = ("cron.job", "gis.spatial_ref_sys")
    unfit = check_contents(ArchiveContents(extensions=("pg_cron", "postgis"), foreign_rows=rows), WANTED)
    assert unfit is not None
    assert unfit.flaw is BackupFlaw.ROWS
    assert "pg_dump --exclude-table-data=cron.job)" in unfit.reason
    assert check_contents(ArchiveContents(extensions=("postgis",), foreign_rows=rows[1:]), WANTED) is None
    assert flaw(check_contents(ArchiveContents(foreign_rows=rows[1:]), WANTED)) is BackupFlaw.ROWS


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (999_600, "1 MB"),
        (2_540_000, "2.54 MB"),
        (3 * 10**12, "3 TB"),
    ],
)
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    """In powers of ten, as disks are sold."""
    assert size(count) == text


@pytest.mark.parametrize("url", ["s3://backup-bucket/database", "s3://backup-bucket/database/"])
def test_a_folder_ends_in_a_slash_whether_it_was_written_or_not(url: str) -> None:
    """`database` must not find `database-old/`."""
    assert S3Folder.parse(url) == FOLDER
    assert FOLDER.url == "s3://backup-bucket/database/"


@pytest.mark.parametrize("url", ["https://backup-bucket/x", "s3:///x", "backup-bucket/x", "s3://b/x?versionId=1"])
def test_a_url_that_is_no_folder_says_what_would_be_one(url: str) -> None:
    """A mistake in a runbook is read by a person."""
    with pytest.raises(UsageError, match="write s3://BUCKET/PREFIX/"):
        S3Folder.parse(url)


def test_an_invisible_character_of_a_key_is_written_so_that_it_is_seen() -> None:
    """A key may hold anything; a log's line may not."""
    assert FOLDER.of("database/a\nb\u202e") == "s3://backup-bucket/database/a%0Ab%E2%80%AE"
