"""
What ten thousand rules cost an event and an alert that only a few of them concern: as much as ten.

The pods, the services that select them and the rules on these are the same in both catalogs; the larger one has further
services in the same namespaces, with rules on their pods and on their alerts.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import catalogs
from tests.bench.api_process import api_process
from tests.bench.daemon_process import BenchDaemon
from tests.bench.figures import Figure, Round
from tests.bench.load import send
from tests.bench.plan import LOAD, MEASURED, Plan
from tests.bench.process import ListeningProcess, processor_seconds, wait_idle
from tests.bench.watching import Size, take
from tests.harness.waiting import wait_for

SERVICES = 10
_RULES_EACH = 10
_POSTS, _ALERTS = 40, 100
_TIMEOUT = 30.0


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Processor time in microseconds."""

    event: float
    alert: float


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure both catalogs, one after the other, in each round."""
    rules = 1_000 if plan.quick else 10_000
    size = Size(pods=1_000, events=8_000 if plan.quick else 20_000)
    few = [catalogs.pod_rules(each, 1) for each in catalogs.services(SERVICES)]
    many = few + [
        catalogs.mixed_rules(each, _RULES_EACH)
        for each in catalogs.services((rules - SERVICES) // _RULES_EACH, prefix="other")
    ]
    pairs = [(_cost(many, size), _cost(few, size)) for _ in range(plan.rounds)]
    events = [Round(value=large.event, baseline=small.event) for large, small in pairs]
    alerts = [Round(value=large.alert, baseline=small.alert) for large, small in pairs]
    of = f"with {rules:,} rules (baseline: 10)"
    yield Figure(name=f"an event {of}", unit="us", rounds=events, falls=True)
    yield Figure(name=f"an alert {of}", unit="us", rounds=alerts, falls=True)


def _cost(documents: list[str], size: Size) -> StepCost:
    with TemporaryDirectory(prefix="kintsugi-bench-") as folder, api_process(SERVICES, size.pods, core=LOAD) as api:
        catalog = catalogs.write(Path(folder) / "catalog", documents)
        daemon = BenchDaemon(folder=Path(folder) / "daemon", api=api.url, catalog=catalog, core=MEASURED)
        with daemon.running() as process:
            event = take(api, process, size).cost
            wait_idle(process.pid)
            return StepCost(event=event, alert=_cost_of_an_alert(process, daemon.ledger))


def _cost_of_an_alert(process: ListeningProcess, ledger: Path) -> float:
    """Send alerts that no rule is about, and wait until each has its verdict."""
    before = processor_seconds(process.pid)
    answered = asyncio.run(send(process.port, alerts=_ALERTS, posts=_POSTS, connections=4))
    wait_for(
        lambda: not _unjudged(ledger),
        within=_TIMEOUT,
        every=0.05,
        describe=lambda: f"no verdict yet: {_unjudged(ledger)}",
    )
    return (processor_seconds(process.pid) - before) / answered.alerts * 1e6


def _unjudged(ledger: Path) -> int:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM signals WHERE verdict IS NULL").fetchone()[0])
