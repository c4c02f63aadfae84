"""
Alerts a second that are durable, from an Alertmanager's POST to the ledger's commit.

The intake runs in a process of its own on one core, the sender on another; every round has a fresh ledger on disk. A
bare aiohttp handler that reads the body and answers is measured in the same run: the ratio to it says more than the
figure, which depends on the machine. After each round the process gets SIGKILL, and the ledger must hold exactly what it answered.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.intake_process import IntakeProcess, intake_process
from tests.bench.load import Answered, send

DESIGNED_FOR = 20_000
"""Alerts a second committed in groups of 100 that the design aims at."""


_WARM_UP = 2**40
"""Where the fingerprints of alerts begin that are sent before the measuring."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of load."""

    name: str
    alerts: int
    posts: int
    connections: int


CASES = (
    Case(name="1 alert a POST", alerts=1, posts=6000, connections=16),
    Case(name="100 alerts a POST", alerts=100, posts=600, connections=16),
    Case(name="1,000 alerts a POST", alerts=1000, posts=60, connections=4),
    Case(name="1,000 connections at once", alerts=1, posts=6000, connections=1000),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One round of a case: what was answered, the server's processor time and memory."""

    answered: Answered
    warm_up: int
    processor: float
    memory: int

    @property
    def accepted(self) -> int:
        """Count the alerts that were answered 200 in the whole life of the process."""
        return self.answered.alerts + self.warm_up

    @property
    def microseconds_an_alert(self) -> float:
        return self.processor / self.answered.alerts * 1e6


def run(*, share: float = 1.0) -> bool:
    """Measure every case with this share of its load, print the figures, and tell whether nothing was lost."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    core = 0 if (os.cpu_count() or 1) > 1 else None
    print(
        f"{'load':28}{'alerts/s':>10}{'bare':>10}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}{'us/alert':>10}{'MiB':>6}  kept"
    )
    all_kept = True
    for case in CASES:
        bare = _round(case, "bare", share, core)
        with tempfile.TemporaryDirectory(prefix="kintsugi-bench-") as folder:
            ledger = Path(folder) / "ledger.db"
            measured = _round(case, f"sqlite:///{ledger}", share, core)
            kept = _rows(ledger)
        all_kept &= kept == measured.accepted
        _print(case, measured, bare, kept)
        if case.alerts == 100:
            _compare(measured)
    return all_kept


def _round(case: Case, ledger: str, share: float, core: int | None) -> Measured:
    posts = max(case.connections, int(case.posts * share))
    with intake_process(ledger, core=core) as process:
        warm = asyncio.run(
            send(
                process.port,
                alerts=case.alerts,
                posts=case.connections,
                connections=case.connections,
                first_number=_WARM_UP,
            )
        )
        with _processor(process) as spent:
            answered = asyncio.run(send(process.port, alerts=case.alerts, posts=posts, connections=case.connections))
        memory = process.memory()
        process.kill()
    return Measured(answered=answered, warm_up=warm.alerts, processor=spent[0], memory=memory)


@contextmanager
def _processor(process: IntakeProcess) -> Iterator[list[float]]:
    """Measure the seconds of processor time that a process uses meanwhile."""
    spent = [0.0]
    before = _seconds(process.pid)
    yield spent
    spent[0] = _seconds(process.pid) - before


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rows(ledger: Path) -> int:
    """Count the signals in a ledger whose process was killed."""
    connection = sqlite3.connect(ledger)
    try:
        return int(connection.execute("SELECT count(*) FROM signals").fetchone()[0])
    finally:
        connection.close()


def _print(case: Case, measured: Measured, bare: Measured, kept: int) -> None:
    answered = measured.answered
    ratio = answered.alerts_a_second / bare.answered.alerts_a_second
    whole = "all" if kept == measured.accepted else f"{kept} OF {measured.accepted}"
    refused = f", {answered.refused} refused" if answered.refused else ""
    print(
        f"{case.name:28}{answered.alerts_a_second:10,.0f}{bare.answered.alerts_a_second:10,.0f}{ratio:8.3f}"
        f"{answered.wait(0.5):9.1f}{answered.wait(0.99):9.1f}{measured.microseconds_an_alert:10.1f}"
        f"{measured.memory / 2**20:6.0f}  {whole}{refused}"
    )


def _compare(measured: Measured) -> None:
    share = measured.answered.alerts_a_second / DESIGNED_FOR
    print(f"{'':28}that is {share:.2f} of the {DESIGNED_FOR:,} that the design aims at")


if __name__ == "__main__":
    began = time.perf_counter()
    print("nothing lost" if run() else "LOST ALERTS", f"({time.perf_counter() - began:.0f} s)")
