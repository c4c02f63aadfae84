"""
The staging volume that a backup is fetched into: a folder of bounded size that one worker fills at a time.

A file in it gets its name, which is that of its content, when it is whole and on the disk; until then it is a part, and
the parts of a killed worker are deleted when the next one begins.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from kintsugi.errors import StoreChanged
from kintsugi_restore.backups import size
from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker_results import WorkFailure

_PART = ".part"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StagingDir:
    """A folder that may hold so many bytes in all (None: as many as its disk has)."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        self.folder = folder
        self._limit = limit

    @classmethod
    @contextmanager
    def taken(cls, folder: Path, limit: int | None) -> Iterator["StagingDir"]:
        """
        Take a room for as long as the block lasts. Raises WorkFailed when another worker has it, or it is not a folder.
        """
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise WorkFailed(WorkFailure.REFUSED, f"{folder} is not a folder for backups: {error.strerror}") from error
        try:
            _lock(descriptor, folder)
            for left in folder.glob(f"*{_PART}"):
                left.unlink()
            yield cls(folder, limit)
        finally:
            os.close(descriptor)

    def left(self) -> int:
        """Return how many bytes may still be put here."""
        disk = os.statvfs(self.folder)
        free = disk.f_bavail * disk.f_frsize
        if self._limit is None:
            return free
        return max(0, min(free, self._limit - self._used()))

    def refuse_unless_it_holds(self, what: str, count: int) -> None:
        """Raise WorkFailed unless so many bytes may be put here."""
        left = self.left()
        if count > left:
            raise WorkFailed(
                WorkFailure.DISK_FULL, f"{what} has {size(count)}, and {self.folder} has room for {size(left)} more"
            )

    @contextmanager
    def part(self, what: str, whole: int) -> Iterator["PartialFile"]:
        """Begin a file of `whole` bytes; it is gone after the block unless it was kept."""
        self.refuse_unless_it_holds(what, whole)
        path = self.folder / f"backup{_PART}"
        with _full_disk_reported(self.folder):
            file = FileIO(path, "w", opener=_closed_to_others)
        with file:
            try:
                yield PartialFile(path, file, what, whole)
            finally:
                path.unlink(missing_ok=True)

    def _used(self) -> int:
        return sum(each.stat().st_size for each in self.folder.rglob("*") if each.is_file() and not each.is_symlink())


class PartialFile:
    """A file that grows, and the checksum of what it holds so far."""

    def __init__(self, path: Path, file: FileIO, what: str, whole: int) -> None:
        self.path = path
        self.size = 0
        self._file = file
        self._what = what
        self._whole = whole
        self._digest = hashlib.sha256()

    def take(self, piece: bytes) -> None:
        """Add bytes to the end. Raises WorkFailed when the disk is full, StoreChanged for more than was to come."""
        if self.size + len(piece) > self._whole:
            raise StoreChanged(f"{self._what}: it sent more than its {size(self._whole)}")
        with _full_disk_reported(self.path.parent):
            left = memoryview(piece)
            while left:
                left = left[self._file.write(left) :]
        self._digest.update(piece)
        self.size += len(piece)

    def flush(self) -> None:
        """Have what was added so far on the disk. Raises WorkFailed when it does not go there."""
        with _full_disk_reported(self.path.parent):
            os.fsync(self._file.fileno())

    @property
    def sha256(self) -> str:
        """Return the checksum of what was added so far."""
        return self._digest.hexdigest()

    def keep(self) -> Path:
        """Return the whole file its name: `DIGITS.dump`, by its checksum."""
        final = self.path.with_name(f"{self.sha256[:16]}.dump")
        self.path.rename(final)
        return final


def _closed_to_others(path: str, flags: int) -> int:
    """Open a file that only its owner and group may read: it is a whole database."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o640)


def _lock(descriptor: int, folder: Path) -> None:
    """Lock the folder itself: the lock goes with the process, however it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise WorkFailed(WorkFailure.REFUSED, f"another worker is fetching into {folder}") from error


@contextmanager
def _full_disk_reported(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise WorkFailed(WorkFailure.DISK_FULL, f"the disk of {folder} is full: {error.strerror}") from error
        raise WorkFailed(WorkFailure.FAILED, f"{folder} cannot be written to: {error.strerror}") from error
