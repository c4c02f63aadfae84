"""
`kintsugi` as a process of its own, forked from a server that has imported everything.

Importing takes more of the machine than a whole story does. The fork server imports once, starts no thread and no event
loop, and forks a child for every start; from its command line on, the child is what `kintsugi` is.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Protocol

from kintsugi.cli import main

FORKS = get_context("forkserver")


class Running(Protocol):
    """A process, as far as the tests need one: what `subprocess.Popen` is, too."""

    @property
    def returncode(self) -> int | None:
        """Return how it ended, as far as that is known yet; minus the signal that killed it."""

    def poll(self) -> int | None:
        """Look, and return how it ended, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return how it ended. Raises subprocess.TimeoutExpired."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""


class Forked:
    """A process that was forked."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Look, and return how it ended, or None while it runs."""
        self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return how it ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        ended = self.poll()
        if ended is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return ended

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None and self._process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, sig)


def start(arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path) -> Forked:
    """Start `kintsugi ARGUMENTS…` in a folder; what it prints is appended to a log."""
    FORKS.set_forkserver_preload(["tests.harness.preloaded"])
    process = FORKS.Process(target=live, args=(arguments, environment, folder, log), name="kintsugi", daemon=True)
    process.start()
    return Forked(process)


def live(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> None:
    """Be `kintsugi` until the end."""
    lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(lines, sys.stdout.fileno())
    os.dup2(lines, sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(arguments)
