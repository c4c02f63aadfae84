"""
Watch events a second and what one costs, at 10,000 pods with 100 rules, and what it takes to know these pods at all.

An API server of the bench streams MODIFIED events of 6.3 kB as fast as they are taken. `kintsugi run` decodes, keeps,
matches and judges them; the floor only decodes them into the same struct and keeps the newest.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.request import ProxyHandler, build_opener

from tests.bench import catalogs, daemon_process
from tests.bench.api_process import api_process
from tests.bench.figures import Figure, Round
from tests.bench.plan import MEASURED, Plan
from tests.bench.process import ListeningProcess, memory, peak_memory, processor_seconds, started, wait_idle
from tests.bench.revision import Revision

SERVICES = 25
"""With the four rules that each of the shipped services has, these are 100 rules."""

_DOCUMENTS = [catalogs.usual_rules(each) for each in catalogs.services(SERVICES)]
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
    """How a reader took a stream: events a second, processor time an event (us), first sync (s)."""

    rate: float
    cost: float
    sync: float


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure each daemon beside the floor."""
    size = _size(plan)
    yield from plan.hold(lambda revision: _beside_the_floor(revision, size))


def measure_sync(plan: Plan) -> Iterator[Figure]:
    """Measure a daemon until it knows all pods, and the memory that it holds then."""
    size = _size(plan)
    yield from plan.compare(lambda revision: _sync(revision, size.pods))


def _size(plan: Plan) -> Size:
    return Size(pods=2_000, events=8_000) if plan.quick else Size(pods=10_000, events=30_000)


def _beside_the_floor(revision: Revision, size: Size) -> Mapping[str, Round]:
    with daemon_process.watching(revision, _DOCUMENTS, services=SERVICES, pods=size.pods) as (api, daemon):
        ours = take(api, daemon, size)
        end = ask(api, "end")
        assert end["seen"] == end["sent"], f"events were lost: {end}"
    with (
        api_process(SERVICES, size.pods) as api,
        started("tests.bench.bare_watch", str(api.port), core=MEASURED) as process,
    ):
        floor = take(api, process, size)
    return {
        "watch events a second beside the floor": Round(ours.rate, floor.rate),
        "watch event: processor time, us": Round(ours.cost, floor.cost),
        f"first sync of {size.pods:,} pods beside the floor, s": Round(ours.sync, floor.sync),
    }


def _sync(revision: Revision, pods: int) -> Mapping[str, float]:
    with daemon_process.watching(revision, _DOCUMENTS, services=SERVICES, pods=pods) as (api, daemon):
        seconds = ask(api, "synced")["seconds"]
        wait_idle(daemon.pid)
        return {
            f"first sync of {pods:,} pods, s": seconds,
            f"start with {pods:,} pods: processor time, s": processor_seconds(daemon.pid),
            f"memory with {pods:,} pods, MiB": memory(daemon.pid) / 2**20,
            f"memory with {pods:,} pods, at most, MiB": peak_memory(daemon.pid) / 2**20,
        }


def take(api: ListeningProcess, reader: ListeningProcess, size: Size) -> Taken:
    """Stream to a process that watches, and measure it."""
    sync = ask(api, "synced")["seconds"]
    wait_idle(reader.pid)
    streamed = ask(api, f"stream?lead={_LEAD}&events={size.events}&process={reader.pid}")
    return Taken(rate=size.events / streamed["seconds"], cost=streamed["processor"] / size.events * 1e6, sync=sync)


def ask(api: ListeningProcess, what: str) -> dict[str, float]:
    """Ask the API server of the bench."""
    with _direct.open(f"{api.url}/bench/{what}", timeout=300) as answer:
        told: dict[str, float] = json.loads(answer.read())
    return told
