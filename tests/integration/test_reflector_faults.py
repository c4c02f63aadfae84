"""
A reflector through every fault of a watch: its store ends right, its subscribers hear one story, and it asks gently.

Promise P6 rests on it: no action on missing data. Faults B1 to B6, B8, B10, B11, B15 and B16 of the fault list.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from kintsugi.errors import ServerUnavailable
from kintsugi.kube.client import KubeClient
from kintsugi.kube.object_cache import Change, ChangeKind
from kintsugi.kube.reflector import Reflector, WatchTiming
from kintsugi.settings import KubeSettings
from kubeobjects.kept import Pod
from kubeobjects.resources import PODS
from tests.integration.scripted_api import (
    EXPIRED,
    Answer,
    ScriptedApi,
    bad_gateway,
    bookmark,
    cut,
    event,
    kubeconfig,
    listing,
    pod,
    refuse,
    reply,
    silent,
    status,
    stream,
    write,
)

WITHIN = 10.0
QUICK = WatchTiming(
    silence=timedelta(seconds=0.3),
    first_wait=timedelta(seconds=0.02),
    longest_wait=timedelta(seconds=0.1),
    healthy_after=timedelta(seconds=60),
)
PATIENT = WatchTiming(first_wait=timedelta(seconds=0.02), longest_wait=timedelta(seconds=0.1))
TOO_LARGE = status(
    504,
    "Timeout",
    "Timeout: Too large resource version: 900, current: 100",
    [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
)


class Watched:
    """A running reflector, and the story that its subscriber heard."""

    def __init__(self, reflector: Reflector[Pod]) -> None:
        self.reflector = reflector
        self.story: list[str] = []
        reflector.subscribe(self._hear)

    def _hear(self, change: Change[Pod]) -> None:
        metadata = change.subject.metadata
        self.story.append(f"{change.kind} {metadata.name} {metadata.resource_version}")

    @property
    def versions(self) -> dict[str, str]:
        """Return the resourceVersion of each pod in the store."""
        return {name: known.metadata.resource_version for (_, name), known in self.reflector.store.items()}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; fails with the last state."""
        deadline = asyncio.get_running_loop().time() + WITHIN
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                pytest.fail(f"store {self.versions}, story {self.story}, problem {self.reflector.problem!r}")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(
    api: ScriptedApi, folder: Path, timing: WatchTiming = PATIENT, **user: str
) -> AsyncIterator[Watched]:
    """Run a reflector of the pods of production."""
    settings = KubeSettings(kubeconfig=kubeconfig(folder, api.url, **user), request_timeout=timedelta(seconds=2))
    async with KubeClient.connect(settings) as kube:
        watched = Watched(Reflector(kube, PODS, Pod, namespace="production", timing=timing))
        running = asyncio.create_task(watched.reflector.run())
        try:
            yield watched
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_the_store_holds_the_objects_of_the_list_and_the_watch(api: ScriptedApi, tmp_path: Path) -> None:
    """P6: the plain case, and the parameters that the server is asked with."""
    api.on("LIST", listing(pod("a", 1), pod("b", 2), version=10))
    api.on(
        "WATCH", stream(event("ADDED", pod("c", 11)), event("MODIFIED", pod("a", 12)), event("DELETED", pod("b", 13)))
    )
    async with watching(api, tmp_path) as watched:
        await watched.until(lambda: watched.versions == {"a": "12", "c": "11"})
    assert watched.story == ["added a 1", "added b 2", "added c 11", "modified a 12", "deleted b 13"]
    asked = api.requests("WATCH")[0].query
    assert asked["resourceVersion"] == "10"
    assert asked["allowWatchBookmarks"] == "true"
    assert 300 <= int(asked["timeoutSeconds"]) <= 600
    assert api.requests("LIST")[0].query["limit"] == "500"


HALF = b'{"type":"ADDED","object":{"meta'
CHANGED = event("MODIFIED", pod("a", 11))


