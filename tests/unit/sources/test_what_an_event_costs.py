"""An event of the watch costs few calls, from its bytes to the decision of a rule: they are counted, and no time is measured."""

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from kintsugi.catalog import files_in, load
from kintsugi.decisions.matcher import Matcher
from kintsugi.kube.api_errors import Request
from kintsugi.kube.pages import Page, Reader, raw_items
from kintsugi.kube.reflector import Reflector
from kintsugi.sources.cluster import ClusterWatch
from kintsugi.views import Caches, ServiceViews
from kubeobjects.kept import Object
from kubeobjects.resources import PODS, Resource
from tests.bench import catalogs
from tests.bench.pods import EncodedPod, pods
from tests.bench.revision import WORKING_TREE
from tests.unit.sources.watched_ledger import WatchedLedger
from tests.unit.views.cluster import ScriptedReflector

COUNT = 20
OURS = str(Path(__file__).parents[3] / "daemon")
CONVERSIONS = frozenset({"part", "plain", "_plain_fields", "_plain_mapping", "_plain_time"})
LOOKUPS = frozenset({"get", "items", "setdefault", "selecting", "_compare", "rules_on_pods"})
SAME, OTHER_MOMENT = 3_600, 1
"""Steps of the version after which the bench's pods are what they were, and after which a condition has another time."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """
    What one event costs: calls in our code, those of them that look something up or convert a value, and blocks of memory
    that the new state of the pod does not share.
    """

    calls: int
    lookups: int
    conversions: int
    blocks: int


class PodServer:
    """Lists the bench's pods, and sends the chunks that it is given."""

    def __init__(self, listed: tuple[EncodedPod, ...]) -> None:
        self._pods = listed
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()

    async def pages(
        self, resource: Resource, read: Reader[object], _namespace: str | None, **_: object
    ) -> AsyncIterator[Page[object]]:
        """List the pods."""
        items = b",".join(each.at(SAME) for each in self._pods)
        body = b'{"metadata":{"resourceVersion":"%d"},"items":[%b]}' % (SAME, items)
        request = Request(method="GET", path=resource.path(None))
        metadata, raw = raw_items(request, body)
        found = read(request, raw)
        yield Page(metadata=metadata, items=found, first=True)

    @asynccontextmanager
    async def stream(self, _request: Request, *, silence: timedelta) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send what is given."""
        assert silence

        async def chunks() -> AsyncIterator[bytes]:
            while True:
                yield await self._chunks.get()

        yield chunks()

    def send(self, version: int) -> None:
        """Let each pod have an event."""
        lines = (b'{"type":"MODIFIED","object":%b}\n' % each.at(version) for each in self._pods)
        self._chunks.put_nowait(b"".join(lines))


class WatchScene:
    """The bench's pods, rules and services, behind a server that says what it is told to."""

    def __init__(self, folder: Path, ledger: WatchedLedger) -> None:
        services = catalogs.services(1)
        rules = [catalogs.usual_rules(each) for each in services]
        catalog = load(files_in(catalogs.write(folder / "catalog", rules, WORKING_TREE)))
        self.server, self.version = PodServer(pods(services, COUNT)), SAME

        def made(kube: Any, resource: Resource, kept: type[Object]) -> Any:
            kind: Any = Reflector if resource is PODS else ScriptedReflector
            return kind(kube, resource, kept)

        caches = Caches.of(self.server, made)  # type: ignore[arg-type]
        self.pods = caches.pods
        views = ServiceViews(caches, catalog, clock=_now, stale_after=timedelta(seconds=30))
        self.watch = ClusterWatch(caches, views, ledger.ledger, clock=_now)
        self.watch.reload(catalog, Matcher(catalog))

    async def see(self, later: int) -> None:
        """Let each pod have an event, whose version is so much later."""
        self.version += later
        self.server.send(self.version)
        while {pod.metadata.resource_version for pod in self.pods.store.values()} != {str(self.version)}:
            await asyncio.sleep(0)


def _now() -> datetime:
    return datetime(2026, 1, 1, 1, tzinfo=UTC)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls of our functions, and those that they make of functions in C."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, called: Any) -> None:
        if frame.f_code.co_filename.startswith(OURS) and event in ("call", "c_call"):
            calls[frame.f_code.co_name if event == "call" else called.__name__] += 1

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def _count(calls: Counter[str], names: frozenset[str]) -> int:
    return sum(number for name, number in calls.items() if name in names)


@pytest.mark.parametrize(
    ("later", "most"),
    [
        (SAME, Cost(calls=157, lookups=20, conversions=2, blocks=13)),
        (OTHER_MOMENT, Cost(calls=167, lookups=25, conversions=2, blocks=29)),
    ],
    ids=["unchanged", "changed"],
)
async def test_an_event_costs_no_more_calls_and_memory_than_it_did(
    tmp_path: Path, watched: WatchedLedger, later: int, most: Cost
) -> None:
    """
    The limits are what it costs now: forty thousand events a second are to be taken, and a bench sees a loss months later.

    A change that needs more says here how much.
    """
    scene = WatchScene(tmp_path, watched)
    following = asyncio.create_task(scene.pods.run())
    await scene.pods.wait_synced(timedelta(seconds=5))
    for _ in range(2):
        await scene.see(SAME)
        await scene.watch.step()
    before = [*scene.pods.store.values()]  # so that memory is not freed which the new states do not use
    gc.collect()
    blocks = sys.getallocatedblocks()
    await scene.see(later)
    blocks = sys.getallocatedblocks() - blocks
    with counted() as calls:
        await scene.see(later)
        await scene.watch.step()
    following.cancel()
    cost = Cost(
        calls=calls.total() // COUNT,
        lookups=_count(calls, LOOKUPS) // COUNT,
        conversions=_count(calls, CONVERSIONS) // COUNT,
        blocks=blocks // len(before),
    )
    spent, allowed = astuple(cost), astuple(most)
    assert all(each <= limit for each, limit in zip(spent, allowed, strict=True)), (cost, calls.most_common(20))
