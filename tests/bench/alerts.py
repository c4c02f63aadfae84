"""
What an alert costs, from an Alertmanager's POST to the ledger's commit and the verdict.

Each load has a daemon of its own, with an empty ledger on disk and a catalog of 100 rules by which each alert is judged.
After the load the daemon gets SIGKILL at its last answer, and the ledger must hold exactly what it answered.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from tests.bench import catalogs
from tests.bench.daemon_process import watching
from tests.bench.figures import Figure
from tests.bench.load import Answered, send
from tests.bench.plan import Plan
from tests.bench.process import processor_seconds
from tests.bench.revision import Revision
from tests.harness.postgres import Postgres

SERVICES = 25
_QUICKER = 5


@dataclass(frozen=True, kw_only=True)
class LoadCase:
    """One kind of load."""

    name: str
    alerts: int
    posts: int
    connections: int


CASES = (
    LoadCase(name="1 a POST", alerts=1, posts=1500, connections=16),
    LoadCase(name="100 a POST", alerts=100, posts=300, connections=16),
    LoadCase(name="1,000 a POST", alerts=1000, posts=30, connections=4),
    LoadCase(name="1 a POST of 1,000 connections", alerts=1, posts=3000, connections=1000),
)


class LostError(Exception):
    """The ledger does not hold what was answered."""


def measure(plan: Plan, server: Postgres | None = None) -> Iterator[Figure]:
    """Measure every load. Raises LostError when an alert was lost or made up."""
    for case in CASES:
        posts = max(case.connections, case.posts // (_QUICKER if plan.quick else 1))
        yield from plan.compare(partial(_cost, case, posts, server))


def _cost(case: LoadCase, posts: int, server: Postgres | None, revision: Revision) -> Mapping[str, float]:
    documents = [catalogs.usual_rules(each) for each in catalogs.services(SERVICES)]
    with watching(revision, documents, services=SERVICES, pods=SERVICES, server=server) as (_, daemon):

        def load(posts: int, number: int) -> Answered:
            first = number << 40  # no two loads have a fingerprint in common
            return asyncio.run(
                send(daemon.port, alerts=case.alerts, posts=posts, connections=case.connections, first_number=first)
            )

        warm = load(case.connections, 1)
        daemon.wait_judged()
        before = processor_seconds(daemon.pid)
        answered = load(posts, 2)
        daemon.wait_judged()
        spent = processor_seconds(daemon.pid) - before
        last = load(case.connections, 3)
        daemon.kill()
        kept = daemon.count("SELECT count(*) FROM signals")
    expected = sum(each.alerts for each in (warm, answered, last))
    if kept != expected:
        raise LostError(f"{case.name}: {expected} alerts were answered 200, the ledger holds {kept}")
    return {
        f"alert, {case.name}: processor time, us": spent / answered.alerts * 1e6,
        f"alert, {case.name}: a second": answered.alerts_a_second,
        f"alert, {case.name}: answer, p99, ms": answered.wait(0.99),
    }
