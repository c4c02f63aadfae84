"""A watch is followed, opened anew and trusted again; subscribers hear one unbroken story, which adds up to the store."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from kintsugi.errors import Gone, ServerUnavailable, StreamSilent
from kintsugi.kube.api_errors import Request
from kintsugi.kube.object_cache import Change, ChangeKind, ObjectCache
from kintsugi.kube.pages import Page, Reader, raw_items
from kintsugi.kube.reflector import USUAL, Backoff, Reflector
from kintsugi.kube.transport import _kept_alive
from kubeobjects.kept import Metadata, Pod
from kubeobjects.resources import PODS, Resource

NAMES = st.sampled_from(["a", "b"])
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("remove"), NAMES, st.just(0), st.just(0)),
        st.tuples(st.just("quarantine"), NAMES, st.just(0), st.just(0)),
    ),
    max_size=30,
)


def pod(name: str, uid: int, version: int) -> Pod:
    """Make a pod that has only an identity."""
    return Pod(metadata=Metadata(name=name, namespace="n", uid=f"uid-{uid}", resource_version=f"{uid}.{version}"))


@given(MOVES)
def test_the_changes_add_up_to_the_store(moves: list[tuple[str, str, int, int]]) -> None:
    """P6, B13, B16: no pod is added twice, none changes its uid, and nothing is deleted that was not there."""
    mirror: ObjectCache[Pod] = ObjectCache()
    told: dict[str, Pod] = {}

    def hear(change: Change[Pod]) -> None:
        name = change.subject.metadata.name
        known = told.get(name)
        assert (known is None) is (change.kind is ChangeKind.ADDED)
        if change.kind is ChangeKind.DELETED:
            del told[name]
            return
        assert change.new is not None
        assert change.kind is ChangeKind.ADDED or change.new.metadata.uid == told[name].metadata.uid
        told[name] = change.new

    mirror.subscribe(hear)
    for move, name, uid, version in moves:
        if move == "put":
            mirror.put(("n", name), pod(name, uid, version))
        elif move == "remove":
            mirror.remove(("n", name))
        else:
            mirror.mark_undecodable(("n", name), "unreadable")
    assert mirror.subscriber_failures == 0
    assert {key[1]: known for key, known in mirror.objects.items()} == told
    assert not mirror.objects.keys() & mirror.undecodable_objects.keys()


def test_the_same_state_twice_is_told_once() -> None:
    """A new list repeats what is known already."""
    heard: list[Change[Pod]] = []
    mirror: ObjectCache[Pod] = ObjectCache()
    mirror.subscribe(heard.append)
    for _ in range(3):
        mirror.put(("n", "a"), pod("a", 1, 1))
    assert len(heard) == 1


def test_a_deletion_carries_the_last_state_that_the_server_told() -> None:
    """The final state of a pod, with its exit codes, comes with its deletion."""
    heard: list[Change[Pod]] = []
    mirror: ObjectCache[Pod] = ObjectCache()
    mirror.put(("n", "a"), pod("a", 1, 1))
    mirror.subscribe(heard.append)
    mirror.remove(("n", "a"), pod("a", 1, 2))
    assert [(change.kind, change.old, change.new) for change in heard] == [(ChangeKind.DELETED, pod("a", 1, 2), None)]


SHORT = timedelta(seconds=1)
HEALTHY = USUAL.healthy_after


@given(st.integers(0, 1000), st.lists(st.tuples(st.floats(0, 119), st.booleans()), min_size=1, max_size=12))
def test_waits_double_and_stay_within_their_bounds(seed: int, rounds: list[tuple[float, bool]]) -> None:
    """B6: from 0.8 s to 30 s, each up to twice its step by jitter, however the short watches ended."""
    backoff = Backoff(USUAL, Random(seed))
    for number, (seconds, expected) in enumerate(rounds):
        step = min(USUAL.first_wait * 2**number, USUAL.longest_wait)
        wait = backoff.after(timedelta(seconds=seconds), expected=expected)
        assert step <= wait <= min(step * 2, USUAL.longest_wait)


def test_a_watch_that_ended_in_order_is_followed_at_once() -> None:
    """Watches end by themselves every five to ten minutes; nothing is missed meanwhile."""
    backoff = Backoff(USUAL, Random(1))
    assert backoff.after(HEALTHY, expected=True) == timedelta()


def test_a_healthy_watch_that_broke_is_followed_after_the_first_wait() -> None:
    """B6: when an API server restarts, all its watches break at the same moment."""
    backoff = Backoff(USUAL, Random(1))
    for _ in range(5):
        backoff.after(SHORT, expected=False)
    assert backoff.after(HEALTHY, expected=False) <= USUAL.first_wait * 2


def test_reflectors_do_not_come_back_in_step() -> None:
    """B6: jitter tells them apart."""
    waits = {Backoff(USUAL, Random(seed)).after(SHORT, expected=False) for seed in range(50)}
    assert len(waits) > 40


pytestmark = pytest.mark.looptime
Move = float | bytes | Exception
"""What a scripted watch does: it waits so many seconds, sends a line, or breaks."""


def watched_pod(version: int) -> dict[str, object]:
    """Write the watched_pod a."""
    return {"metadata": {"name": "a", "namespace": "production", "uid": "u", "resourceVersion": str(version)}}


def line(kind: str, version: int) -> bytes:
    """Write a line of a watch."""
    return orjson.dumps({"type": kind, "object": watched_pod(version)}) + b"\n"


class ScriptedServer:
    """Lists the watched_pod a, and answers each watch as the next script says, the last of them from then on."""

    def __init__(self, *watches: Iterable[Move]) -> None:
        self._watches = [tuple(each) for each in watches]
        self.asked: list[str] = []
        self.lists = 0

    async def pages(
        self, resource: Resource, read: Reader[object], _namespace: str | None, **_: object
    ) -> AsyncIterator[Page[object]]:
        self.lists += 1
        body = orjson.dumps({"metadata": {"resourceVersion": "10"}, "items": [watched_pod(1)]})
        request = Request(method="GET", path=resource.path(None))
        metadata, raw = raw_items(request, body)
        items = read(request, raw)
        yield Page(metadata=metadata, items=items, first=True)

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: timedelta | None) -> AsyncIterator[AsyncIterator[bytes]]:
        assert silence is not None
        self.asked.append(dict(request.params)["resourceVersion"])
        script = self._watches.pop(0) if len(self._watches) > 1 else self._watches[0]
        if script and isinstance(script[0], Exception):
            raise script[0]
        yield self._chunks(script, silence.total_seconds())

    async def _chunks(self, script: Iterable[Move], silence: float) -> AsyncIterator[bytes]:
        for move in script:
            if isinstance(move, Exception):
                raise move
            if isinstance(move, float):
                await asyncio.sleep(move)
            else:
                yield move
        await asyncio.sleep(silence)
        raise StreamSilent("nothing came")


@asynccontextmanager
async def watching(server: ScriptedServer) -> AsyncIterator[Reflector[Pod]]:
    """Run a reflector of pods."""
    reflector: Reflector[Pod] = Reflector(server, PODS, Pod)  # type: ignore[arg-type]
    running = asyncio.create_task(reflector.run())
    try:
        await asyncio.sleep(1)
        yield reflector
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def seen_for(reflector: Reflector[Pod], seconds: int) -> set[str]:
    """Return the problems that are seen meanwhile."""
    found = set()
    for _ in range(seconds * 2):
        found.add(reflector.problem)
        await asyncio.sleep(0.5)
    return found


async def test_a_watch_without_a_word_is_opened_anew_and_is_no_problem() -> None:
    """B3: the API server sends no bookmark of a kind that has not changed since it started."""
    server = ScriptedServer(())
    with capture_logs() as said:
        async with watching(server) as reflector:
            assert await seen_for(reflector, 1000) == {""}
            assert (reflector.gaps, server.lists, set(server.asked)) == (1, 1, {"10"})
            assert 5 <= len(server.asked) <= 8, "a dead connection is noticed"
    assert [entry for entry in said if entry["log_level"] != "debug"] == []


async def test_a_watch_with_bookmarks_each_minute_is_never_ended() -> None:
    server = ScriptedServer([move for minute in range(20) for move in (63.0, line("BOOKMARK", 20 + minute))])
    async with watching(server) as reflector:
        assert not reflector.sends_bookmarks
        assert await seen_for(reflector, 1000) == {""}
        assert (len(server.asked), reflector.sends_bookmarks) == (1, True)


async def test_changes_at_once_after_a_silence_show_that_the_watch_before_was_dead() -> None:
    """B3: a half-open connection; its changes come together, so that what was in between is not known."""
    server = ScriptedServer((), (line("MODIFIED", 11), line("MODIFIED", 12)), ())
    async with watching(server) as reflector:
        await asyncio.sleep(149.5)
        assert (server.asked[-1], reflector.gaps) == ("10", 1)
        assert "dead" in reflector.problem
        await asyncio.sleep(2)
        assert (reflector.problem, reflector.gaps) == ("", 2)


async def test_a_watch_that_goes_on_after_a_break_is_trusted_once_it_has_caught_up() -> None:
    """B6, P6: nothing is decided between the open watch and the changes that it owes."""
    server = ScriptedServer((10.0, ServerUnavailable("reset")), (1.0, line("MODIFIED", 11)))
    async with watching(server) as reflector:
        await asyncio.sleep(9.5)
        assert reflector.problem == "reset"
        while len(server.asked) < 2:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)
        assert reflector.problem == "reset"
        assert reflector.store["production", "a"].metadata.resource_version == "11"
        await asyncio.sleep(1)
        assert (reflector.problem, reflector.gaps, server.lists) == ("", 2, 1)


async def test_a_break_is_no_warning_and_a_second_one_is() -> None:
    """B6."""
    broken = ServerUnavailable("reset")
    server = ScriptedServer((10.0, broken), (), (200.0, broken), (broken,), (broken,), ())
    with capture_logs() as said:
        async with watching(server):
            await asyncio.sleep(180)
            assert [entry["log_level"] for entry in said if entry["event"] == "watch interrupted"] == ["info"]
            await asyncio.sleep(400)
    levels = [entry["log_level"] for entry in said if entry["event"] == "watch interrupted"]
    assert levels == ["info", "info", "warning"]


async def test_a_server_that_does_not_begin_to_answer_is_noticed_long_before_the_silence() -> None:
    class SlowServer(ScriptedServer):
        @asynccontextmanager
        async def stream(self, request: Request, *, silence: timedelta | None) -> AsyncIterator[AsyncIterator[bytes]]:
            await asyncio.sleep(1000)
            yield self._chunks((), 1)

    async with watching(SlowServer(())) as reflector:
        await asyncio.sleep(30)
        assert "no answer within 30 s" in reflector.problem


async def test_a_new_list_is_a_gap() -> None:
    """B1."""
    server = ScriptedServer((10.0, Gone("too old")), ())
    async with watching(server) as reflector:
        await asyncio.sleep(20)
        assert (reflector.problem, reflector.gaps, server.lists) == ("", 2, 2)


def test_the_kernel_probes_a_quiet_connection_and_gives_it_up_within_a_minute() -> None:
    """B3: before a watch counts as stale (`kube.staleAfter`)."""
    with _kept_alive((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, interval, count = (
            made.getsockopt(socket.IPPROTO_TCP, each)
            for each in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count <= 60
