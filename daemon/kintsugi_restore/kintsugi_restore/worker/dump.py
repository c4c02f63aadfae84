"""
The file that is restored: one open file, verified, then fed to `pg_restore` through a pipe.

The verified bytes must be the used bytes. The file is opened once, read through for its checksum, and summed up a
second time while it is fed; its last piece is held back until that sum is right too, so that a file which changes under
the restore never comes to its end. A pipe has a second virtue: when the worker is killed it ends, and `pg_restore` with
it.
"""

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker_results import WorkFailure

_PIECE = 1 << 20
# A pipe as large as an unprivileged process may have it (fs.pipe-max-size): fewer turns between the two.
_PIPE = 1 << 20

Done = Callable[[int], None]
"""Called with the number of bytes that are done, from a thread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dump:
    """An open dump of `size` bytes."""

    path: Path
    size: int
    _descriptor: int

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator["Dump"]:
        """Open a file for as long as the block lasts. Raises WorkFailed when it is not a file."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise WorkFailed(WorkFailure.FAILED, f"{path} cannot be read: {error.strerror}") from error
        try:
            if path.is_dir():
                raise WorkFailed(WorkFailure.FAILED, f"{path} is a folder: a dump in one file (pg_dump -Fc) is needed")
            yield cls(path=path, size=os.fstat(descriptor).st_size, _descriptor=descriptor)
        finally:
            os.close(descriptor)

    def sha256(self, done: Done, stop: threading.Event) -> str:
        """Sum the file up, in a thread; give the sum in hexadecimal."""
        digest = hashlib.sha256()
        for piece in self._pieces(stop):
            digest.update(piece)
            done(len(piece))
        return digest.hexdigest()

    def feed(self, pipe: int, sha256: str, done: Done, stop: threading.Event) -> None:
        """
        Write the file into a pipe, in a thread, and close the pipe: its last piece only when the sum was right again.

        A reader that has gone reports its own reason. Raises WorkFailed for another sum.
        """
        with suppress(BrokenPipeError), os.fdopen(pipe, "wb", buffering=0) as out:
            with suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
            digest, held = hashlib.sha256(), b""
            for piece in self._pieces(stop):
                _write(out.fileno(), held)
                done(len(held))
                digest.update(piece)
                held = piece
            if stop.is_set():
                return
            if digest.hexdigest() != sha256:
                raise changed(self.path, digest.hexdigest(), sha256)
            _write(out.fileno(), held)
            done(len(held))

    def _pieces(self, stop: threading.Event) -> Iterator[bytes]:
        at = 0
        while not stop.is_set() and (piece := os.pread(self._descriptor, _PIECE, at)):
            at += len(piece)
            yield piece


def changed(path: Path, found: str, wanted: str) -> WorkFailed:
    """Return a sentence that a file is not the one that was fetched."""
    return WorkFailed(
        WorkFailure.MISMATCH,
        f"{path} is not the file that was fetched: its sha256 is {found[:12]}…, and {wanted[:12]}… was verified then",
    )


def _write(pipe: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(pipe, left) :]
