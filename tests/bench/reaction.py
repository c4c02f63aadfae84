"""
From an alert's POST to the first change of the run that it starts.

Each repetition is an alert about another service of the embedded cluster, which has a pod in a crash loop. What ends
the wait is the arrival of the first change at the API server: its intent is committed by then, and nothing that the
daemon does to get there is left out (the evidence of a pod is kept before it is deleted).
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from urllib.request import ProxyHandler, Request, build_opener

from tests.bench import catalogs
from tests.bench.catalogs import Written
from tests.bench.cluster_process import address, cluster_process
from tests.bench.daemon_process import BenchDaemon, running
from tests.bench.figures import Figure, Round
from tests.bench.load import quantile
from tests.bench.plan import Plan
from tests.bench.process import processor_seconds
from tests.bench.revision import Revision
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_for

_EACH, _QUICK = 40, 8
"""Alerts for each runbook in a round: 200 in five rounds."""

_TIMEOUT = 30.0
_LOOK_EVERY = 0.002
_APART = 0.3
"""Seconds between a change and the next alert: each is alone with what follows the change of the one before."""

_RUNBOOKS = {"reaction": catalogs.PLAIN, "reaction that diagnoses first": catalogs.SHIPPED}

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


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """Milliseconds until the change, and milliseconds of processor time until the next alert."""

    wait: float
    cost: float


def measure(plan: Plan, server: Postgres | None = None) -> Iterator[Figure]:
    """Measure some rounds of alerts, one alert after another. The p99 is that of all rounds together."""
    each = _QUICK if plan.quick else _EACH
    rounds = plan.in_turn(lambda revision: _reactions(revision, each, server))
    for name in _RUNBOOKS:
        found = [[reactions[name] for reactions in one] for one in rounds]
        together = [list(chain(*of)) for of in zip(*found, strict=True)]
        yield Figure(name=f"{name}: POST to first change, p50, ms", rounds=[Round(*map(_middle, one)) for one in found])
        yield Figure(name=f"{name}: p99 of {len(together[0])}, ms", rounds=[Round(*map(_slowest, together))])
        yield Figure(name=f"{name}: processor time, ms", rounds=[Round(*map(_cost, one)) for one in found])


def _middle(reactions: Sequence[Reaction]) -> float:
    return median(each.wait for each in reactions)


def _slowest(reactions: Sequence[Reaction]) -> float:
    return quantile([each.wait for each in reactions], 0.99)


def _cost(reactions: Sequence[Reaction]) -> float:
    return mean(each.cost for each in reactions)


def _reactions(revision: Revision, each: int, server: Postgres | None) -> Mapping[str, Sequence[Reaction]]:
    services = catalogs.services(each * len(_RUNBOOKS))
    parts = {name: services[each * place : each * (place + 1)] for place, name in enumerate(_RUNBOOKS)}
    documents = [
        catalogs.alert_rule(service, runbook=_RUNBOOKS[name]) for name, part in parts.items() for service in part
    ]
    with TemporaryDirectory(prefix="kintsugi-bench-") as folder:
        deletions = Path(folder) / "deletions"
        with (
            cluster_process(len(services), deletions),
            running(revision, address(deletions), documents, mode="auto", settings=_UNLIMITED, server=server) as daemon,
        ):
            return {name: [_reaction(each, deletions, daemon) for each in part] for name, part in parts.items()}


def _reaction(service: Written, deletions: Path, daemon: BenchDaemon) -> Reaction:
    """Send an alert, wait for the first change in its service, and let the daemon do what comes then."""
    before, posted = processor_seconds(daemon.pid), time.time()
    _post(f"{daemon.url}/alertmanager", service)

    def done() -> list[str] | None:
        lines = map(str.split, deletions.read_text(encoding="utf-8").splitlines())
        return next((line for line in lines if f"/{service.name}-" in line[1]), None)

    moment, path = wait_for(done, within=_TIMEOUT, describe=lambda: daemon.log, every=_LOOK_EVERY)
    time.sleep(_APART)
    cost = processor_seconds(daemon.pid) - before
    pod = path.rpartition("/")[2]
    intents = daemon.count(f"SELECT count(*) FROM steps WHERE changes AND text LIKE 'kubectl delete pod {pod}%'")
    assert intents == 1, f"the ledger has {intents} intents to delete {pod}"
    return Reaction(wait=(float(moment) - posted) * 1000, cost=cost * 1000)


def _post(url: str, service: Written) -> None:
    """Post an alert about a service."""
    labels = {"alertname": "KubePodCrashLooping", "deployment": service.name, "namespace": service.namespace}
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    alert = {"status": "firing", "labels": labels, "annotations": {}, "startsAt": began}
    body = json.dumps({"version": "4", "status": "firing", "alerts": [alert]}).encode()
    request = Request(url, data=body, headers={"Content-Type": "application/json"})
    with _direct.open(request, timeout=_TIMEOUT) as answer:
        answer.read()
