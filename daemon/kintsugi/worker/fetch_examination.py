"""
Examine one backup: its first bytes, the size of the one before, its checksum while it comes, then all of it.

What costs least is asked first, so that a backup of another database costs a few bytes and not its whole download.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kintsugi import backups
from kintsugi.backups import ArchiveContents, ArchiveHeader, Flaw, Unfit, Wanted
from kintsugi.clients.s3 import Glimpse, S3Client
from kintsugi.errors import StoreChanged
from kintsugi.model.lines import Note
from kintsugi.model.restore import Backup, WorkPhase, WorkProgress
from kintsugi.model.store import Folder, StoredObject
from kintsugi.worker.archive import HEAD, read_header
from kintsugi.worker.archive_reading import read_contents, read_through
from kintsugi.worker.fetch_download import Pace, Patience, download
from kintsugi.worker.fetch_room import Part, Room
from kintsugi.worker.fetch_target import CONTRIB, Having
from kintsugi.worker.lines import Say

_BEFORE = 100
"""How many older backups are looked at, at most, for the one before of the same database."""

_TRIES = 2
"""How often a backup is begun that is written over meanwhile: once it may have been replaced by a whole one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What an examination works with and goes by."""

    client: S3Client
    folder: Folder
    room: Room
    wanted: Wanted
    having: Having
    say: Say
    patience: Patience


class Examination:
    """Examines the backups of one folder, one after the other, and keeps the first bytes that it has seen."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._glimpses: dict[str, Glimpse] = {}

    async def of(self, stored: StoredObject, older: Sequence[StoredObject]) -> Backup | Unfit:
        """
        Fetch a backup that passes every check, or say what is wrong with it.

        Raises StoreRefused, StoreUnreachable and WorkFailed for what is no fault of the backup.
        """
        for _ in range(_TRIES):
            with suppress(StoreChanged):
                return await self._examined(stored, older)
            self._glimpses.pop(stored.key, None)
        return Unfit(
            flaw=Flaw.CHANGED, reason="it was written over or taken away while it was read: its upload is not complete"
        )

    async def _examined(self, stored: StoredObject, older: Sequence[StoredObject]) -> Backup | Unfit:
        wanted = self._means.wanted
        unfit = backups.judge_listed(stored, self._means.folder, wanted)
        if unfit is not None:
            return unfit
        glimpse = await self._glimpse(stored)
        header = read_header(glimpse.head)
        if isinstance(header, Unfit):
            return header
        unfit = backups.judge_header(header, glimpse.stored, wanted)
        unfit = unfit or backups.judge_size(glimpse.stored, await self._before(older), wanted)
        return unfit or await self._fetched(glimpse, header)

    async def _fetched(self, glimpse: Glimpse, header: ArchiveHeader) -> Backup | Unfit:
        means, stored = self._means, glimpse.stored
        url = means.folder.of(stored.key)
        with means.room.part(url, stored.size) as part:
            await download(means.client, means.folder, stored, part, means.say, means.patience)
            recorded = await self._recorded(glimpse)
            contents = backups.judge_checksum(recorded, part.sha256) or await self._read(stored, part)
            if isinstance(contents, Unfit):
                return contents
            file = await asyncio.to_thread(part.keep)
        if recorded is None:
            means.say(Note(text=f"nobody recorded a sha256 of {url}: it reads through to its end, but is unproven"))
        self._tell_needs(url, contents)
        return self._backup(stored, header, contents, file=file, sha256=part.sha256, proven=recorded is not None)

    async def _read(self, stored: StoredObject, part: Part) -> ArchiveContents | Unfit:
        """Read the part through, then what it holds and needs."""
        unfit = await read_through(part.path, Pace(WorkPhase.READING, stored, self._means.say).at)
        if unfit is not None:
            return unfit
        contents = await read_contents(part.path)
        return contents if isinstance(contents, Unfit) else self._judged(contents)

    def _judged(self, contents: ArchiveContents) -> ArchiveContents | Unfit:
        return backups.judge_contents(contents, self._means.wanted) or contents

    async def _recorded(self, glimpse: Glimpse) -> str | None:
        """Find the checksum that was recorded, beside the object or with it."""
        means, key = self._means, glimpse.stored.key + backups.SIDECAR
        means.say(WorkProgress(phase=WorkPhase.VERIFYING, of=glimpse.stored.size, what=glimpse.stored.key))
        text = glimpse.metadata.get(backups.METADATA, "")
        with suppress(StoreChanged):
            sidecar = StoredObject(key=key, size=0, modified=glimpse.stored.modified)
            text = (await means.client.glimpse(means.folder, sidecar, first=1024)).head.decode(errors="replace")
        recorded = backups.recorded_sha256(text)
        if text and recorded is None:
            means.say(Note(text=f"what was recorded of {means.folder.of(glimpse.stored.key)} is no sha256"))
        return recorded

    async def _before(self, older: Sequence[StoredObject]) -> StoredObject | None:
        """Find the next older backup of the same database; what cannot be read is none."""
        for each in older[:_BEFORE]:
            if backups.judge_key(each, self._means.folder) is not None:
                continue
            with suppress(StoreChanged):
                glimpse = await self._glimpse(each)
                header = read_header(glimpse.head)
                if isinstance(header, ArchiveHeader) and header.database == self._means.wanted.database:
                    return glimpse.stored
        return None

    async def _glimpse(self, stored: StoredObject) -> Glimpse:
        if stored.key not in self._glimpses:
            self._glimpses[stored.key] = await self._means.client.glimpse(self._means.folder, stored, first=HEAD)
        return self._glimpses[stored.key]

    def _tell_needs(self, url: str, contents: ArchiveContents) -> None:
        """Say what a new, empty server might not have: roles that nobody declares, extensions that are not PostgreSQL's."""
        has = self._means.having
        undeclared = ", ".join(role for role in contents.roles if role in has.others)
        if undeclared:
            self._means.say(
                Note(text=f"{url} needs roles that nothing declares and only this server has: {undeclared}")
            )
        foreign = ", ".join(name for name in contents.extensions if name not in CONTRIB)
        if foreign and has.extensions is None:
            self._means.say(Note(text=f"{url} needs extensions that no server could be asked for: {foreign}"))

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
            url=self._means.folder.of(stored.key),
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
            age_seconds=(self._means.wanted.now - taken).total_seconds(),
        )