def garbage(line: bytes) -> Answer:
    """Answer a watch with a good event, and then with this."""
    return stream(CHANGED, line)


@dataclass(frozen=True, kw_only=True)
class WatchFault:
    """What lists and watches are answered, how the store ends, what was heard, and which versions the watches asked for."""

    lists: Sequence[Answer] = (listing(pod("a", 1), version=10),)
    watches: Sequence[Answer]
    store: Mapping[str, str]
    story: Sequence[str] | None = None
    asked: Sequence[str]
    timing: WatchTiming = PATIENT


def resumed(bad: Answer) -> WatchFault:
    """Drop the connection and go on after the last good event."""
    return WatchFault(
        watches=(bad, stream(event("ADDED", pod("b", 12)))),
        store={"a": "11", "b": "12"},
        story=("added a 1", "modified a 11", "added b 12"),
        asked=("10", "11"),
    )


RESTORED = (listing(pod("a", 800), version=900), listing(pod("a", 50), version=60))
LAGGING = stream(event("ERROR", TOO_LARGE), stays=False)
FAULTS = {
    "410 for the watch": WatchFault(
        lists=(listing(pod("a", 1), pod("b", 2), version=10), listing(pod("a", 21), version=30)),
        watches=(refuse(410, "Expired", "too old resource version: 10 (25)"), stream()),
        store={"a": "21"},
        story=("added a 1", "added b 2", "deleted b 2", "modified a 21"),
        asked=("10", "30"),
    ),
    "410 as an event": WatchFault(
        lists=(listing(pod("a", 1), version=10), listing(pod("a", 1), pod("c", 40), version=50)),
        watches=(stream(event("ADDED", pod("b", 11)), event("ERROR", EXPIRED)), stream()),
        store={"a": "1", "c": "40"},
        story=("added a 1", "added b 11", "deleted b 11", "added c 40"),
        asked=("10", "50"),
    ),
    "silence": WatchFault(
        watches=(stream(bookmark(17)), stream(event("MODIFIED", pod("a", 18)), bookmark(19))),
        store={"a": "18"},
        asked=("10", "17"),
        timing=QUICK,
    ),
    "a reset in mid-line": resumed(cut(CHANGED, HALF)),
    "an end in mid-line": resumed(stream(CHANGED, HALF, stays=False)),
    "HTML in a line": resumed(garbage(b"<html>502</html>\n")),
    "JSON that is no event": resumed(garbage(b'"a text"\n')),
    "an unknown type": resumed(garbage(b'{"type":"NEWS","object":{}}\n')),
    "no object": resumed(garbage(b'{"type":"ADDED"}\n')),
    "binary": resumed(garbage(b"\xff\xfe\x00\n")),
    "garbage again and again": WatchFault(
        lists=(listing(pod("a", 1), version=10), listing(pod("a", 20), version=30)),
        watches=(*[stream(b"garbage\n")] * 3, stream()),
        store={"a": "20"},
        asked=("10", "10", "10", "30"),
    ),
    "a version ahead of a replica that lags": WatchFault(
        lists=(listing(pod("a", 1), version=900),),
        watches=(reply(TOO_LARGE, 504), stream(event("ADDED", pod("b", 901)))),
        store={"a": "1", "b": "901"},
        asked=("900", "900"),
    ),
    "a version that a restored etcd never reaches": WatchFault(
        lists=RESTORED,
        watches=(LAGGING, LAGGING, LAGGING, stream()),
        store={"a": "50"},
        asked=("900", "900", "900", "60"),
    ),
    "a history that went back": WatchFault(
        lists=RESTORED, watches=(stream(bookmark(55)), stream()), store={"a": "50"}, asked=("900", "60")
    ),
    "another pod of the same name": WatchFault(
        lists=(
            listing(pod("db-0", 1, uid="first"), version=10),
            listing(pod("db-0", 30, uid="third"), version=40),
        ),
        watches=(stream(event("MODIFIED", pod("db-0", 11, uid="second")), event("ERROR", EXPIRED)), stream()),
        store={"db-0": "30"},
        story=("added db-0 1", "deleted db-0 1", "added db-0 11", "deleted db-0 11", "added db-0 30"),
        asked=("10", "40"),
    ),
    "a server that restarts": WatchFault(
        watches=(
            cut(event("ADDED", pod("b", 11))),
            cut(),
            refuse(503, "ServiceUnavailable", "apiserver is shutting down"),
            stream(event("DELETED", pod("b", 12)), bookmark(13)),
        ),
        store={"a": "1"},
        story=("added a 1", "added b 11", "deleted b 12"),
        asked=("10", "11", "11", "11"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_after_a_fault_the_store_is_right_and_nothing_is_told_twice(
    api: ScriptedApi, tmp_path: Path, name: str
) -> None:
    """
    B1, B3, B4, B6, B13: what vanished in a gap is deleted, and nothing is asked again with an expired version.

    Garbage is never passed on. No object changes its uid under a subscriber, though its deletion was missed.
    """
    fault = FAULTS[name]
    api.on("LIST", *fault.lists)
    api.on("WATCH", *fault.watches)
    async with watching(api, tmp_path, fault.timing) as watched:
        await watched.until(lambda: len(api.requests("WATCH")) >= len(fault.asked) and watched.versions == fault.store)
        await watched.until(lambda: fault.story in (None, tuple(watched.story)))
    assert [asked.query["resourceVersion"] for asked in api.requests("WATCH")][: len(fault.asked)] == list(fault.asked)
    assert len(api.requests("LIST")) == len(fault.lists)


async def test_until_the_new_list_is_read_whole_the_view_is_known_to_be_of_before(
    api: ScriptedApi, tmp_path: Path
) -> None:
    """B1, B2, P6: neither a 410 nor the first page of a list is a view."""
    first_page = listing(pod("a", 21), version=30, token="more")
    api.on("LIST", listing(pod("a", 1), pod("b", 2), version=10), first_page, silent())
    api.on("WATCH", refuse(410, "Expired", "too old resource version: 10 (25)"))
    async with watching(api, tmp_path) as watched:
        await watched.until(lambda: len(api.requests("LIST")) == 3)
        assert "too old resource version" in watched.reflector.problem
        assert watched.versions == {"a": "1", "b": "2"}


@pytest.mark.parametrize("times", [1, 2])
async def test_a_page_token_that_expires_starts_the_list_anew_and_one_that_does_again_leads_to_a_list_in_one_answer(
    api: ScriptedApi, tmp_path: Path, times: int
) -> None:
    """B2: what the void pages said is forgotten, nothing is half there; a server too slow for paging is asked for all at once."""
    expired = refuse(410, "Expired", "The provided continue parameter is too old")
    void = (listing(pod("gone", 1), version=10, token="t1"), expired) * times
    whole = (listing(pod("a", 12), version=20, token="t2"), listing(pod("b", 13), version=20))
    api.on("LIST", *void, *(whole if times == 1 else (listing(pod("a", 12), pod("b", 13), version=20),)))
    api.on("WATCH", stream())
    async with watching(api, tmp_path) as watched:
        await watched.until(lambda: watched.reflector.synced)
        assert watched.versions == {"a": "12", "b": "13"}
    assert watched.story == ["added a 12", "added b 13"]
    asked = [(each.query.get("limit", ""), each.query.get("continue", "")) for each in api.requests("LIST")]
    again = [("500", ""), ("500", "t2")] if times == 1 else [("", "")]
    assert asked == [("500", ""), ("500", "t1")] * times + again


async def test_a_watch_answered_with_a_web_page_is_asked_again_gently(api: ScriptedApi, tmp_path: Path) -> None:
    """B4, B6: the library's watch made 2,555 connections in three seconds of this."""
    api.on("LIST", listing(pod("a", 1), version=10))
    api.on("WATCH", bad_gateway(), bad_gateway(), write(b"<html>hello</html>", kind="text/html"), stream(bookmark(11)))
    async with watching(api, tmp_path) as watched:
        await watched.until(lambda: len(api.requests("WATCH")) == 4 and watched.reflector.problem == "")
    assert watched.story == ["added a 1"]
    assert len(api.requests("LIST")) == 1


async def test_a_watch_that_closes_at_once_is_not_stormed(api: ScriptedApi, tmp_path: Path) -> None:
    """B6: waits double from one close to the next, although each close is in order."""
    timing = WatchTiming(first_wait=timedelta(seconds=0.05), longest_wait=timedelta(seconds=10))
    api.on("LIST", listing(pod("a", 1), version=10))
    api.on("WATCH", stream(stays=False))
    async with watching(api, tmp_path, timing) as watched:
        await watched.until(lambda: watched.reflector.watches >= 4)
        began = asyncio.get_running_loop().time()
        await watched.until(lambda: watched.reflector.watches >= 5)
        assert asyncio.get_running_loop().time() - began > 0.05
    assert len(api.requests("LIST")) == 1


@pytest.mark.parametrize("megabytes", [1.5, 6])
async def test_objects_larger_than_any_buffer_come_through(api: ScriptedApi, tmp_path: Path, megabytes: float) -> None:
    """B5: in the list and in the watch; their large annotations stay in no memory."""
    large = {"note": "x" * int(megabytes * 1024 * 1024), "team": "shop"}
    api.on("LIST", listing(pod("a", 1, annotations=large), version=10))
    api.on("WATCH", stream(event("ADDED", pod("b", 11, annotations=large)), event("ADDED", pod("c", 12))))
    async with watching(api, tmp_path) as watched:
        await watched.until(lambda: watched.versions == {"a": "1", "b": "11", "c": "12"})
        for name in ("a", "b"):
            assert watched.reflector.store["production", name].metadata.annotations == {"team": "shop"}


async def test_an_overloaded_server_is_left_alone_for_as_long_as_it_asks(api: ScriptedApi, tmp_path: Path) -> None:
    """B8: 429 with Retry-After on the watch; no new list."""
    api.on("LIST", listing(pod("a", 1), version=10))
    api.on("WATCH", refuse(429, "TooManyRequests", "slow down", headers={"Retry-After": "1"}), stream(bookmark(11)))
    async with watching(api, tmp_path) as watched:
        await watched.until(lambda: watched.reflector.watches == 1 and watched.reflector.problem == "slow down")
        began = asyncio.get_running_loop().time()
        await watched.until(lambda: watched.reflector.watches == 2)
        assert asyncio.get_running_loop().time() - began > 0.9
        await watched.until(lambda: watched.reflector.problem == "")
    assert len(api.requests("LIST")) == 1
    assert [asked.query["resourceVersion"] for asked in api.requests("WATCH")] == ["10", "10"]


async def test_an_overloaded_server_is_asked_again_for_the_page_that_it_owes(api: ScriptedApi, tmp_path: Path) -> None:
    """B8: 429 between pages does not start the list anew."""
    api.on(
        "LIST",
        listing(pod("a", 1), version=10, token="t1"),
        refuse(429, "TooManyRequests", "slow down", headers={"Retry-After": "1"}),
        listing(pod("b", 2), version=10),
    )
    api.on("WATCH", stream())
    async with watching(api, tmp_path) as watched:
        await watched.until(lambda: watched.reflector.synced)
    assert [asked.query.get("continue", "") for asked in api.requests("LIST")] == ["", "t1", "t1"]


async def test_a_missing_right_is_said_and_the_store_stays_unsynced(api: ScriptedApi, tmp_path: Path) -> None:
    """B11, B15: no list, no sync; the reason is the server's sentence."""
    sentence = 'pods is forbidden: User "kintsugi" cannot list resource "pods" in API group ""'
    api.on("LIST", refuse(403, "Forbidden", sentence))
    async with watching(api, tmp_path) as watched:
        await watched.until(lambda: watched.reflector.problem == sentence)
        assert not watched.reflector.synced
        assert watched.reflector.age(asyncio.get_running_loop().time()) == float("inf")
        with pytest.raises(ServerUnavailable, match="cannot list resource"):
            await watched.reflector.wait_synced(timedelta(seconds=0.05))


async def test_the_age_grows_while_the_server_is_not_heard(api: ScriptedApi, tmp_path: Path) -> None:
    """P6: a stale view is known to be stale, synced or not."""
    api.on("LIST", listing(pod("a", 1), version=10))
    api.on("WATCH", stream(stays=False), bad_gateway())
    async with watching(api, tmp_path) as watched:
        await watched.reflector.wait_synced(timedelta(seconds=5))
        await watched.until(lambda: watched.reflector.problem != "")
        heard = watched.reflector.last_activity
        await watched.until(lambda: watched.reflector.watches >= 5)
        assert watched.reflector.last_activity == heard
        assert watched.reflector.synced


async def test_a_poisoned_object_is_set_aside_and_the_others_go_on(api: ScriptedApi, tmp_path: Path) -> None:
    """B16: in the list and in the watch; one that is well again comes back."""
    ill = pod("ill", 3) | {"status": "not an object"}
    api.on("LIST", listing(pod("a", 1), ill, pod("b", 2), version=10))
    sick = pod("b", 11, labels={"app": 7})
    api.on("WATCH", stream(event("MODIFIED", sick), event("ADDED", pod("c", 12)), event("MODIFIED", pod("ill", 13))))
    async with watching(api, tmp_path) as watched:
        await watched.until(lambda: watched.versions == {"a": "1", "c": "12", "ill": "13"})
        assert watched.reflector.undecodable_count == 2
        assert list(watched.reflector.undecodable_objects) == [("production", "b")]
    assert watched.story == ["added a 1", "added b 2", "deleted b 2", "added c 12", "added ill 13"]
    assert len(api.requests("WATCH")) == 1


async def test_a_failing_subscriber_stops_neither_the_stream_nor_the_others(api: ScriptedApi, tmp_path: Path) -> None:
    """B16: a handler's exception is contained and counted."""
    heard: list[ChangeKind] = []

    def broken(change: Change[Pod]) -> None:
        raise LookupError(change.subject.metadata.name)

    api.on("LIST", listing(pod("a", 1), version=10))
    api.on("WATCH", stream(event("MODIFIED", pod("a", 11)), event("DELETED", pod("a", 12))))
    async with watching(api, tmp_path) as watched:
        watched.reflector.subscribe(broken)
        watched.reflector.subscribe(lambda change: heard.append(change.kind))
        await watched.until(lambda: len(heard) == 3)
        assert watched.reflector.subscriber_failures == 3
    assert heard == [ChangeKind.ADDED, ChangeKind.MODIFIED, ChangeKind.DELETED]


async def test_only_what_is_wanted_is_kept_and_what_is_wanted_later_is_found_by_the_next_list(
    api: ScriptedApi, tmp_path: Path
) -> None:
    """A cache is bounded by what is asked of it: of the whole cluster's Events a few namespaces' are."""
    go_on = asyncio.Event()

    async def held(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return await stream(stays=False)(request)

    api.on("LIST", listing(pod("a", 1), pod("b", 2), version=10), listing(pod("a", 12), pod("b", 2), version=20))
    news = stream(event("ADDED", pod("c", 11)), event("MODIFIED", pod("a", 12)), stays=False)
    api.on("WATCH", news, held, stream())
    async with watching(api, tmp_path) as watched:
        watched.reflector.keep_only(lambda item: item.metadata.name == "a")
        await watched.until(lambda: watched.versions == {"a": "12"})
        watched.reflector.keep_only(lambda item: item.metadata.name == "b")
        assert watched.versions == {}
        go_on.set()
        await watched.until(lambda: watched.versions == {"b": "2"})
    assert watched.story == ["added a 1", "modified a 12", "deleted a 12", "added b 2"]
