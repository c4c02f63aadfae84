"""
Backups that are not what they seem: each is told by what is wrong with it, and the one before is taken.

All of them derive from real dumps; whatever they are, the live database is as it was (E7, E8, E10).
"""

import gzip
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kintsugi_restore.worker_results import WorkFailure
from tests.integration.backup_stage import DAY, HOUR, URL, Backups, BackupStage

pytestmark = pytest.mark.long


def passed_over(fetching: BackupStage, name: str, reason: str) -> None:
    """Fetch: yesterday's is taken, and it is said why the newer one is not."""
    worker = fetching.fetch_here()
    backup = fetching.taken(worker)
    assert backup.url == f"{URL}1.dump"
    assert backup.proven
    [skipped] = backup.skipped
    assert skipped.url == f"{URL}{name}"
    assert reason in skipped.reason
    assert f"{URL}{name} is not taken: {skipped.reason}" in worker.notes


def test_the_newest_good_backup_is_taken_with_all_that_is_known_of_it(fetching: BackupStage, backups: Backups) -> None:
    """P8: what is restored is known, verified and said before anything is touched."""
    fetching.put("2.dump", backups.role)
    worker = fetching.fetch("--role", "auditor")
    backup = fetching.taken(worker)
    assert (backup.url, backup.key, backup.proven, backup.skipped) == (f"{URL}2.dump", "database/2.dump", True, ())
    assert (backup.database, backup.server_major, backup.extensions) == ("shop", 16, ())
    assert backup.roles == ("auditor", "postgres")
    assert 0 < backup.age_seconds < HOUR
    assert worker.notes == ""


def test_a_checksum_in_the_metadata_proves_a_backup_too(fetching: BackupStage, backups: Backups) -> None:
    """Whoever uploads with `aws s3 cp --metadata sha256=…` needs no second object."""
    content = backups.good.read_bytes()
    recorded = hashlib.sha256(content).hexdigest()
    fetching.s3.put("database/2.dump", content, metadata={"sha256": recorded.upper()})
    assert fetching.taken(fetching.fetch_here()).proven


def test_a_tar_archive_is_as_good(fetching: BackupStage, backups: Backups) -> None:
    """`pg_dump -Ft` begins with a header of its own."""
    fetching.put("2.tar", backups.tar)
    assert fetching.taken(fetching.fetch_here()).url == f"{URL}2.tar"


def test_the_newest_is_found_on_the_last_of_many_pages(fetching: BackupStage, backups: Backups) -> None:
    """S3 lists a thousand keys at a time, by name: the newest may come last."""
    long_ago = time.time() - 2 * DAY
    for number in range(1100):
        older = fetching.s3.root / "backup-bucket" / "database" / f"0-{number:04}.dump"
        older.touch()
        os.utime(older, (long_ago, long_ago))
    fetching.put("9.dump", backups.good)
    assert fetching.taken(fetching.fetch_here()).url == f"{URL}9.dump"


def test_an_empty_folder_is_said(fetching: BackupStage) -> None:
    """Nothing was ever written there, or it is another folder."""
    failed = fetching.failed(fetching.fetch_here(url="s3://backup-bucket/none"), WorkFailure.NO_GOOD_BACKUP)
    assert failed.reason == "there is no backup in s3://backup-bucket/none/: it is empty"


