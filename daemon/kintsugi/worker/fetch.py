"""
Fetch the newest backup that passes every check, before anything is touched.

What is wrong with a backup (`kintsugi.backups`) is said, and the next older one is looked at. What is wrong with S3, the
credentials, the room or the time is no reason for an older backup: it ends the work, and is said as it is.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from kintsugi.backups import Flaw, Wanted, newest_first, size
from kintsugi.clients.s3 import S3Client, S3Service
from kintsugi.durations import format_duration
from kintsugi.errors import StoreError, StoreUnreachable, UsageError
from kintsugi.model.lines import Note, WorkLine
from kintsugi.model.restore import Backup, Skipped, WorkFailure, WorkPhase, WorkProgress
from kintsugi.model.store import Folder, StoredObject
from kintsugi.worker import PG_MAJOR
from kintsugi.worker.fetch_download import Patience
from kintsugi.worker.fetch_examination import Examination, Means
from kintsugi.worker.fetch_room import Room
from kintsugi.worker.fetch_target import Having, having
from kintsugi.worker.lines import Say, WorkFailed
from kintsugi.worker.options import FetchOptions

ENDPOINT = "KINTSUGI_S3_ENDPOINT"
REGION = "AWS_REGION"

_MOST = 20
"""How many are read at most: when so many are no good, what is wrong is not the backups."""

_LOOKED_AT = 500
"""How many are looked at at most; a folder may hold those of many databases."""

_NAMED = 5
"""How many the last sentence names, and how many of other databases are named at all."""

_CHEAP = frozenset({Flaw.KEY, Flaw.EMPTY, Flaw.FORMAT, Flaw.DATABASE, Flaw.SERVER, Flaw.TOOLS, Flaw.SHRUNK})
"""What is known without a download."""


async def fetch(options: FetchOptions, say: Say) -> Backup:
    """Fetch into the room. Raises WorkFailed with the reason; nothing of ours is left in the room then."""
    doing = _Doing(say)
    try:
        folder = Folder.parse(options.url)
        with Room.taken(options.into, options.room) as room:
            async with asyncio.timeout(options.within.total_seconds()) as deadline:
                return await _searched(folder, room, options, doing.say)
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


async def _searched(folder: Folder, room: Room, options: FetchOptions, say: Say) -> Backup:
    """Examine the backups from the newest on until one passes."""
    client = S3Client(S3Service(endpoint=os.environ.get(ENDPOINT, ""), region=os.environ.get(REGION, "")))
    say(WorkProgress(phase=WorkPhase.LISTING, what=folder.url))
    found = newest_first(await client.list(folder))
    if not found:
        raise WorkFailed(WorkFailure.NO_GOOD_BACKUP, f"there is no backup in {folder.url}: nothing lies there")
    for upload in await client.uploads(folder):
        if upload.begun > found[0].modified:
            say(Note(text=f"{folder.of(upload.key)} is still being uploaded: it is not looked at"))
    has = await having(options, say)
    means = Means(
        client=client,
        folder=folder,
        room=room,
        wanted=_wanted(options, has),
        having=has,
        say=say,
        patience=Patience(),
    )
    return await _newest_good(Examination(means), found, folder, options.database, say)


async def _newest_good(
    examination: Examination, found: Sequence[StoredObject], folder: Folder, database: str, say: Say
) -> Backup:
    skipped: list[Skipped] = []
    others = read = 0
    for at, stored in enumerate(found[:_LOOKED_AT]):
        judged = await examination.of(stored, found[at + 1 :])
        if isinstance(judged, Backup):
            _tell_others(others, say)
            return replace(judged, skipped=tuple(skipped))
        others += judged.flaw is Flaw.DATABASE
        read += judged.flaw not in _CHEAP
        if judged.flaw is not Flaw.DATABASE or others <= _NAMED:
            skipped.append(Skipped(url=folder.of(stored.key), reason=judged.reason))
            say(Note(text=f"{skipped[-1].url} is not taken: {judged.reason}"))
        if judged.flaw is Flaw.OLD or read == _MOST:
            break
    _tell_others(others, say)
    raise WorkFailed(WorkFailure.NO_GOOD_BACKUP, _none_is_good(skipped, len(found), folder, database))


def _tell_others(count: int, say: Say) -> None:
    """Say that a folder holds many backups of other databases, which are not all named."""
    if count > _NAMED:
        say(Note(text=f"{count - _NAMED} more that were looked at are of other databases"))


def _none_is_good(skipped: Sequence[Skipped], count: int, folder: Folder, database: str) -> str:
    named = "; ".join(f"{each.url.removeprefix(folder.url)}: {each.reason}" for each in skipped[:_NAMED])
    others = count - min(len(skipped), _NAMED)
    more = f"; and {others} more" if others else ""
    return f"no backup of {database} in {folder.url} is good: {named}{more}"


def _wanted(options: FetchOptions, has: Having) -> Wanted:
    return Wanted(
        database=options.database,
        server=has.major,
        tools=PG_MAJOR,
        now=datetime.now(UTC),
        max_age=options.max_age,
        half=options.half,
        roles=has.declared | has.others,
        extensions=has.extensions,
    )


class _Doing:
    """Passes on what is said, and keeps what is being done for when the time is over."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last: WorkProgress | None = None

    def say(self, line: WorkLine) -> None:
        if isinstance(line, WorkProgress):
            self._last = line
        self._say(line)

    def __str__(self) -> str:
        if self._last is None:
            return "nothing was begun"
        far = f", {size(self._last.bytes)} of {size(self._last.of)} done" if self._last.of else ""
        return f"it was {self._last.phase} {self._last.what}{far}"
