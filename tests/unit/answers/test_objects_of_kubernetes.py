"""
Whatever an object of a kept kind holds: the watch goes on, no view but its own service's suffers, nothing raises.

Real objects are made wrong and take the way of each object: list, watch, cache, view of the service, rules, expressions.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.matcher import Matcher
from kintsugi.errors import EvaluationError, KubeError
from kintsugi.expressions import Bindings, Expression, compile_expression
from kintsugi.expressions.structs import struct_type
from kintsugi.expressions.types import ANY, TIMESTAMP, Type
from kintsugi.kube.api_errors import Request
from kintsugi.kube.pages import Page, Reader, raw_items
from kintsugi.kube.reflector import Reflector
from kintsugi.kube.watch_events import EventReader, GarbledLineError, WatchEvent
from kintsugi.model.records import PendingMatch, Signal, SignalSource
from kintsugi.sources.cluster import ClusterWatch
from kintsugi.views import Caches, ServiceViews
from kubeobjects import predicates, resources
from kubeobjects.kept import KEPT, Pod
from kubeobjects.owners import managers
from kubeobjects.resources import Resource
from tests.unit.answers.mutations import FUZZ, written, wrong_json
from tests.unit.answers.objects import seen, shipped
from tests.unit.as_ledger import as_ledger

NOW = datetime(2026, 11, 26, 4, 30, tzinfo=UTC)
WATCHED = (
    resources.PODS,
    resources.PVCS,
    resources.NODES,
    resources.EVENTS,
    resources.SERVICES,
    resources.ENDPOINTSLICES,
    resources.DEPLOYMENTS,
    resources.REPLICASETS,
    resources.STATEFULSETS,
    resources.DAEMONSETS,
    resources.HPAS,
    resources.NAMESPACES,
)
TIMEOUT = 60
"""Seconds after which a story that does not come to its end is taken for a hang."""

VERBS = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "EATEN")


def listed(resource: Resource, items: Sequence[bytes]) -> bytes:
    """Write a list as the server does."""
    return b'{"kind":"%sList","metadata":{"resourceVersion":"500"},"items":[%s]}' % (
        resource.kind.encode(),
        b",".join(items),
    )


class Server:
    """Answers lists and watches of each kind; of one kind with what is given. `said` is set once all of it was sent."""

    def __init__(self, about: Resource, lists: bytes, watches: Sequence[bytes]) -> None:
        self._about, self._lists, self._watches = about, lists, watches
        self.said = asyncio.Event()

    async def pages(
        self, resource: Resource, read: Reader[object], _namespace: str | None, **_: object
    ) -> AsyncIterator[Page[object]]:
        body = self._lists if resource == self._about else whole(resource)
        try:
            request = Request(method="GET", path=resource.path(None))
            metadata, raw = raw_items(request, body)
            items = read(request, raw)
        except KubeError:
            self.said.set()
            raise
        yield Page(metadata=metadata, items=items, first=True)

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: timedelta | None) -> AsyncIterator[AsyncIterator[bytes]]:
        about = request.path == self._about.path(None)

        async def chunks() -> AsyncIterator[bytes]:
            if about and not self.said.is_set():
                for line in self._watches:
                    yield line + b"\n"
                self.said.set()
            await asyncio.Event().wait()

        try:
            yield chunks()
        finally:
            if about:
                self.said.set()


@cache
def whole(resource: Resource) -> bytes:
    """Write the list of a kind as it was seen."""
    return listed(resource, [written(each) for each in seen()[resource]])


class NullLedger:
    """Keeps nothing."""

    async def conditions(self) -> tuple[PendingMatch, ...]:
        return ()

    async def firing(self, *sources: SignalSource) -> Sequence[Signal]:
        return ()

    async def save_conditions(self, began: Sequence[PendingMatch], ended: Sequence[tuple[str, str]]) -> None: ...

    async def accept(self, signals: Sequence[Signal], now: datetime) -> object:
        return None


@cache
def wrong_objects(resource: Resource) -> st.SearchStrategy[bytes]:
    """Return objects of a kind that are not as they were seen."""
    return st.one_of([wrong_json(each) for each in seen()[resource]])


@cache
def stories(resource: Resource) -> st.SearchStrategy[tuple[bytes, Sequence[bytes]]]:
    """Return a list of a kind and some lines of a watch after it, in which objects are wrong."""
    whole_items = [written(each) for each in seen()[resource]]
    items = st.one_of(st.just([]), st.lists(wrong_objects(resource), max_size=2)).map(
        lambda wrongs: listed(resource, [*wrongs, *whole_items[len(wrongs) :]])
    )
    line = st.tuples(st.sampled_from(VERBS), wrong_objects(resource)).map(
        lambda event: b'{"type":"%s","object":%s}' % (event[0].encode(), event[1])
    )
    return st.tuples(items, st.lists(line, max_size=3))


async def follow(resource: Resource, story: tuple[bytes, Sequence[bytes]]) -> ServiceViews:
    """Let everything that follows a cluster follow this story to its end."""
    server = Server(resource, *story)
    caches = Caches.of(server, Reflector)  # type: ignore[arg-type]
    services = ServiceViews(caches, shipped(), clock=lambda: NOW, stale_after=timedelta(hours=1))
    watch = ClusterWatch(caches, services, as_ledger(NullLedger()), clock=lambda: NOW)
    watch.reload(shipped(), Matcher(shipped()))
    running = asyncio.create_task(caches.run())
    said = asyncio.create_task(server.said.wait())
    try:
        async with asyncio.timeout(TIMEOUT):
            await asyncio.wait({running, said}, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(10):
            await asyncio.sleep(0)
        services.refresh(everything=True)
        for pod in caches.pods.store.values():
            services.services_of(pod)
        await watch.step()
        assert not running.done(), running.exception()
    finally:
        for task in (running, said):
            task.cancel()
        await asyncio.gather(running, said, return_exceptions=True)
    return services


@pytest.mark.parametrize("resource", WATCHED, ids=lambda resource: str(resource.kind))
@FUZZ
@given(data=st.data())
async def test_a_watched_object_never_ends_what_follows_the_cluster(resource: Resource, data: st.DataObject) -> None:
    """B16."""
    services = await follow(resource, data.draw(stories(resource)))
    assert services.views.keys() == shipped().services.keys()


FIELDS_OF_PODS = ("object.unhealthy", "object.displayStatus", "object.restarts", "object.crashLooping", "object")


@cache
def expressions(resource: Resource) -> Sequence[Expression]:
    """Return expressions that read an object of a kind, or all of it."""
    names: dict[str, Type] = {"object": struct_type(KEPT[resource]), "now": TIMESTAMP}
    sources = FIELDS_OF_PODS if resource == resources.PODS else ("object", "has(object.metadata.labels.app)")
    return tuple(compile_expression(each, names=names, result=ANY) for each in sources)


@pytest.mark.parametrize("resource", KEPT, ids=lambda resource: str(resource.kind))
@FUZZ
@given(data=st.data())
def test_an_object_of_a_kept_kind_is_read_or_set_aside(resource: Resource, data: st.DataObject) -> None:
    """B16."""
    reader = EventReader(KEPT[resource])
    line = b'{"type":"MODIFIED","object":%s}' % data.draw(wrong_objects(resource))
    try:
        event = reader.read(line)
    except GarbledLineError:
        return
    if not isinstance(event, WatchEvent):
        return
    names = Bindings({"object": event.object, "now": NOW})
    for expression in expressions(resource):
        with suppress(EvaluationError):
            expression.evaluate(names)
    assert isinstance(managers(event.object.metadata), tuple)
    if isinstance(event.object, Pod):
        pod = event.object
        assert isinstance(predicates.unhealthy(pod, NOW), bool)
        assert isinstance(predicates.crash_looping(pod, NOW), bool)
        assert isinstance(predicates.image_failing(pod), bool)
        assert isinstance(predicates.status_of(pod), str)
        assert isinstance(predicates.restarts(pod), int)
