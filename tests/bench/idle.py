"""What an idle daemon costs, with an empty ledger and with a long past in it: the share of a core, with ten services."""

import asyncio
import time
from collections.abc import Iterator, Mapping

from tests.bench import catalogs
from tests.bench.daemon_process import watching
from tests.bench.figures import Figure
from tests.bench.load import send
from tests.bench.plan import Plan
from tests.bench.process import ListeningProcess, processor_seconds
from tests.bench.revision import Revision

SERVICES = 10
_TOGETHER = 1000
_AFTERWARDS = 5.0
"""Seconds until what the start or the last alerts began is over."""


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure without signals, and with those of episodes that are over."""
    rows, seconds = (10_000, 3.0) if plan.quick else (100_000, 10.0)
    yield from plan.compare(lambda revision: _shares(revision, rows, seconds))


def _shares(revision: Revision, rows: int, seconds: float) -> Mapping[str, float]:
    documents = [catalogs.usual_rules(each) for each in catalogs.services(SERVICES)]
    with watching(revision, documents, services=SERVICES, pods=SERVICES) as (_, daemon):
        empty = _share(daemon, seconds)
        for status in ("firing", "resolved"):
            asyncio.run(send(daemon.port, alerts=_TOGETHER, posts=rows // _TOGETHER, connections=4, status=status))
        daemon.wait_judged()
        full = _share(daemon, seconds)
        ended = daemon.count("SELECT count(*) FROM signals WHERE ended IS NOT NULL")
    assert ended == rows, f"{ended} signals are over"
    return {"idle: % of a core": empty, f"idle with {rows:,} signals in the ledger: % of a core": full}


def _share(process: ListeningProcess, seconds: float) -> float:
    time.sleep(_AFTERWARDS)
    began, before = time.monotonic(), processor_seconds(process.pid)
    time.sleep(seconds)
    return 100 * (processor_seconds(process.pid) - before) / (time.monotonic() - began)
