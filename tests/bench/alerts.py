"""
Alerts a second that are durable, from an Alertmanager's POST to the ledger's commit.

`kintsugi run` has a core, the sender another; every round has a fresh ledger on disk, with an fsync for each commit, and
a catalog of 100 rules by which each alert is judged meanwhile. A bare aiohttp handler that reads the body and answers
is measured right before: the ratio to it says more than the figure. After each round the daemon gets SIGKILL, and the
ledger must hold exactly what it answered.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import catalogs
from tests.bench.api_process import api_process
from tests.bench.daemon_process import BenchDaemon
from tests.bench.figures import Figure, Round
from tests.bench.intake_process import intake_process
from tests.bench.load import Answered, send
from tests.bench.plan import LOAD, MEASURED, Plan
from tests.bench.process import processor_seconds

DESIGNED_FOR = 20_000
"""Alerts a second committed in groups of 100 that the design aims at."""

_WARM_UP = 2**40
"""Where the fingerprints of alerts begin that are sent before the measuring."""

SERVICES = 25


@dataclass(frozen=True, kw_only=True)
class LoadCase:
    """One kind of load."""

    name: str
    alerts: int
    posts: int
    connections: int
    designed: float | None = None


CASES = (
    LoadCase(name="1 a POST", alerts=1, posts=1500, connections=16),
    LoadCase(name="100 a POST", alerts=100, posts=300, connections=16, designed=DESIGNED_FOR),
    LoadCase(name="1,000 a POST", alerts=1000, posts=30, connections=4),
    LoadCase(name="1,000 connections", alerts=1, posts=3000, connections=1000),
)
_QUICK = CASES[1::2]
_SMALLER = 5
"""By how much a quick round's load is smaller."""


class LostError(Exception):
    """The ledger does not hold what was answered."""


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure every case, half of them where it must be quick. Raises LostError when an alert was lost or made up."""
    for case in _QUICK if plan.quick else CASES:
        rounds = [_round(case, plan) for _ in range(plan.rounds)]
        yield Figure(name=f"alerts committed, {case.name}", unit="a second", rounds=rounds, designed=case.designed)


def _round(case: LoadCase, plan: Plan) -> Round:
    posts = max(case.connections, case.posts // (_SMALLER if plan.quick else 1))
    with intake_process("bare", core=MEASURED) as bare:
        baseline = asyncio.run(send(bare.port, alerts=case.alerts, posts=posts, connections=case.connections))
    with TemporaryDirectory(prefix="kintsugi-bench-") as folder, api_process(SERVICES, SERVICES, core=LOAD) as api:
        catalog = catalogs.write(
            Path(folder) / "catalog", [catalogs.usual_rules(each) for each in catalogs.services(SERVICES)]
        )
        daemon = BenchDaemon(folder=Path(folder) / "daemon", api=api.url, catalog=catalog, core=MEASURED)
        with daemon.running() as process:
            warm = asyncio.run(_warm_up(process.port, case))
            before = processor_seconds(process.pid)
            answered = asyncio.run(send(process.port, alerts=case.alerts, posts=posts, connections=case.connections))
            spent = processor_seconds(process.pid) - before
            process.kill()
        kept, expected = _rows(daemon.ledger), warm.alerts + answered.alerts
    _tell(case, answered, spent)
    if kept != expected:
        raise LostError(f"{case.name}: {expected} alerts were answered 200, the ledger holds {kept}")
    return Round(value=answered.alerts_a_second, baseline=baseline.alerts_a_second)


async def _warm_up(port: int, case: LoadCase) -> Answered:
    return await send(
        port, alerts=case.alerts, posts=case.connections, connections=case.connections, first_number=_WARM_UP
    )


def _tell(case: LoadCase, answered: Answered, spent: float) -> None:
    print(
        f"  {case.name}: {answered.alerts_a_second:,.0f} a second, answers p50 {answered.wait(0.5):.1f} ms, "
        f"p99 {answered.wait(0.99):.1f} ms, {spent / answered.alerts * 1e6:.0f} us of processor an alert, "
        f"{answered.refused} answers of 503; all kept after SIGKILL",
        flush=True,
    )


def _rows(ledger: Path) -> int:
    """Count the signals in a ledger whose process was killed."""
    connection = sqlite3.connect(ledger)
    try:
        return int(connection.execute("SELECT count(*) FROM signals").fetchone()[0])
    finally:
        connection.close()
