"""
Examines one backup: its first bytes, the size of the one before, its checksum during the download, then all of it.

The cheapest check comes first, so that a backup of another database costs a few bytes and not its whole download.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kintsugi.errors import StoreChanged
from kintsugi.model.restores import Backup
from kintsugi_restore import backups
from kintsugi_restore.backups import ArchiveContents, ArchiveHeader, BackupFlaw, BackupRequirements, UnfitBackup
from kintsugi_restore.s3 import ObjectHead, S3Client
from kintsugi_restore.s3_objects import S3Folder, StoredObject
from kintsugi_restore.worker.archive import HEAD, read_header
from kintsugi_restore.worker.archive_reading import read_contents, read_through
from kintsugi_restore.worker.fetch_download import DownloadProgress, RetryBudget, download
from kintsugi_restore.worker.log_writer import Reporter
from kintsugi_restore.worker.server_info import CONTRIB, ServerInfo
from kintsugi_restore.worker.staging_dir import PartialFile, StagingDir
from kintsugi_restore.worker_log import Note
from kintsugi_restore.worker_results import WorkPhase, WorkProgress

_BEFORE = 100
"""The most older backups that are searched for the previous one of the same database."""

_TRIES = 2
"""The number of attempts at a backup that is overwritten meanwhile: once, it may have been replaced by a whole one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExaminationContext:
    """The context of an examination: its clients, requirements and limits."""

    client: S3Client
    folder: S3Folder
    staging: StagingDir
    wanted: BackupRequirements
    server_info: ServerInfo
    report: Reporter
    retries: RetryBudget


class Examination:
    """Examines the backups of one folder, one after the other, and keeps the first bytes that it has seen."""

    def __init__(self, context: ExaminationContext) -> None:
        self._context = context
        self._heads: dict[str, ObjectHead] = {}

    async def of(self, stored: StoredObject, older: Sequence[StoredObject]) -> Backup | UnfitBackup:
        """
        Fetch a backup that passes every check, or say what is wrong with it.

        Raises StoreRefused, StoreUnreachable and WorkFailed for what is no fault of the backup.
        """
        for _ in range(_TRIES):
            with suppress(StoreChanged):
                return await self._examined(stored, older)
            self._heads.pop(stored.key, None)
        return UnfitBackup(
            flaw=BackupFlaw.CHANGED,
            reason="the file was overwritten or deleted while the worker read it: its upload is not complete",
        )

    async def _examined(self, stored: StoredObject, older: Sequence[StoredObject]) -> Backup | UnfitBackup:
        wanted = self._context.wanted
        unfit = backups.check_listed(stored, self._context.folder, wanted)
        if unfit is not None:
            return unfit
        head = await self._head(stored)
        header = read_header(head.head)
        if isinstance(header, UnfitBackup):
            return header
        unfit = backups.check_header(header, head.stored, wanted)
        unfit = unfit or backups.check_size(head.stored, await self._before(older), wanted)
        return unfit or await self._fetched(head, header)

    async def _fetched(self, head: ObjectHead, header: ArchiveHeader) -> Backup | UnfitBackup:
        context, stored = self._context, head.stored
        url = context.folder.of(stored.key)
        with context.staging.part(url, stored.size) as part:
            await download(context.client, context.folder, stored, part, context.report, context.retries)
            recorded = await self._recorded(head)
            contents = backups.check_checksum(recorded, part.sha256) or await self._read(stored, part)
            if isinstance(contents, UnfitBackup):
                return contents
            file = await asyncio.to_thread(part.keep)
        if recorded is None:
            context.report(
                Note(text=f"no sha256 of {url} was recorded: the backup is readable to its end, but not verified")
            )
        self._report_needs(url, contents)
        return self._backup(stored, header, contents, file=file, sha256=part.sha256, proven=recorded is not None)

    async def _read(self, stored: StoredObject, part: PartialFile) -> ArchiveContents | UnfitBackup:
        """Read the part through, then what it holds and needs."""
        unfit = await read_through(part.path, DownloadProgress(WorkPhase.READING, stored, self._context.report).at)
        if unfit is not None:
            return unfit
        contents = await read_contents(part.path)
        return contents if isinstance(contents, UnfitBackup) else self._checked(contents)

    def _checked(self, contents: ArchiveContents) -> ArchiveContents | UnfitBackup:
        return backups.check_contents(contents, self._context.wanted) or contents

    async def _recorded(self, head: ObjectHead) -> str | None:
        """Find the checksum that was recorded, beside the object or with it."""
        context, key = self._context, head.stored.key + backups.SIDECAR
        context.report(WorkProgress(phase=WorkPhase.VERIFYING, of=head.stored.size, what=head.stored.key))
        text = head.metadata.get(backups.METADATA, "")
        with suppress(StoreChanged):
            sidecar = StoredObject(key=key, size=0, modified=head.stored.modified)
            text = (await context.client.head(context.folder, sidecar, first=1024)).head.decode(errors="replace")
        recorded = backups.recorded_sha256(text)
        if text and recorded is None:
            context.report(Note(text=f"the checksum recorded for {context.folder.of(head.stored.key)} is not a sha256"))
        return recorded

    async def _before(self, older: Sequence[StoredObject]) -> StoredObject | None:
        """Return the next older backup of the same database; unreadable ones are skipped."""
        for each in older[:_BEFORE]:
            if backups.check_key(each, self._context.folder) is not None:
                continue
            with suppress(StoreChanged):
                head = await self._head(each)
                header = read_header(head.head)
                if isinstance(header, ArchiveHeader) and header.database == self._context.wanted.database:
                    return head.stored
        return None

    async def _head(self, stored: StoredObject) -> ObjectHead:
        if stored.key not in self._heads:
            self._heads[stored.key] = await self._context.client.head(self._context.folder, stored, first=HEAD)
        return self._heads[stored.key]

    def _report_needs(self, url: str, contents: ArchiveContents) -> None:
        """
        Report the needs that a new, empty server might not meet: undeclared roles, extensions that are not
        PostgreSQL's.
        """
        has = self._context.server_info
        undeclared = ", ".join(role for role in contents.roles if role in has.others)
        if undeclared:
            self._context.report(
                Note(text=f"{url} needs roles that are not declared and that only this server has: {undeclared}")
            )
        foreign = ", ".join(name for name in contents.extensions if name not in CONTRIB)
        if foreign and has.extensions is None:
            self._context.report(Note(text=f"{url} needs extensions that no server could be asked for: {foreign}"))

    def _backup(
        self,
        stored: StoredObject,
        header: ArchiveHeader,
        contents: ArchiveContents,
        *,
        file: Path,
        sha256: str,
        proven: bool,
    ) -> Backup:
        taken = backups.taken(header, stored)
        return Backup(
            url=self._context.folder.of(stored.key),
            file=str(file),
            key=stored.key,
            size=stored.size,
            taken=taken,
            sha256=sha256,
            proven=proven,
            database=header.database,
            server_major=header.server,
            roles=contents.roles,
            extensions=contents.extensions,
            age_seconds=(self._context.wanted.now - taken).total_seconds(),
        )
