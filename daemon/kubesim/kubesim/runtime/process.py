"""One process in a container, below an `init` of its own: started, sent signals, and reliably ended."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubesim.runtime import init

_INIT: Final = (sys.executable, "-I", "-S", init.__file__)
CHUNK: Final = 64 * 1024
"""Bytes of output that are read at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """The command of a process: its words as the machine reads them, the whole environment, and the working folder."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path


class Process:
    """A running process and all that it starts; the pipe whose one end is kept here ends them when it is closed."""

    def __init__(self, child: asyncio.subprocess.Process, lifeline: int) -> None:
        self._child = child
        self._lifeline: int | None = lifeline

    @classmethod
    async def start(cls, command: Command, *, apart: bool = False) -> "Process":
        """Start a process; `apart` gives it an input, and keeps its error output apart from its output."""
        held, kept = os.pipe()
        try:
            child = await asyncio.create_subprocess_exec(
                *_INIT,
                str(held),
                *command.words,
                stdin=PIPE if apart else DEVNULL,
                stdout=PIPE,
                stderr=PIPE if apart else STDOUT,
                env=dict(command.environment),
                cwd=command.folder,
                pass_fds=(held,),
                start_new_session=True,
            )
        # Nobody but this start knows of the pipe: whatever ends it, a cancellation too, the pipe goes with it.
        except BaseException:
            os.close(kept)
            raise
        finally:
            os.close(held)
        return cls(child, kept)

    @property
    def pid(self) -> int:
        """Return the process id of its `init`."""
        return self._child.pid

    @property
    def runs(self) -> bool:
        """Return whether it has not ended yet."""
        return self._child.returncode is None

    @property
    def input(self) -> asyncio.StreamWriter:
        """Return what writes to a process that was started apart."""
        assert self._child.stdin is not None, "the process was not started apart"
        return self._child.stdin

    @property
    def output(self) -> asyncio.StreamReader:
        """Return what reads its output."""
        assert self._child.stdout is not None
        return self._child.stdout

    @property
    def errors(self) -> asyncio.StreamReader:
        """Return what reads the error output of a process that was started apart."""
        assert self._child.stderr is not None, "the process was not started apart"
        return self._child.stderr

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        with suppress(ProcessLookupError):
            self._child.send_signal(number)

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    async def gone(self) -> None:
        """End it, and wait until it and its pipes are gone; what it still says is dropped."""
        self.kill()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if isinstance(stream, asyncio.StreamWriter):
                stream.close()
            while isinstance(stream, asyncio.StreamReader) and await stream.read(CHUNK):
                pass
        await self._child.wait()

    async def ended(self) -> int:
        """Wait for the end: the exit code, 128 and the signal's number when a signal has ended it."""
        try:
            code = await self._child.wait()
        finally:
            self.kill()
        return code if code >= 0 else 128 - code
