"""
An S3 that fails, and a room that is too small: they are said as they are, and are no reason for an older backup.

What can be gone on with is gone on with, so and so often. The live database is as it was, and so is the room (D7, E8).
"""

import asyncio
import hashlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kintsugi.errors import StoreUnreachable
from kintsugi_restore.s3 import S3Client, S3Service
from kintsugi_restore.s3_objects import S3Folder
from kintsugi_restore.worker.fetch_download import RetryBudget, download
from kintsugi_restore.worker.staging_dir import StagingDir
from kintsugi_restore.worker_log import Note, WorkLine
from kintsugi_restore.worker_results import WorkFailure, WorkPhase
from tests.harness import disks
from tests.harness.fixtures import scratch
from tests.harness.s3 import KEY, REGION, SECRET, S3Server
from tests.harness.waiting import eventually
from tests.integration.backup_stage import (
    URL,
    Backups,
    BackupStage,
    comes_to,
    progress,
)
from tests.integration.restore_stage import TIMEOUT

pytestmark = pytest.mark.long

GET = b"GET /backup-bucket/database/2.dump "


@pytest.fixture
def stage(fetching: BackupStage, backups: Backups) -> BackupStage:
    """Return an S3 with yesterday's backup and today's."""
    fetching.put("2.dump", backups.stored)
    return fetching


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Return the root of a file system of 4 MiB."""
    with scratch("small-") as folder, disks.mounted(folder, options="size=4m"):
        yield folder


@pytest.mark.parametrize(
    ("url", "environment", "kind", "reason"),
    [
        ("s3://backup-bukket/database/", {}, WorkFailure.REFUSED, "there is no such bucket (NoSuchBucket)"),
        (
            URL,
            {"AWS_SECRET_ACCESS_KEY": "another-secret-altogether"},
            WorkFailure.REFUSED,
            "the credentials are wrong: the secret does not belong to this access key (SignatureDoesNotMatch)",
        ),
        (
            URL,
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            WorkFailure.REFUSED,
            "no usable credentials were found: Unable to locate credentials",
        ),
        (URL, {"KINTSUGI_S3_ENDPOINT": "http://127.0.0.1:1"}, WorkFailure.UNREACHABLE, "S3 cannot be reached: "),
    ],
    ids=["no bucket", "a wrong secret", "no credentials", "nobody listens"],
)
def test_an_s3_that_cannot_be_read_is_said_and_no_older_backup_is_looked_for(
    stage: BackupStage, url: str, environment: dict[str, str], kind: WorkFailure, reason: str
) -> None:
    """A slip of the pen must not look like a folder without backups."""
    stage.environment = environment
    failed = stage.failed(stage.fetch_here(url=url), kind)
    assert failed.reason.startswith(f"{url}: {reason}")


def test_credentials_that_expire_in_mid_download_are_said_and_no_older_backup_is_taken(
    stage: BackupStage, s3: S3Server
) -> None:
    """What has begun may end; what broke off cannot be taken up again."""
    own = S3Server(folder=stage.folder / "own")
    own.start()
    stage.s3 = own
    try:
        own.empty()
        for name in ("1.dump", "2.dump"):
            own.put(f"database/{name}", s3.root / "backup-bucket" / "database" / name)

        def expire() -> None:
            own.expire()
            own.wire.cut()

        own.wire.after(500_000, expire)
        failed = stage.failed(stage.fetch(), WorkFailure.REFUSED)
    finally:
        own.stop()
    assert failed.reason == (
        f"{URL}2.dump: the credentials are wrong: S3 does not know this access key (InvalidAccessKeyId)"
    )


def test_a_stream_that_is_cut_off_is_taken_up_where_it_broke_off(stage: BackupStage, backups: Backups) -> None:
    """By Range: what was there already is not fetched again."""
    before = len(stage.s3.wire.asked)
    stage.s3.wire.after(500_000, stage.s3.wire.cut)
    stage.s3.wire.after(1_200_000, stage.s3.wire.cut)
    worker = stage.fetch()
    backup = stage.taken(worker)
    whole = backups.stored.stat().st_size
    assert (backup.url, backup.proven, backup.size) == (f"{URL}2.dump", True, whole)
    assert worker.notes.count("it is resumed at ") == 2
    # A reset loses what is on its way: how much was answered in all tells nothing.
    from_where = re.findall(rb"\r\nRange: bytes=(\d+)-\r\n", b"".join(stage.s3.wire.asked[before:]))
    begun, again, once_more = map(int, from_where)
    assert begun == 0 < again < once_more < whole


async def test_a_stream_that_is_cut_off_again_and_again_is_given_up(stage: BackupStage, backups: Backups) -> None:
    """A bounded number of times on end; an older backup is not taken for it."""

    def again() -> None:
        stage.s3.wire.after(60_000, again)
        stage.s3.wire.cut()

    stage.s3.wire.after(60_000, again)
    # A reset loses what is on its way, which may be all there was.
    with pytest.raises(StoreUnreachable, match=r"it broke off 4 times in a row, at [\d.]+ (kB|bytes) of 2\.\d+ MB$"):
        await downloaded(stage, backups.stored, RetryBudget(breaks=3, pause=0.01))


async def test_breaks_between_which_much_comes_are_not_counted_together(stage: BackupStage, backups: Backups) -> None:
    """A download of hours breaks off now and then."""

    def again() -> None:
        stage.s3.wire.after(400_000, again)
        stage.s3.wire.cut()

    stage.s3.wire.after(400_000, again)
    notes = await downloaded(stage, backups.stored, RetryBudget(breaks=1, worth=50_000, pause=0.01))
    assert len(notes) > 3


async def test_a_stream_in_which_nothing_comes_is_taken_up_on_another_connection(
    stage: BackupStage, backups: Backups
) -> None:
    """A peer that vanished without a word never says that it is gone."""
    stage.s3.wire.after(500_000, stage.s3.wire.stall)
    work = asyncio.ensure_future(downloaded(stage, backups.stored, RetryBudget(pause=0.01), silence=1))
    await eventually(lambda: stage.s3.wire.stalled > 1, within=TIMEOUT, describe="a second connection that waits")
    stage.s3.wire.heal()
    [first, *_] = await work
    assert "timed out" in first


def test_a_slow_stream_is_waited_for_and_its_progress_is_told(stage: BackupStage, backups: Backups) -> None:
    """Slow is not broken."""
    whole = backups.stored.stat().st_size
    stage.s3.wire.slow(whole / 5)
    worker = stage.fetch()
    assert stage.taken(worker).url == f"{URL}2.dump"
    told = [each.bytes for each in progress(worker.lines) if each.phase is WorkPhase.DOWNLOADING]
    assert len(told) >= 3
    assert told == sorted(set(told))
    assert told[-1] == whole


@pytest.mark.parametrize("fault", ["slow", "stalled"])
def test_a_stream_that_is_not_over_at_the_deadline_is_given_up(stage: BackupStage, fault: str) -> None:
    """How far it came is said; a stream in which nothing moves is left at once, too."""
    if fault == "slow":
        stage.s3.wire.slow(100_000)
    else:
        stage.s3.wire.after(500_000, stage.s3.wire.stall)
    failed = stage.failed(stage.fetch("--within", "12"), WorkFailure.UNREACHABLE)
    assert failed.reason.startswith(f"{URL} was not fetched within 12s: it was downloading database/2.dump, ")
    assert failed.reason.endswith(" done")


def test_a_backup_that_was_replaced_by_a_whole_one_while_it_was_read_is_read_anew(
    stage: BackupStage, backups: Backups
) -> None:
    """Its ETag tells, whether the server heeds If-Match or not."""
    stage.s3.wire.at_request(GET, lambda: stage.put("2.dump", backups.good), number=2)
    backup = stage.taken(stage.fetch())
    assert (backup.url, backup.proven, backup.skipped) == (f"{URL}2.dump", True, ())
    assert backup.size == backups.good.stat().st_size


def test_a_backup_that_is_still_being_written_is_passed_over(stage: BackupStage, backups: Backups) -> None:
    """A store that shows an upload before its end shows another object at each look."""
    content = backups.stored.read_bytes()

    def more(share: int) -> None:
        stage.put("2.dump", content[: len(content) * share // 5])

    more(3)
    stage.s3.wire.at_request(GET, lambda: more(4), number=2)
    stage.s3.wire.at_request(GET, lambda: more(5), number=4)
    worker = stage.fetch()
    backup = stage.taken(worker)
    assert backup.url == f"{URL}1.dump"
    [skipped] = backup.skipped
    assert skipped.reason == (
        "the file was overwritten or deleted while the worker read it: its upload is not complete"
    )


def test_an_upload_in_parts_that_is_not_complete_is_said_and_not_looked_at(
    stage: BackupStage, backups: Backups
) -> None:
    """S3 shows nothing of it under its key."""
    client = stage.s3.client()
    stage.s3.age("database/2.dump", 60)
    upload = client.create_multipart_upload(Bucket="backup-bucket", Key="database/3.dump")["UploadId"]
    body = backups.stored.read_bytes()
    client.upload_part(Bucket="backup-bucket", Key="database/3.dump", UploadId=upload, PartNumber=1, Body=body)
    worker = stage.fetch()
    assert stage.taken(worker).url == f"{URL}2.dump"
    assert f"{URL}3.dump is still being uploaded: it is skipped" in worker.notes


def test_a_room_that_is_too_small_is_never_filled_beyond_it(stage: BackupStage, backups: Backups) -> None:
    """D7: it is known before the download; a smaller, older backup is not taken for it."""
    before = stage.s3.wire.answered
    failed = stage.failed(stage.fetch("--volume-bytes", "1000000"), WorkFailure.DISK_FULL)
    assert failed.reason.startswith(f"{URL}2.dump has ")
    assert failed.reason.endswith(f" MB, and {stage.room} has room for 1 MB more")
    assert stage.s3.wire.answered - before < 100_000


def test_an_earlier_backup_in_the_room_counts(stage: BackupStage) -> None:
    """An earlier backup, say: the room is for all of them."""
    other = stage.room / "other.dump"
    other.write_bytes(bytes(3_000_000))
    last = stage.fetch("--volume-bytes", "5000000").ends()
    assert "has room for 2 MB more" in getattr(last, "reason", "")
    assert list(stage.room.iterdir()) == [other]


def test_a_disk_that_fills_up_during_the_download_is_said(stage: BackupStage, small_disk: Path) -> None:
    """D7: somebody else writes to it; what was fetched is given back."""
    stage.folder = small_disk
    stage.room.mkdir()

    def fill() -> None:
        (small_disk / "somebody").write_bytes(bytes(2_500_000))

    stage.s3.wire.after(500_000, fill)
    failed = stage.failed(stage.fetch(), WorkFailure.DISK_FULL)
    assert failed.reason == f"the disk of {stage.room} is full: No space left on device"


def test_a_worker_that_is_asked_to_stop_leaves_nothing_in_the_room(stage: BackupStage, backups: Backups) -> None:
    """Kubernetes asks with SIGTERM."""
    stage.s3.wire.slow(300_000)
    worker = stage.fetch()
    comes_to(worker, WorkPhase.DOWNLOADING, least=100_000)
    worker.send(signal.SIGTERM)
    stage.failed(worker, WorkFailure.INTERRUPTED)


def test_the_parts_that_a_killed_worker_leaves_are_cleared_by_the_next(stage: BackupStage) -> None:
    """A part is never taken for a backup."""
    stage.s3.wire.slow(300_000)
    worker = stage.fetch()
    comes_to(worker, WorkPhase.DOWNLOADING, least=100_000)
    worker.send(signal.SIGKILL)
    assert worker.ends() is None
    assert [each.suffix for each in stage.room.iterdir()] == [".part"]
    stage.s3.wire.heal()
    assert stage.taken(stage.fetch()).url == f"{URL}2.dump"


def test_two_workers_do_not_fill_one_room(stage: BackupStage) -> None:
    """The second would take what the first has fetched so far for rubbish."""
    stage.s3.wire.slow(300_000)
    first = stage.fetch()
    comes_to(first, WorkPhase.DOWNLOADING, least=100_000)
    last = stage.fetch().ends()
    assert getattr(last, "reason", "") == f"another worker is fetching into {stage.room}"
    stage.s3.wire.heal()
    assert stage.taken(first).url == f"{URL}2.dump"


def test_memory_does_not_grow_with_the_backup(stage: BackupStage, backups: Backups) -> None:
    """It is streamed: twenty times the size costs a few MB at most, for the pieces on their way."""
    small = peak(stage, backups.stored)
    large = backups.stored.with_name("large.dump")
    large.write_bytes(backups.stored.read_bytes() + bytes(20 * backups.stored.stat().st_size))
    assert peak(stage, large) < small + 16 * 1024


async def downloaded(stage: BackupStage, file: Path, patience: RetryBudget, *, silence: float = 20) -> list[str]:
    """Download today's backup into the room; give what was said about breaks. What is in the room is the file then."""
    wanted = await asyncio.to_thread(file.read_bytes)
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    notes: list[str] = []

    def say(line: WorkLine) -> None:
        if isinstance(line, Note):
            notes.append(line.text)

    with pytest.MonkeyPatch.context() as patch, StagingDir.taken(stage.room, None) as room:
        for name, value in keys.items():
            patch.setenv(name, value)
        client = S3Client(S3Service(endpoint=stage.s3.endpoint, region=REGION, silence=silence, attempts=1))
        folder = S3Folder.parse(URL)
        listed = {each.key: each for each in await client.list(folder)}
        with room.part("2.dump", len(wanted)) as part:
            await download(client, folder, listed["database/2.dump"], part, say, patience)
            assert await asyncio.to_thread(part.path.read_bytes) == wanted
    return notes


def peak(stage: BackupStage, file: Path) -> int:
    """Fetch a backup; give the most memory that the worker had, in KiB. What follows a dump's end is not read by it."""
    stage.s3.empty()
    stage.s3.put("database/2.dump", file)
    stage.record("2.dump", hashlib.sha256(file.read_bytes()).hexdigest())
    worker = stage.fetch()
    most = 0
    while not worker.over:
        most = max(most, worker.memory())
    Path(stage.taken(worker).file).unlink()
    return most
