"""
Watch events a second, what an event and a cached pod cost, and the first sync, at 10,000 pods with 100 rules.

An API server of the bench streams MODIFIED events of 6.3 kB as fast as they are taken. `kintsugi run` decodes, keeps,
matches and judges them; the baseline only decodes them into the same struct and keeps the newest.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import ProxyHandler, build_opener

from tests.bench import catalogs
from tests.bench.api_process import api_process
from tests.bench.daemon_process import BenchDaemon
from tests.bench.figures import Figure, Round
from tests.bench.plan import LOAD, MEASURED, Plan
from tests.bench.process import ListeningProcess, memory, peak_memory, started, wait_idle

SERVICES = 25
"""With the four rules that each of the shipped services has, these are 100 rules."""

_LEAD = 3_000
"""Events that fill the buffers between the two processes before the measuring begins."""

_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is streamed."""

    pods: int
    events: int


@dataclass(frozen=True, kw_only=True)
class Taken:
    """How a reader took a stream: events a second, processor time an event (us), first sync (s), memory (bytes)."""

    rate: float
    cost: float
    sync: float
    memory: int
    peak: int


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure the daemon beside the bare decoder."""
    size = Size(pods=2_000, events=8_000) if plan.quick else Size(pods=10_000, events=30_000)
    services = catalogs.services(SERVICES)
    documents = [catalogs.usual_rules(each) for each in services]
    empty = Size(pods=SERVICES, events=1)
    bases = bare(empty).memory, daemon(documents, empty).memory
    pairs = [(daemon(documents, size), bare(size)) for _ in range(plan.rounds)]
    rates = [Round(value=ours.rate, baseline=theirs.rate) for ours, theirs in pairs]
    costs = [Round(value=ours.cost, baseline=theirs.cost) for ours, theirs in pairs]
    syncs = [Round(value=ours.sync, baseline=theirs.sync) for ours, theirs in pairs]
    kept = [
        Round(value=_kibibytes(ours.memory - bases[1], size), baseline=_kibibytes(theirs.memory - bases[0], size))
        for ours, theirs in pairs
    ]
    yield Figure(name="watch events taken", unit="a second", rounds=rates, designed=40_000)
    yield Figure(name="processor time of an event", unit="us", rounds=costs, designed=25, falls=True)
    scale = 10_000 / size.pods
    yield Figure(name=f"first sync of {size.pods:,} pods", unit="s", rounds=syncs, designed=1.5 / scale, falls=True)
    yield Figure(name="memory of a cached pod", unit="KiB", rounds=kept, designed=4, falls=True)
    print(f"  the daemon holds {pairs[-1][0].memory >> 20} MiB, at most {pairs[-1][0].peak >> 20} MiB", flush=True)


def bare(size: Size) -> Taken:
    """Let the bare decoder take a stream."""
    with (
        api_process(SERVICES, size.pods, core=LOAD) as api,
        started("tests.bench.bare_watch", str(api.port), core=MEASURED) as process,
    ):
        return take(api, process, size)


def daemon(documents: list[str], size: Size, services: int = SERVICES) -> Taken:
    """Let the daemon take a stream with a catalog; it must have seen the last event."""
    with TemporaryDirectory(prefix="kintsugi-bench-") as folder, api_process(services, size.pods, core=LOAD) as api:
        catalog = catalogs.write(Path(folder) / "catalog", documents)
        one = BenchDaemon(folder=Path(folder) / "daemon", api=api.url, catalog=catalog, core=MEASURED)
        with one.running() as process:
            taken = take(api, process, size)
            end = ask(api, "end")
            assert end["seen"] == end["sent"], f"events were lost: {end}"
            return taken


def take(api: ListeningProcess, reader: ListeningProcess, size: Size) -> Taken:
    """Stream to a process that watches, and measure it."""
    sync = ask(api, "synced")["seconds"]
    wait_idle(reader.pid)
    held, peak = memory(reader.pid), peak_memory(reader.pid)
    streamed = ask(api, f"stream?lead={_LEAD}&events={size.events}&process={reader.pid}")
    return Taken(
        rate=size.events / streamed["seconds"],
        cost=streamed["processor"] / size.events * 1e6,
        sync=sync,
        memory=held,
        peak=peak,
    )


def ask(api: ListeningProcess, what: str) -> dict[str, float]:
    """Ask the API server of the bench."""
    with _direct.open(f"{api.url}/bench/{what}", timeout=300) as answer:
        told: dict[str, float] = json.loads(answer.read())
    return told


def _kibibytes(held: int, size: Size) -> float:
    return held / 1024 / (size.pods - SERVICES)
