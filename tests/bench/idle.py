"""
What an idle daemon costs, with an empty ledger and with a long past in it.

`kintsugi run` has a core and nothing to do. Its processor time is measured over some seconds, then a hundred thousand
signals that are over are written into its ledger from outside, and it is measured again: the ratio is the figure.
"""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import catalogs
from tests.bench.api_process import api_process
from tests.bench.daemon_process import BenchDaemon
from tests.bench.figures import Figure, Round
from tests.bench.plan import LOAD, MEASURED, Plan
from tests.bench.process import ListeningProcess, processor_seconds

SERVICES = 25
ROWS = 100_000
_SETTLED = 5.0
"""Seconds until what the start has begun is over."""

_INSERT = """
INSERT INTO signals (id, source, kind, key, rule, labels, annotations, began, ended, horizon, received, last_seen, verdict,
    reason, text, judged)
SELECT printf('sig-past-%08d', value), 'alertmanager', 'alert', printf('past-%08d', value), '', '{"alertname":"Past"}',
    '{}', began, ended, ended, began, ended, 'no-rule', 'no-rule', 'no rule matches', began
FROM (
    SELECT value, strftime('%Y-%m-%dT%H:%M:%S', 'now', '-30 days', printf('+%d seconds', value)) || '.000000+00:00' AS began,
        strftime('%Y-%m-%dT%H:%M:%S', 'now', '-30 days', printf('+%d seconds', value + 60)) || '.000000+00:00' AS ended
    FROM (WITH RECURSIVE numbers(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM numbers WHERE value < ?)
        SELECT value FROM numbers)
)
"""


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure the share of a core with a past, beside the one without."""
    rounds = [_round(plan) for _ in range(plan.rounds)]
    yield Figure(name=f"idle with {ROWS:,} rows beside none", unit="% of a core", rounds=rounds, falls=True)


def _round(plan: Plan) -> Round:
    seconds = 10.0 if plan.quick else 30.0
    with TemporaryDirectory(prefix="kintsugi-bench-") as folder, api_process(SERVICES, SERVICES, core=LOAD) as api:
        catalog = catalogs.write(
            Path(folder) / "catalog", [catalogs.usual_rules(each) for each in catalogs.services(SERVICES)]
        )
        daemon = BenchDaemon(folder=Path(folder) / "daemon", api=api.url, catalog=catalog, core=MEASURED)
        with daemon.running() as process:
            empty = _share(process, seconds)
            _write_past(daemon.ledger)
            full = _share(process, seconds)
    print(f"  idle: {empty:.2f} % of a core with an empty ledger, {full:.2f} % with {ROWS:,} rows", flush=True)
    return Round(value=full, baseline=empty)


def _share(process: ListeningProcess, seconds: float) -> float:
    time.sleep(_SETTLED)
    began, before = time.monotonic(), processor_seconds(process.pid)
    time.sleep(seconds)
    return 100 * (processor_seconds(process.pid) - before) / (time.monotonic() - began)


def _write_past(ledger: Path) -> None:
    connection = sqlite3.connect(ledger, timeout=30)
    try:
        with connection:
            connection.execute(_INSERT, (ROWS,))
    finally:
        connection.close()
