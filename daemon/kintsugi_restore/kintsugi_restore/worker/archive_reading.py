"""
Reads a dump, and its contents, with `pg_restore`, which writes a script and connects to no server.

It gets an environment of its own, without any password or key, and is gone when the reading ends, however it ends.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from kintsugi_restore.backups import ArchiveContents, BackupFlaw, UnfitBackup
from kintsugi_restore.worker.archive_contents import ArchiveList, Script
from kintsugi_restore.worker.programs import program
from kintsugi_restore.worker.restore_errors import ErrorOutput

Seen = Callable[[int], None]
"""Hears how many bytes of the file were read so far."""

_POLL_SECONDS = 0.5
_PIECE = 1 << 16
_LONGEST_LINE = 1 << 20
"""No statement about rights is as long; a longer line is a function's body or a comment."""


async def read_through(file: Path, seen: Seen) -> UnfitBackup | None:
    """Read every row of a dump and keep none. What it says is damage; what is only changed (a flipped bit) it may miss."""
    async with _reading(["--file=/dev/null", str(file)], out=asyncio.subprocess.DEVNULL) as process:
        watching = asyncio.ensure_future(_examined(process.pid, file, seen))
        try:
            return await _ended(process)
        finally:
            watching.cancel()


async def read_contents(file: Path) -> ArchiveContents | UnfitBackup:
    """Read what a dump holds and needs; its rows are passed over."""
    script, listing = Script(), ArchiveList()
    unfit = await _taken_in(["--create", "--schema-only", "--file=-", str(file)], script.take)
    unfit = unfit or await _taken_in(["--list", str(file)], listing.take)
    return unfit or replace(script.contents(), foreign_rows=listing.foreign_rows())


async def _taken_in(arguments: Sequence[str], take: Callable[[str], None]) -> UnfitBackup | None:
    async with _reading(arguments, out=asyncio.subprocess.PIPE) as process:
        ending = asyncio.ensure_future(_ended(process))
        assert process.stdout is not None
        try:
            async for line in _lines(process.stdout):
                take(line)
            return await ending
        finally:
            ending.cancel()


@asynccontextmanager
async def _reading(arguments: Sequence[str], *, out: int) -> AsyncIterator[asyncio.subprocess.Process]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")}
    process = await asyncio.create_subprocess_exec(
        program("pg_restore"),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=out,
        stderr=asyncio.subprocess.PIPE,
        env={**kept, "LC_ALL": "C", "TZ": "UTC"},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _ended(process: asyncio.subprocess.Process) -> UnfitBackup | None:
    """Take in what it complains about until it ends, and judge by its exit."""
    assert process.stderr is not None
    output = ErrorOutput()
    while piece := await process.stderr.read(_PIECE):
        output.take(piece)
    code = await process.wait()
    if code == 0:
        return None
    error = output.error or (f"pg_restore was killed by signal {-code}" if code < 0 else f"pg_restore exited {code}")
    return UnfitBackup(flaw=BackupFlaw.DAMAGED, reason=f"the file cannot be read to its end: {error}")


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Go through the lines; of one that is too long only its beginning is given."""
    rest = b""
    while piece := await stream.read(_PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        rest = rest[:_LONGEST_LINE]
    if rest:
        yield rest.decode(errors="replace")


async def _examined(pid: int, file: Path, seen: Seen) -> None:
    """Report again and again how far the process is in the file, where the system can be asked (Linux)."""
    while True:
        # The process may not have opened the file yet, or be gone already.
        with suppress(OSError, ValueError):
            seen(_offset(pid, file))
        await asyncio.sleep(_POLL_SECONDS)


def _offset(pid: int, file: Path) -> int:
    """Find the offset at which a process reads a file. Raises OSError or ValueError where it does not."""
    [descriptor] = [each for each in Path(f"/proc/{pid}/fd").iterdir() if each.readlink() == file]
    position = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text().splitlines()[0]
    return int(position.removeprefix("pos:"))
