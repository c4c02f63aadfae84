"""
`pg_restore` itself: into one database, in one transaction, fed through a pipe, watched while it works.

It gets an environment of its own: the connection's, no password of a role and no key to the backups.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from kintsugi_restore.worker.dump import Dump
from kintsugi_restore.worker.log_writer import Reporter, WorkFailed
from kintsugi_restore.worker.options import PASSWORD
from kintsugi_restore.worker.programs import program
from kintsugi_restore.worker.restore_errors import ErrorOutput, classify
from kintsugi_restore.worker.server import APPLICATION, KEEPALIVE, DatabaseServer
from kintsugi_restore.worker_results import WorkPhase, WorkProgress

# How often progress is told; seconds.
_EVERY = 1.0
# How long pg_restore may take to go when it is asked to; seconds.
_GOES_WITHIN = 5.0
_READ = 1 << 16
_GIVEN_UP = {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}


@dataclass(frozen=True, kw_only=True, slots=True)
class DumpSource:
    """The dump, its checksum, and the list of those of its entries that are restored, as `--use-list` takes it."""

    dump: Dump
    sha256: str
    listed: str


class RestoreProgress:
    """Report how far a file is, at most once a second and only when something has changed."""

    def __init__(self, phase: WorkPhase, dump: Dump, report: Reporter) -> None:
        self._phase, self._dump, self._report = phase, dump, report
        self._bytes = 0
        self._last: WorkProgress | None = None
        self.what = dump.path.name

    def done(self, count: int) -> None:
        """Count bytes, from whatever thread (one at a time)."""
        self._bytes += count

    async def until_cancelled(self) -> None:
        """Report again and again."""
        while True:
            self.report()
            await asyncio.sleep(_EVERY)

    def report(self) -> None:
        """Report now."""
        now = WorkProgress(phase=self._phase, bytes=self._bytes, of=self._dump.size, what=self.what)
        if now != self._last:
            self._report(now)
            self._last = now


async def pg_restore(source: DumpSource, server: DatabaseServer, database: str, report: Reporter) -> None:
    """
    Restore the dump whole into an empty database, or not at all; everything in it becomes the user's (`--no-owner`).

    Raises WorkFailed with the reason. When it raises (or is cancelled) the process is gone; its session on the server
    may take a moment longer.
    """
    dump = source.dump
    process, write_end = await _started(source, server, database)
    output, progress, stop = ErrorOutput(), RestoreProgress(WorkPhase.RESTORING, dump, report), threading.Event()
    feeding = asyncio.ensure_future(asyncio.to_thread(dump.feed, write_end, source.sha256, progress.done, stop))
    reporting = asyncio.ensure_future(progress.until_cancelled())
    hearing = asyncio.ensure_future(_read_output(process, output, progress))
    try:
        # A file that turns out to be another one ends it at once; else both end when pg_restore does.
        await asyncio.wait({feeding, hearing}, return_when=asyncio.FIRST_EXCEPTION)
        if feeding.done():
            feeding.result()
    finally:
        reporting.cancel()
        stop.set()
        await _gone(process)
        # The pipe has no reader any more: the thread ends at its next write.
        await asyncio.wait({feeding, hearing})
    progress.report()
    if process.returncode != 0:
        failure = classify(output, server.where, process.returncode or 0)
        raise WorkFailed(failure.kind, failure.reason)


async def _started(source: DumpSource, server: DatabaseServer, database: str) -> tuple[asyncio.subprocess.Process, int]:
    """Start `pg_restore`; return it, and the end of the pipe that it reads the dump from."""
    read_end, write_end = os.pipe()
    listed = _in_memory(source.listed)
    arguments = [
        "--exit-on-error",
        "--single-transaction",
        "--verbose",
        "--no-password",
        "--no-owner",
        f"--use-list=/dev/fd/{listed}",
        *_connection(server, database),
    ]
    try:
        process = await asyncio.create_subprocess_exec(
            program("pg_restore"),
            *arguments,
            stdin=read_end,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(os.environ, server),
            pass_fds=(listed,),
            start_new_session=True,
        )
    # Nobody but this start knows of the pipe: whatever ends it, a cancellation too, the pipe goes with it.
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
        os.close(listed)
    return process, write_end


def _in_memory(text: str) -> int:
    """Write a text into a file without a name, and return its descriptor: the worker's file system is read-only."""
    descriptor = os.memfd_create("listed")
    with os.fdopen(os.dup(descriptor), "w") as file:
        file.write(text)
    return descriptor


async def _read_output(process: asyncio.subprocess.Process, output: ErrorOutput, progress: RestoreProgress) -> None:
    """Take in what it says, until it ends."""
    assert process.stderr is not None
    while piece := await process.stderr.read(_READ):
        output.take(piece)
        progress.what = output.activity or progress.what
    await process.wait()


async def _gone(process: asyncio.subprocess.Process) -> None:
    """End a process that is still there: asked first, then killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOES_WITHIN):
                await process.wait()


def _connection(server: DatabaseServer, database: str) -> Sequence[str]:
    """Return where to; a machine that has gone is given up within a minute, and not after the kernel's two hours."""
    options = server.options
    quoted = database.replace("\\", "\\\\").replace("'", "\\'")
    named = f"dbname='{quoted}' {' '.join(f'{name}={value}' for name, value in _GIVEN_UP.items())}"
    return ["-h", options.host, "-p", str(options.port), "-U", options.user, "-d", named]


def _environment(environment: Mapping[str, str], server: DatabaseServer) -> Mapping[str, str]:
    """Return what it needs of ours: how to run and how to connect."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH") or name.startswith("PGSSL")
    }
    password = {} if server.options.password is None else {PASSWORD: server.options.password}
    options = " ".join(f"-c {name}={value}" for name, value in KEEPALIVE.items())
    return {
        **kept,
        **password,
        "LC_ALL": "C",
        "PGAPPNAME": APPLICATION,
        "PGOPTIONS": options,
        "PGCONNECT_TIMEOUT": "10",
    }
