"""
Backups that are not what they seem: each is told by what is wrong with it, and the one before is taken.

All of them derive from real dumps; whatever they are, the live database is as it was (E7, E8, E10).
"""

import gzip
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kintsugi.model.worker_results import WorkFailure
from tests.harness.postgres import Postgres
from tests.harness.s3 import S3Server
from tests.integration.backup_stage import DAY, HOUR, URL, Backups, BackupStage, live_shop, made, served

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def backups() -> Iterator[Backups]:
    """Return the dumps that all are derived from."""
    with made() as found:
        yield found


@pytest.fixture(scope="module")
def live() -> Iterator[Postgres]:
    """Return the server with the live shop."""
    with live_shop() as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Return the S3 server."""
    with served() as server:
        yield server


@pytest.fixture
def stage(s3: S3Server, live: Postgres, backups: Backups) -> Iterator[BackupStage]:
    """Return an S3 with yesterday's backup, which is good; all that is live is the same afterwards."""
    with BackupStage.set(s3, live, backups) as stage:
        yield stage


def passed_over(stage: BackupStage, name: str, reason: str) -> None:
    """Fetch: yesterday's is taken, and it is said why the newer one is not."""
    worker = stage.fetch_here()
    backup = stage.taken(worker)
    assert backup.url == f"{URL}1.dump"
    assert backup.proven
    [skipped] = backup.skipped
    assert skipped.url == f"{URL}{name}"
    assert reason in skipped.reason
    assert f"{URL}{name} is not taken: {skipped.reason}" in worker.notes


def test_the_newest_good_backup_is_taken_with_all_that_is_known_of_it(stage: BackupStage, backups: Backups) -> None:
    """P8: what is restored is known, verified and said before anything is touched."""
    stage.put("2.dump", backups.role)
    worker = stage.fetch("--role", "auditor")
    backup = stage.taken(worker)
    assert (backup.url, backup.key, backup.proven, backup.skipped) == (f"{URL}2.dump", "database/2.dump", True, ())
    assert (backup.database, backup.server_major, backup.extensions) == ("shop", 16, ())
    assert backup.roles == ("auditor", "postgres")
    assert 0 < backup.age_seconds < HOUR
    assert worker.notes == ""


def test_a_checksum_in_the_metadata_proves_a_backup_too(stage: BackupStage, backups: Backups) -> None:
    """Whoever uploads with `aws s3 cp --metadata sha256=…` needs no second object."""
    content = backups.good.read_bytes()
    recorded = hashlib.sha256(content).hexdigest()
    stage.s3.put("database/2.dump", content, metadata={"sha256": recorded.upper()})
    assert stage.taken(stage.fetch_here()).proven


def test_a_tar_archive_is_as_good(stage: BackupStage, backups: Backups) -> None:
    """`pg_dump -Ft` begins with a header of its own."""
    stage.put("2.tar", backups.tar)
    assert stage.taken(stage.fetch_here()).url == f"{URL}2.tar"


def test_the_newest_is_found_on_the_last_of_many_pages(stage: BackupStage, backups: Backups) -> None:
    """S3 lists a thousand keys at a time, by name: the newest may come last."""
    long_ago = time.time() - 2 * DAY
    for number in range(1100):
        older = stage.s3.root / "backup-bucket" / "database" / f"0-{number:04}.dump"
        older.touch()
        os.utime(older, (long_ago, long_ago))
    stage.put("9.dump", backups.good)
    assert stage.taken(stage.fetch_here()).url == f"{URL}9.dump"


def test_an_empty_folder_is_said(stage: BackupStage) -> None:
    """Nothing was ever written there, or it is another folder."""
    failed = stage.failed(stage.fetch_here(url="s3://backup-bucket/none"))
    assert failed.kind is WorkFailure.NO_GOOD_BACKUP
    assert failed.reason == "there is no backup in s3://backup-bucket/none/: it is empty"


