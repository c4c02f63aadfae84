"""A daemon's HTTP port with fake operations behind it, served from a thread, and the command line that asks it."""

import asyncio
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pytest

from kintsugi.cli import main
from kintsugi.model.records import DeadLetter, Signal
from tests.harness.daemon import Ended
from tests.integration.intake_server import served
from tests.integration.operations_double import FakeOperations

T = TypeVar("T")


class UnusedInbox:
    """An inbox for ports to which nobody delivers."""

    async def accept(self, signals: Sequence[Signal], now: datetime) -> object:
        raise AssertionError("nobody delivers here")

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        raise AssertionError("nobody delivers here")


@dataclass(frozen=True)
class ApiDaemon:
    """Where a daemon listens, the operations behind it, and a file with the token of Ana."""

    url: str
    operations: FakeOperations
    token: Path


@contextmanager
def in_thread(serving: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Serve from a thread with an event loop of its own, so that the command may have its own, too."""
    ready, stop = threading.Event(), threading.Event()
    entered: list[T] = []

    async def serve() -> None:
        async with serving as served:
            entered.append(served)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(20), "nobody listens"
    try:
        yield entered[0]
    finally:
        stop.set()
        thread.join(20)


@contextmanager
def served_api(folder: Path, operations: FakeOperations) -> Iterator[ApiDaemon]:
    """Serve the API."""
    token = folder / "my-token"
    token.write_text("the-token-of-ana\n", encoding="utf-8")
    with in_thread(served(folder, UnusedInbox(), operations)) as port:
        yield ApiDaemon(port.url, operations, token)


class CommandLine:
    """`kintsugi …` in this process, against one daemon."""

    def __init__(self, daemon: ApiDaemon, written: pytest.CaptureFixture[str]) -> None:
        self.daemon, self._written = daemon, written

    def __call__(self, *arguments: str) -> Ended:
        """Run a command as Ana."""
        return self.with_file(self.daemon.token, *arguments)

    def with_file(self, file: Path, *arguments: str) -> Ended:
        """Run a command with the token of another file."""
        return self.bare(*arguments, "--server", self.daemon.url, "--token-file", str(file))

    def on_a_terminal(self, answer: str, *arguments: str) -> Ended:
        """Run a command whose stdin is a terminal, and type an answer."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, f"{answer}\n".encode())
            command, environment = self.process(*arguments)
            done = subprocess.run(
                command, stdin=theirs, capture_output=True, text=True, timeout=60, check=False, env=environment
            )
        finally:
            os.close(ours)
            os.close(theirs)
        return Ended(done.returncode, done.stdout, done.stderr)

    def process(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the environment of a command that Ana runs as a process of its own."""
        server = ("--server", self.daemon.url, "--token-file", str(self.daemon.token))
        environment = {**os.environ, "PYTHONPATH": "daemon", "TERM": "xterm", "COLUMNS": "200"}
        return [sys.executable, "-m", "kintsugi.cli", *arguments, *server], environment

    def bare(self, *arguments: str) -> Ended:
        """Run a command as it stands."""
        with pytest.raises(SystemExit) as left:
            main(arguments)
        written = self._written.readouterr()
        assert isinstance(left.value.code, int), left.value.code
        return Ended(left.value.code, written.out, written.err)
