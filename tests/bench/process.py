"""Processes that are measured from outside: started, pinned to a core, asked for their time and memory, killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.revision import ROOT, WORKING_TREE
from tests.harness.postgres import Postgres

_IDLE_WITHIN, _IDLE_FOR, _IDLE_SHARE = 10.0, 0.4, 0.1


@dataclass(frozen=True, kw_only=True)
class ListeningProcess:
    """A process that listens on a port."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """Return the address at which it listens."""
        return f"http://127.0.0.1:{self.port}"

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a lost node would: without a last word."""
        os.kill(self.pid, signal.SIGKILL)


@contextmanager
def started(module: str, *arguments: str, core: int | None = None) -> Iterator[ListeningProcess]:
    """Start a module of this project that prints its port when it listens; it is killed at the end."""
    command = [*pinned(core), sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=WORKING_TREE.environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip():
                raise AssertionError(f"{module} did not start: exit code {process.wait(10)}")
            yield ListeningProcess(pid=process.pid, port=int(line))
        finally:
            process.kill()


@contextmanager
def durable_server() -> Iterator[Postgres]:
    """Start a PostgreSQL server with fsync, with nothing in it."""
    with TemporaryDirectory(prefix="kintsugi-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Postgres.prepare(folder, durable=True)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def pinned(core: int | None) -> list[str]:
    """Return the words that start a command on one core."""
    return ["taskset", "-c", str(core)] if core is not None else []


def processor_seconds(pid: int) -> float:
    """Return the seconds of processor time that a process has used, all threads together."""
    return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3): to the nanosecond, where /proc has hundredths


def wait_idle(pid: int) -> None:
    """Wait until a process has done what it does at its start; one that is never idle is measured as it is."""
    until = time.monotonic() + _IDLE_WITHIN
    while time.monotonic() < until:
        before = processor_seconds(pid)
        time.sleep(_IDLE_FOR)
        if processor_seconds(pid) - before <= _IDLE_SHARE * _IDLE_FOR:
            return


def memory(pid: int) -> int:
    """Return the bytes of memory that a process holds now."""
    return _status(pid, "VmRSS:")


def peak_memory(pid: int) -> int:
    """Return the most bytes of memory that a process has held."""
    return _status(pid, "VmHWM:")


def _status(pid: int, field: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.split(field)[1].split()[0]) * 1024