@pytest.mark.parametrize(("recorded", "reason"), [(True, "the file has changed"), (False, "end of file")])
def test_a_truncated_backup_is_passed_over(stage: BackupStage, backups: Backups, recorded: bool, reason: str) -> None:
    """With its checksum recorded it is known by that, without by being read to its end."""
    whole = backups.good.read_bytes()
    stage.put("2.dump", whole)
    if not recorded:
        stage.s3.client().delete_object(Bucket="backup-bucket", Key="database/2.dump.sha256")
    stage.s3.put("database/2.dump", whole[: len(whole) * 3 // 4])
    passed_over(stage, "2.dump", reason)


def test_a_flipped_bit_is_told_by_the_recorded_checksum(stage: BackupStage, backups: Backups) -> None:
    """In a dump that is not compressed nothing else tells it."""
    stage.put("2.dump", backups.stored)
    stage.s3.put("database/2.dump", flipped(backups.stored))
    passed_over(stage, "2.dump", "the file has changed: its sha256 is ")


def test_a_flipped_bit_that_nothing_can_tell_leaves_a_backup_unproven(stage: BackupStage, backups: Backups) -> None:
    """It reads through to its end: a person is asked before it is used."""
    stage.put("2.dump", flipped(backups.stored), sidecar=False)
    worker = stage.fetch_here()
    backup = stage.taken(worker)
    assert (backup.url, backup.proven) == (f"{URL}2.dump", False)
    assert f"no sha256 of {URL}2.dump was recorded: the backup is readable to its end, but not verified" in worker.notes


def test_a_flipped_bit_in_what_is_compressed_is_told_by_reading_it(stage: BackupStage, backups: Backups) -> None:
    """zlib carries a checksum of its own."""
    stage.put("2.dump", flipped(backups.good), sidecar=False)
    passed_over(stage, "2.dump", "the file cannot be read to its end: could not uncompress data: ")


def test_a_record_that_is_no_checksum_proves_nothing(stage: BackupStage, backups: Backups) -> None:
    """An error page beside a backup is no proof and no flaw."""
    stage.put("2.dump", backups.good, sidecar=False)
    stage.s3.put("database/2.dump.sha256", b"<html>403</html>")
    worker = stage.fetch_here()
    assert not stage.taken(worker).proven
    assert f"the checksum recorded for {URL}2.dump is not a sha256" in worker.notes


def test_a_backup_of_another_database_is_passed_over(stage: BackupStage, backups: Backups) -> None:
    """It costs a look at its first bytes, not a download."""
    stage.put("2.dump", backups.other)
    passed_over(stage, "2.dump", "the backup is of database crm, not of shop")


def test_a_backup_of_a_newer_server_is_passed_over(stage: BackupStage, backups: Backups) -> None:
    """PostgreSQL restores forwards only."""
    stage.put("2.dump", backups.newer)
    passed_over(stage, "2.dump", "the backup was taken from PostgreSQL 18, newer than the target's 16")


def test_an_empty_backup_is_passed_over(stage: BackupStage) -> None:
    """A pipe whose first half died uploads nothing, and succeeds."""
    stage.put("2.dump", b"")
    passed_over(stage, "2.dump", "the file is empty")


def test_a_backup_of_less_than_half_of_the_one_before_is_passed_over(stage: BackupStage, backups: Backups) -> None:
    """It is whole and proven; half of the rows were lost before it was taken."""
    stage.put("2.dump", backups.shrunk)
    passed_over(stage, "2.dump", "less than 50% of the ")


def test_how_much_less_is_suspicious_can_be_said(stage: BackupStage, backups: Backups) -> None:
    """A shop that clears up its orders every night says so."""
    stage.put("2.dump", backups.shrunk)
    assert stage.taken(stage.fetch_here("--min-size-ratio", "0.1")).url == f"{URL}2.dump"


def test_the_size_is_compared_with_the_backup_before_of_the_same_database(stage: BackupStage, backups: Backups) -> None:
    """In one folder there may be large and small databases."""
    stage.put("2.dump", backups.other.read_bytes() + bytes(backups.good.stat().st_size * 4), age=HOUR)
    stage.put("3.dump", backups.good)
    assert stage.taken(stage.fetch_here()).url == f"{URL}3.dump"


def test_among_many_backups_of_other_databases_ours_is_found_and_compared(stage: BackupStage, backups: Backups) -> None:
    """Thirty databases in one folder, each night: not every other one is named."""
    for number in range(30):
        shutil.copy(backups.other, stage.s3.root / "backup-bucket" / "database" / f"crm-{number}.dump")
    stage.put("2.dump", backups.shrunk, age=HOUR)
    worker = stage.fetch_here()
    backup = stage.taken(worker)
    assert backup.url == f"{URL}1.dump"
    assert len(backup.skipped) == 6
    assert "less than 50% of the " in backup.skipped[-1].reason
    assert "25 more that were examined are of other databases" in worker.notes


def test_plain_sql_is_passed_over(stage: BackupStage, backups: Backups) -> None:
    """psql goes on after errors, and a truncated script is a script."""
    stage.put("2.sql", backups.plain)
    passed_over(stage, "2.sql", "the file is plain SQL, which cannot be read through")


def test_a_file_that_is_no_dump_is_passed_over(stage: BackupStage, backups: Backups) -> None:
    """A dump that was compressed once more cannot be read as it is."""
    stage.put("2.dump.gz", gzip.compress(backups.good.read_bytes()[:5000]))
    passed_over(stage, "2.dump.gz", "the file is wrapped in gzip")


def test_a_key_that_leads_out_of_its_folder_is_passed_over(stage: BackupStage, backups: Backups) -> None:
    """E7: S3 lists what somebody wrote; no name of a file is made from a key."""
    stage.s3.put("database/xx/2.dump", backups.good)
    stage.s3.wire.swap(b"database/xx/2.dump", b"database/../2.dump")
    passed_over(stage, "../2.dump", "its key is not the key of a backup: the key points outside its folder")
    assert sorted(each.name for each in stage.folder.iterdir() if "dump" in each.name) == []


def test_an_extension_that_the_server_does_not_have_is_told_before_anything_is_touched(
    stage: BackupStage, backups: Backups
) -> None:
    """`pg_restore` would tell it in the middle of the night, into an empty volume."""
    stage.put("2.dump", backups.extension)
    passed_over(stage, "2.dump", "the server lacks a required object: extension vector")


def test_an_extension_is_said_where_no_server_can_be_asked(stage: BackupStage, backups: Backups) -> None:
    """The server that is to be recovered is down, as a rule: what cannot be known is no reason to refuse."""
    stage.put("2.dump", backups.extension)
    worker = stage.fetch_here(server=False)
    assert stage.taken(worker).extensions == ("vector",)
    assert f"{URL}2.dump needs extensions that no server could be asked for: vector" in worker.notes


def test_a_server_that_does_not_answer_is_said_and_assumed(stage: BackupStage, backups: Backups) -> None:
    """It is the one that is to be recovered."""
    stage.put("2.dump", backups.good)
    worker = stage.fetch_here("--server", f"127.0.0.1:{stage.s3.wire.port}", server=False)
    stage.taken(worker)
    assert "roles and extensions of the server could not be read, PostgreSQL 16 is assumed: " in worker.notes


def test_a_role_that_nobody_declares_is_told_before_anything_is_touched(stage: BackupStage, backups: Backups) -> None:
    """Into an empty cluster it would fail at the first GRANT."""
    stage.put("2.dump", backups.role)
    passed_over(stage, "2.dump", "the server and the declarations lack a required object: role auditor")


def test_a_role_that_only_the_live_server_has_is_said(stage: BackupStage, backups: Backups) -> None:
    """An empty server would not have it; a drill on the live one does."""
    stage.put("2.dump", backups.role)
    stage.live.psql("CREATE ROLE auditor")
    try:
        worker = stage.fetch_here()
        assert stage.taken(worker).url == f"{URL}2.dump"
    finally:
        stage.live.psql("DROP ROLE auditor")
    assert f"{URL}2.dump needs roles that are not declared and that only this server has: auditor" in worker.notes


def test_a_backup_that_is_too_old_is_told_with_its_age(stage: BackupStage) -> None:
    """The backups stopped and nobody saw it: that is for a person."""
    failed = stage.failed(stage.fetch_here("--max-age", str(20 * HOUR)))
    assert failed.kind is WorkFailure.NO_GOOD_BACKUP
    assert failed.reason == f"no backup of shop in {URL} is good: 1.dump: the backup is 24h old, older than 20h"


def test_every_backup_that_is_no_good_is_named(stage: BackupStage, backups: Backups) -> None:
    """Each with its own reason, from the newest on; what is older than may be used is only counted."""
    stage.put("1.dump", backups.yesterday, age=2 * DAY)
    stage.put("0.dump", backups.yesterday, age=3 * DAY)
    stage.put("2.dump", b"", age=HOUR)
    stage.put("3.dump", backups.other)
    failed = stage.failed(stage.fetch_here())
    assert failed.kind is WorkFailure.NO_GOOD_BACKUP
    assert failed.reason == (
        f"no backup of shop in {URL} is good: 3.dump: the backup is of database crm, not of shop; 2.dump: the file is empty;"
        " 1.dump: the backup is 48h old, older than 26h; and 1 more"
    )


def flipped(file: Path) -> bytes:
    """Flip one bit in the middle of a file, which is in its rows."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x04
    return bytes(content)
