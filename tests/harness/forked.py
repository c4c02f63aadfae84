"""
`kintsugi`, or its worker, as a process of its own, forked from a server that has imported everything.

Importing takes more of the machine than a whole story does. The fork server imports once, starts no thread and no event
loop, and forks a child for every start; from its command line on, the child is what the program is.
"""

import asyncio
import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Protocol

from kintsugi.cli import main
from tests.harness import crash_points

SAID = "this is what it does"
"""The last line of what a process says at SIGUSR1."""

FORKS = get_context("forkserver")
PRELOADED = ["tests.harness.preloaded"]
"""What the fork server has imported before it forks; what is added after the first start counts no more."""


class RunningProcess(Protocol):
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

    @property
    def pid(self) -> int:
        """Return its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def sentinel(self) -> int:
        """Return what becomes readable when it has ended."""
        return self._process.sentinel

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
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessStart:
    """How a process begins: in which folder, and to which files it appends what it prints and what it complains of."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    out: Path
    errors: Path


def start(birth: ProcessStart, program: Callable[[Sequence[str]], int | None] = main) -> Forked:
    """Start `kintsugi ARGUMENTS…`, or another of the project's programs, by its main function."""
    FORKS.set_forkserver_preload(PRELOADED)
    process = FORKS.Process(target=live, args=(birth, program), name="kintsugi", daemon=True)
    process.start()
    return Forked(process)


def live(birth: ProcessStart, program: Callable[[Sequence[str]], int | None]) -> None:
    """Be the program until the end."""
    for stream, file in ((sys.stdout, birth.out), (sys.stderr, birth.errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
    os.environ.clear()
    os.environ.update(birth.environment)
    os.chdir(birth.folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, say_what_it_does)
    crash_points.arm()
    sys.exit(program(birth.arguments))


def say_what_it_does(*_: object) -> None:
    """Print where every thread and every task of this process is: for a test whose daemon does not end."""
    faulthandler.dump_traceback(all_threads=True)
    with suppress(RuntimeError):  # no event loop runs
        for task in asyncio.all_tasks():
            print(task, file=sys.stderr)
            task.print_stack(file=sys.stderr)
    print(SAID, file=sys.stderr, flush=True)