def flipped(file: Path) -> bytes:
    """Flip one bit in the middle of a file, which is in its rows."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x04
    return bytes(content)


def cut_off(file: Path) -> bytes:
    """Leave out the last quarter of a file."""
    content = file.read_bytes()
    return content[: len(content) * 3 // 4]


Content = Callable[[Backups], bytes | Path]


def nothing(_: Backups) -> bytes:
    """Write no byte, as a pipe does whose first half died, and succeeds."""
    return b""


PASSED_OVER: list[tuple[str, Content, Content | None, str]] = [
    ("2.dump", lambda of: cut_off(of.good), lambda of: of.good, "the file has changed"),
    ("2.dump", lambda of: cut_off(of.good), None, "end of file"),
    ("2.dump", lambda of: flipped(of.stored), lambda of: of.stored, "the file has changed: its sha256 is "),
    ("2.dump", lambda of: flipped(of.good), None, "cannot be read to its end: could not uncompress data: "),
    ("2.dump", lambda of: of.other, lambda of: of.other, "the backup is of database crm, not of shop"),
    ("2.dump", lambda of: of.newer, lambda of: of.newer, "was taken from PostgreSQL 18, newer than the target's 16"),
    ("2.dump", nothing, nothing, "the file is empty"),
    ("2.dump", lambda of: of.shrunk, lambda of: of.shrunk, "less than 50% of the "),
    ("2.sql", lambda of: of.plain, lambda of: of.plain, "the file is plain SQL, which cannot be read through"),
    ("2.dump.gz", lambda of: gzip.compress(of.good.read_bytes()[:5000]), None, "the file is wrapped in gzip"),
    ("2.dump", lambda of: of.extension, None, "the server lacks a required object: extension vector"),
    ("2.dump", lambda of: of.role, None, "the server and the declarations lack a required object: role auditor"),
]
"""Names and contents of newer backups, what their checksums were taken of (None: none was), and what is said of each."""


@pytest.mark.parametrize(("name", "content", "recorded", "reason"), PASSED_OVER, ids=[each[3] for each in PASSED_OVER])
def test_a_backup_that_cannot_be_restored_is_passed_over_before_anything_is_touched(
    fetching: BackupStage, backups: Backups, name: str, content: Content, recorded: Content | None, reason: str
) -> None:
    """It is known by its checksum, its first bytes, its table of contents, or by being read to its end."""
    if recorded is not None:
        fetching.put(name, recorded(backups))
    fetching.put(name, content(backups), sidecar=False)
    passed_over(fetching, name, reason)


def test_a_flipped_bit_that_nothing_can_tell_leaves_a_backup_unproven(fetching: BackupStage, backups: Backups) -> None:
    """It reads through to its end: a person is asked before it is used."""
    fetching.put("2.dump", flipped(backups.stored), sidecar=False)
    worker = fetching.fetch_here()
    backup = fetching.taken(worker)
    assert (backup.url, backup.proven) == (f"{URL}2.dump", False)
    assert f"no sha256 of {URL}2.dump was recorded: the backup is readable to its end, but not verified" in worker.notes


def test_a_record_that_is_no_checksum_proves_nothing(fetching: BackupStage, backups: Backups) -> None:
    """An error page beside a backup is no proof and no flaw."""
    fetching.put("2.dump", backups.good, sidecar=False)
    fetching.s3.put("database/2.dump.sha256", b"<html>403</html>")
    worker = fetching.fetch_here()
    assert not fetching.taken(worker).proven
    assert f"the checksum recorded for {URL}2.dump is not a sha256" in worker.notes


def test_how_much_less_is_suspicious_can_be_said(fetching: BackupStage, backups: Backups) -> None:
    """A shop that clears up its orders every night says so."""
    fetching.put("2.dump", backups.shrunk)
    assert fetching.taken(fetching.fetch_here("--min-size-ratio", "0.1")).url == f"{URL}2.dump"


def test_among_many_backups_of_other_databases_ours_is_found_and_compared(
    fetching: BackupStage, backups: Backups
) -> None:
    """Thirty databases in one folder, each night: not every other one is named."""
    for number in range(30):
        shutil.copy(backups.other, fetching.s3.root / "backup-bucket" / "database" / f"crm-{number}.dump")
    fetching.put("2.dump", backups.shrunk, age=HOUR)
    worker = fetching.fetch_here()
    backup = fetching.taken(worker)
    assert backup.url == f"{URL}1.dump"
    assert len(backup.skipped) == 6
    assert "less than 50% of the " in backup.skipped[-1].reason
    assert "25 more that were examined are of other databases" in worker.notes


def test_a_key_that_leads_out_of_its_folder_is_passed_over(fetching: BackupStage, backups: Backups) -> None:
    """E7: S3 lists what somebody wrote; no name of a file is made from a key."""
    fetching.s3.put("database/xx/2.dump", backups.good)
    fetching.s3.wire.swap(b"database/xx/2.dump", b"database/../2.dump")
    passed_over(fetching, "../2.dump", "its key is not the key of a backup: the key points outside its folder")
    assert sorted(each.name for each in fetching.folder.iterdir() if "dump" in each.name) == []


def test_an_extension_is_said_where_no_server_can_be_asked(fetching: BackupStage, backups: Backups) -> None:
    """The server that is to be recovered is down, as a rule: what cannot be known is no reason to refuse."""
    fetching.put("2.dump", backups.extension)
    worker = fetching.fetch_here(server=False)
    assert fetching.taken(worker).extensions == ("vector",)
    assert f"{URL}2.dump needs extensions that no server could be asked for: vector" in worker.notes


def test_a_server_that_does_not_answer_is_said_and_assumed(fetching: BackupStage, backups: Backups) -> None:
    """It is the one that is to be recovered."""
    fetching.put("2.dump", backups.good)
    worker = fetching.fetch_here("--server", f"127.0.0.1:{fetching.s3.wire.port}", server=False)
    fetching.taken(worker)
    assert "roles and extensions of the server could not be read, PostgreSQL 16 is assumed: " in worker.notes


def test_a_role_that_only_the_live_server_has_is_said(fetching: BackupStage, backups: Backups) -> None:
    """An empty server would not have it; a drill on the live one does."""
    fetching.put("2.dump", backups.role)
    fetching.live.psql("CREATE ROLE auditor")
    try:
        worker = fetching.fetch_here()
        assert fetching.taken(worker).url == f"{URL}2.dump"
    finally:
        fetching.live.psql("DROP ROLE auditor")
    assert f"{URL}2.dump needs roles that are not declared and that only this server has: auditor" in worker.notes


def test_every_backup_that_is_no_good_is_named(fetching: BackupStage, backups: Backups) -> None:
    """Each with its own reason, from the newest on; what is older than may be used is only counted."""
    fetching.put("1.dump", backups.yesterday, age=2 * DAY)
    fetching.put("0.dump", backups.yesterday, age=3 * DAY)
    fetching.put("2.dump", b"", age=HOUR)
    fetching.put("3.dump", backups.other)
    failed = fetching.failed(fetching.fetch_here(), WorkFailure.NO_GOOD_BACKUP)
    assert failed.reason == (
        f"no backup of shop in {URL} is good: 3.dump: the backup is of database crm, not of shop; 2.dump: the file is empty;"
        " 1.dump: the backup is 48h old, older than 26h; and 1 more"
    )
