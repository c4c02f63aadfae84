"""Downloads one object into the staging volume: as a stream, with its checksum, and resumed where it broke off."""

import asyncio
import time
from dataclasses import dataclass

from kintsugi.errors import StoreUnreachable
from kintsugi_restore.backups import size
from kintsugi_restore.s3 import S3Client
from kintsugi_restore.s3_objects import S3Folder, StoredObject
from kintsugi_restore.worker.log_writer import Reporter
from kintsugi_restore.worker.staging_dir import PartialFile
from kintsugi_restore.worker_log import Note
from kintsugi_restore.worker_results import WorkPhase, WorkProgress

_EVERY = 1.0
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryBudget:
    """
    The budget of retries of a broken download: it lasts for two minutes of breaks alone.

    `breaks` are counted from the last one after which at least `worth` bytes came; the pause before the next grows from
    `pause` seconds to a minute.
    """

    breaks: int = 8
    worth: int = 16 << 20
    pause: float = 0.5


class DownloadProgress:
    """Reports how far something is, at most once a second, and at its end."""

    def __init__(self, phase: WorkPhase, stored: StoredObject, report: Reporter) -> None:
        self._phase, self._stored, self._report = phase, stored, report
        self._next = 0.0

    def at(self, count: int) -> None:
        """Hear how many bytes are done."""
        now = time.monotonic()
        if now >= self._next or count == self._stored.size:
            self._next = now + _EVERY
            self._report(WorkProgress(phase=self._phase, bytes=count, of=self._stored.size, what=self._stored.key))


async def download(
    client: S3Client, folder: S3Folder, stored: StoredObject, part: PartialFile, report: Reporter, retries: RetryBudget
) -> None:
    """
    Fill the part with the object.

    Raises StoreUnreachable when it broke off too often, StoreRefused and StoreChanged as the client does.
    """
    progress = DownloadProgress(WorkPhase.DOWNLOADING, stored, report)
    breaks = 0
    while True:
        begun = part.size
        why = await _streamed(client, folder, stored, part, progress)
        if part.size == stored.size:
            await asyncio.to_thread(part.flush)
            return
        breaks = 1 if part.size - begun >= retries.worth else breaks + 1
        far = f"{size(part.size)} of {size(stored.size)}"
        if breaks > retries.breaks:
            raise StoreUnreachable(f"{why}: it broke off {breaks} times in a row, at {far}")
        report(Note(text=f"{why}: it is resumed at {far}"))
        await asyncio.sleep(min(retries.pause * 2 ** (breaks - 1), _LONGEST_PAUSE))


async def _streamed(
    client: S3Client, folder: S3Folder, stored: StoredObject, part: PartialFile, progress: DownloadProgress
) -> str:
    """Take in what comes until it ends or breaks off; say why it ended."""

    def take(piece: bytes) -> None:
        part.take(piece)
        progress.at(part.size)

    try:
        async with client.body(folder, stored, start=part.size) as body:
            await body.copy(take)
    except StoreUnreachable as error:
        return str(error)
    return f"{folder.of(stored.key)}: the stream ended early"
