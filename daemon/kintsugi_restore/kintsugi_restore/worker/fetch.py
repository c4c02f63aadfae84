"""
Fetches the newest backup that passes every check, before anything is touched.

A flaw of a backup (`kintsugi_restore.backups`) is reported, and the next older one is checked. A failure of S3, the
credentials, the staging volume or the time limit is no reason for an older backup: it ends the work, and is reported.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from kintsugi.durations import format_duration
from kintsugi.errors import StoreError, StoreUnreachable, UsageError
from kintsugi.model.restores import Backup, Skipped
from kintsugi_restore.backups import BackupFlaw, BackupRequirements, newest_first, size
from kintsugi_restore.s3 import S3Client, S3Service
from kintsugi_restore.s3_objects import S3Folder, StoredObject
from kintsugi_restore.worker import PG_MAJOR
from kintsugi_restore.worker.fetch_download import RetryBudget
from kintsugi_restore.worker.fetch_examination import Examination, ExaminationContext
from kintsugi_restore.worker.log_writer import Reporter, WorkFailed
from kintsugi_restore.worker.options import FetchOptions
from kintsugi_restore.worker.server_info import ServerInfo, inspect_server
from kintsugi_restore.worker.staging_dir import StagingDir
from kintsugi_restore.worker_log import Note, WorkLine
from kintsugi_restore.worker_results import WorkFailure, WorkPhase, WorkProgress

ENDPOINT = "KINTSUGI_S3_ENDPOINT"
REGION = "AWS_REGION"

_MAX_DOWNLOADS = 20
"""The most backups that are read: when this many are bad, the fault is not in the backups."""

_MAX_EXAMINED = 500
"""The most backups that are checked; a folder may hold those of many databases."""

_MAX_NAMED = 5
"""The most backups that the last sentence names, and the most of other databases that are named."""

_METADATA_FLAWS = frozenset(
    {
        BackupFlaw.KEY,
        BackupFlaw.EMPTY,
        BackupFlaw.FORMAT,
        BackupFlaw.DATABASE,
        BackupFlaw.SERVER,
        BackupFlaw.TOOLS,
        BackupFlaw.SHRUNK,
    }
)
"""The flaws that are found without a download."""


async def fetch(options: FetchOptions, report: Reporter) -> Backup:
    """Fetch into the staging volume. Raises WorkFailed with the reason; nothing of ours is left there then."""
    doing = _LastProgress(report)
    try:
        folder = S3Folder.parse(options.url)
        with StagingDir.taken(options.into, options.volume_bytes) as staging:
            async with asyncio.timeout(options.within.total_seconds()) as deadline:
                return await _find_newest_good(folder, staging, options, doing.report)
    except UsageError as error:
        raise WorkFailed(WorkFailure.REFUSED, str(error)) from error
    except StoreUnreachable as error:
        raise WorkFailed(WorkFailure.UNREACHABLE, str(error)) from error
    except StoreError as error:
        raise WorkFailed(WorkFailure.REFUSED, str(error)) from error
    except TimeoutError as error:
        if not deadline.expired():
            raise
        within = format_duration(options.within)
        raise WorkFailed(WorkFailure.UNREACHABLE, f"{options.url} was not fetched within {within}: {doing}") from error


async def _find_newest_good(folder: S3Folder, staging: StagingDir, options: FetchOptions, report: Reporter) -> Backup:
    """Examine the backups from the newest on until one passes."""
    client = S3Client(S3Service(endpoint=os.environ.get(ENDPOINT, ""), region=os.environ.get(REGION, "")))
    report(WorkProgress(phase=WorkPhase.LISTING, what=folder.url))
    found = newest_first(await client.list(folder))
    if not found:
        raise WorkFailed(WorkFailure.NO_GOOD_BACKUP, f"there is no backup in {folder.url}: it is empty")
    for upload in await client.uploads(folder):
        if upload.begun > found[0].modified:
            report(Note(text=f"{folder.of(upload.key)} is still being uploaded: it is skipped"))
    has = await inspect_server(options, report)
    context = ExaminationContext(
        client=client,
        folder=folder,
        staging=staging,
        wanted=_wanted(options, has),
        server_info=has,
        report=report,
        retries=RetryBudget(),
    )
    return await _newest_good(Examination(context), found, folder, options.database, report)


async def _newest_good(
    examination: Examination, found: Sequence[StoredObject], folder: S3Folder, database: str, report: Reporter
) -> Backup:
    skipped: list[Skipped] = []
    others = downloads = 0
    for at, stored in enumerate(found[:_MAX_EXAMINED]):
        examined = await examination.of(stored, found[at + 1 :])
        if isinstance(examined, Backup):
            _report_others(others, report)
            return replace(examined, skipped=tuple(skipped))
        others += examined.flaw is BackupFlaw.DATABASE
        downloads += examined.flaw not in _METADATA_FLAWS
        if examined.flaw is not BackupFlaw.DATABASE or others <= _MAX_NAMED:
            skipped.append(Skipped(url=folder.of(stored.key), reason=examined.reason))
            report(Note(text=f"{skipped[-1].url} is not taken: {examined.reason}"))
        if examined.flaw is BackupFlaw.OLD or downloads == _MAX_DOWNLOADS:
            break
    _report_others(others, report)
    raise WorkFailed(WorkFailure.NO_GOOD_BACKUP, _none_is_good(skipped, len(found), folder, database))


def _report_others(count: int, report: Reporter) -> None:
    """Report that a folder holds many backups of other databases, which are not all named."""
    if count > _MAX_NAMED:
        report(Note(text=f"{count - _MAX_NAMED} more that were examined are of other databases"))


def _none_is_good(skipped: Sequence[Skipped], count: int, folder: S3Folder, database: str) -> str:
    named = "; ".join(f"{each.url.removeprefix(folder.url)}: {each.reason}" for each in skipped[:_MAX_NAMED])
    others = count - min(len(skipped), _MAX_NAMED)
    more = f"; and {others} more" if others else ""
    return f"no backup of {database} in {folder.url} is good: {named}{more}"


def _wanted(options: FetchOptions, has: ServerInfo) -> BackupRequirements:
    return BackupRequirements(
        database=options.database,
        server=has.major,
        tools=PG_MAJOR,
        now=datetime.now(UTC),
        max_age=options.max_age,
        min_size_ratio=options.min_size_ratio,
        roles=has.declared | has.others,
        extensions=has.extensions,
    )


class _LastProgress:
    """Passes on what is said, and keeps what is being done for when the time is over."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._last: WorkProgress | None = None

    def report(self, line: WorkLine) -> None:
        if isinstance(line, WorkProgress):
            self._last = line
        self._report(line)

    def __str__(self) -> str:
        if self._last is None:
            return "nothing was started"
        far = f", {size(self._last.bytes)} of {size(self._last.of)} done" if self._last.of else ""
        return f"it was {self._last.phase} {self._last.what}{far}"
