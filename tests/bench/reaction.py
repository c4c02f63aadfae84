"""
From an alert's POST to the first intent of the run that it starts.

Each repetition is an alert about another service of the embedded cluster, which has a pod in a crash loop. What ends
the wait is the arrival of the first change at the API server: its intent is committed by then, and nothing that the
daemon does to get there is left out (the evidence of a pod is kept before it is deleted). The baseline is the answer
of a bare aiohttp handler to the same POST.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import ProxyHandler, Request, build_opener

from tests.bench import catalogs
from tests.bench.catalogs import Written
from tests.bench.cluster_process import address, cluster_process
from tests.bench.daemon_process import BenchDaemon
from tests.bench.figures import Figure, Round
from tests.bench.intake_process import intake_process
from tests.bench.plan import LOAD, MEASURED, Plan
from tests.harness.waiting import wait_for

_TIMEOUT = 30.0
_LOOK_EVERY = 0.002
_RUNBOOKS = {"": catalogs.PLAIN, " of a run that diagnoses first": catalogs.SHIPPED}
_SHARES = (("p50", 0.5), ("p99", 0.99))

# Every service is ill and each one's run changes something: the limits that would stop this are not what is measured.
_UNLIMITED = {
    "KINTSUGI_GUARDS__MAX_CONCURRENT_SERVICES": "100000",
    "KINTSUGI_GUARDS__BUDGET": "100000",
    "KINTSUGI_GUARDS__BREAKER_SHARE": "1",
    "KINTSUGI_KUBE__QPS": "10000",
    "KINTSUGI_KUBE__BURST": "10000",
    "KINTSUGI_TELEMETRY__LOG_LEVEL": "info",
}

_direct = build_opener(ProxyHandler({}))


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure some rounds of alerts, one alert after another."""
    each = 8 if plan.quick else 33
    services = catalogs.services(each * plan.rounds)
    with intake_process("bare", core=MEASURED) as bare:
        answers = [_answered(bare.url, service) for service in services]
    parts = [slice(each * number, each * (number + 1)) for number in range(plan.rounds)]
    for what, runbook in _RUNBOOKS.items():
        waits = _waits(services, runbook)
        for name, share in _SHARES:
            yield Figure(
                name=f"POST to first intent{what}, {name}",
                unit="ms",
                rounds=[Round(value=_at(waits[part], share), baseline=_at(answers[part], share)) for part in parts],
                falls=True,
            )


def _waits(services: tuple[Written, ...], runbook: str) -> list[float]:
    with TemporaryDirectory(prefix="kintsugi-bench-") as name:
        folder, deletions = Path(name), Path(name) / "deletions"
        catalog = catalogs.write(folder / "catalog", [catalogs.alert_rule(each, runbook=runbook) for each in services])
        with cluster_process(len(services), deletions, core=LOAD):
            daemon = BenchDaemon(
                folder=folder / "daemon",
                api=address(deletions),
                catalog=catalog,
                core=MEASURED,
                mode="auto",
                settings=_UNLIMITED,
            )
            with daemon.running() as process:
                return [_wait(f"{process.url}/alertmanager", each, deletions, daemon) for each in services]


def _wait(url: str, service: Written, deletions: Path, daemon: BenchDaemon) -> float:
    """Send an alert and wait for the first change in its service; give the milliseconds in between."""
    posted = time.time()
    _answered(url, service)

    def done() -> list[str] | None:
        lines = map(str.split, deletions.read_text(encoding="utf-8").splitlines())
        return next((line for line in lines if f"/{service.name}-" in line[1]), None)

    moment, path = wait_for(done, within=_TIMEOUT, describe=lambda: daemon.log.read_text()[-3000:], every=_LOOK_EVERY)
    _check_intent(daemon.ledger, path.rpartition("/")[2])
    return (float(moment) - posted) * 1000


def _check_intent(ledger: Path, pod: str) -> None:
    """Make sure that the change was written down."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        query = "SELECT count(*) FROM steps WHERE changes AND text LIKE ?"
        (count,) = connection.execute(query, (f"kubectl delete pod {pod}%",)).fetchone()
    assert count == 1, f"the ledger has {count} intents to delete {pod}"


def _answered(url: str, service: Written) -> float:
    """Post an alert about a service; give the milliseconds until its answer."""
    labels = {"alertname": "KubePodCrashLooping", "deployment": service.name, "namespace": service.namespace}
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    alert = {"status": "firing", "labels": labels, "annotations": {}, "startsAt": began}
    body = json.dumps({"version": "4", "status": "firing", "alerts": [alert]}).encode()
    request = Request(url, data=body, headers={"Content-Type": "application/json"})
    sent = time.perf_counter()
    with _direct.open(request, timeout=_TIMEOUT) as answer:
        answer.read()
    return (time.perf_counter() - sent) * 1000


def _at(waits: list[float], share: float) -> float:
    """Return the wait that this share of all stayed below."""
    return sorted(waits)[min(len(waits) - 1, int(share * len(waits)))]
