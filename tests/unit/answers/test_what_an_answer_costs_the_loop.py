"""
Whatever answers, the event loop has no more to do with it than with ten ordinary answers of 64 KiB.

Counted is the processor time of the loop's thread, not what the clock shows, and compared with an ordinary answer of the
same run: how fast or busy the machine is does not matter.
"""

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.actions.actions import Actions
from kintsugi.actions.probe_context import ProbeContext
from kintsugi.catalog import load, shipped_paths
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import KubeError, ProbeFailed, Refused
from kintsugi.kube.execution import Executed
from kintsugi.offload import MOST_ON_LOOP
from kubeobjects.resources import PODS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.answers.mutations import FUZZ, written, wrong_bytes, wrong_json
from tests.unit.answers.test_answers_to_probes import BEGUN, FINE, PREPARED, WELCOME, message
from tests.unit.answers.wire import Answering, answering

pytestmark = pytest.mark.long


SOON = timedelta(seconds=60)
HANGS = 60.0
"""Seconds after which a server that does not start ends a test."""

ORDINARY, LARGEST = 64 << 10, 1 << 20
ANNOTATION = 256 << 10
"""Bytes that Kubernetes takes as the annotations of one object."""

TIMES = 10

PATTERNS = load(shipped_paths()).patterns["postgresql"].patterns
LINE = "2026-05-04 12:00:00.123 UTC [42] LOG:  checkpoint complete: wrote 3 buffers (0.0%); 0 WAL file(s) added\n"
LOG = (8 * LINE + "10.0.0.7 GET /orders?token=5dc1b8fa&page=2 200\n") * 1000
ROWS = [{"id": number, "name": f"order-{number}", "state": "paid", "note": "none"} for number in range(1000)]
SERIES = [{"metric": {"job": "web", "pod": f"web-{number}"}, "value": [1, "0.5"]} for number in range(900)]

FILLERS = (
    *("a", "a.", "\n", "x\n", "\\", '"', ":", "é", "[", "[],", "{},", "1,"),
    *("token.", "token=", "pwd.", '"token', '"token":"x",', "token=x ", "password: x\n", "bearer xxxxxxxx\n"),
    *("x://a:", "x://a:b@", "a+a://", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "AAAAA ", "XX001 ", '"state_code"'),
    *("FATAL:\n", "PANIC: \n", "ERROR:  XX001: \n", "FATAL: .*(authentication failed\n", 'could not open file "base\n'),
)
"""What the parsers, the patterns and the redaction take for the beginning of something, again and again."""


def filled(filler: str, length: int) -> bytes:
    """Return a text of so many bytes, or a few less."""
    data = filler.encode()
    return data * (length // len(data))


class Pods(ClusterOfDicts):
    """A pod whose log and whose programs say `text`."""

    def __init__(self) -> None:
        status = {"name": "main", "containerID": "c-1", "imageID": "img", "state": {"running": {}}, "ready": True}
        super().__init__(
            (
                PODS,
                {
                    "kind": "Pod",
                    "metadata": {"name": "db-0", "namespace": "production", "uid": "u-1"},
                    "spec": {"containers": [{"name": "main"}]},
                    "status": {"phase": "Running", "containerStatuses": [status]},
                },
            )
        )
        self.text = b""

    async def execute(self, *_: object, **__: object) -> Executed:
        """Run nothing, and say it."""
        return Executed(stdout=self.text, stderr=self.text[:LARGEST], exit_code=0, truncated=False)

    async def logs(self, *_: object, **__: object) -> Any:
        """Yield the log as a socket would."""
        for at in range(0, len(self.text), 64 << 10):
            yield self.text[at : at + (64 << 10)]


@contextmanager
def elsewhere() -> Iterator[Answering]:
    """Answer from a loop in a thread of its own, whose work is not the daemon's."""
    made: list[Answering] = []
    started, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with answering() as server:
            made.append(server)
            started.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert started.wait(HANGS), "the server has not started"
        yield made[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(HANGS)
        loop.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Answering]:
    """A server that is not on the loop that is measured."""
    with elsewhere() as made:
        yield made


@pytest.fixture(autouse=True)
def no_garbage() -> Iterator[None]:
    """Leave the garbage of other tests where it is: it is not the answer's."""
    gc.disable()
    yield
    gc.enable()


class Look:
    """One way to ask; whatever is answered."""

    def __init__(self, server: Answering) -> None:
        self._server = server
        self._pods = Pods()
        clients = Clients.restricted_to(AddressRule(allow_loopback=True))
        self._actions = Actions(self._pods, clients)

    async def __call__(self, way: str, text: bytes) -> str:
        """Ask, and have `text` as the answer; a refusal is an answer, too, and is returned."""
        command, probe_context = WAYS[way]
        self._pods.text = text
        if way == "annotation":
            pod = self._pods.at(PODS, "db-0")
            pod["metadata"]["annotations"] = {"note": text[:ANNOTATION].decode(errors="replace")}
        elif way == "psql over the network":
            self._server.parts = talk(text)
        else:
            self._server.parts = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text]
        line = command.format(port=self._server.port)
        try:
            await self._actions.read(parse(line, namespace="production"), deadline=SOON, probe_context=probe_context)
        except (ProbeFailed, Refused, KubeError) as error:
            return str(error)
        return ""


def talk(text: bytes) -> Sequence[bytes]:
    """Write what a PostgreSQL server says whose answer is `text`."""
    row = message(b"D", b"\0\1" + len(text).to_bytes(4, "big") + text)
    return (FINE + WELCOME, BEGUN, PREPARED, message(b"1") + message(b"2") + row + message(b"s") + message(b"Z", b"T"))


PLAIN = ProbeContext()
WAYS = {
    "curl": ("curl http://127.0.0.1:{port}/health", PLAIN),
    "promtool": ("promtool query instant http://127.0.0.1:{port} up", PLAIN),
    "log": ("kubectl logs db-0", PLAIN),
    "scanned log": ("kubectl logs db-0", ProbeContext(patterns=PATTERNS)),
    "program": ("kubectl exec db-0 -- redis-cli INFO", PLAIN),
    "psql in a container": ("kubectl exec db-0 -- psql -c 'SELECT 1'", PLAIN),
    "psql over the network": (
        "psql -h 127.0.0.1 -p {port} -U monitor -d 'dbname=monitor sslmode=disable' -c 'SELECT 1'",
        PLAIN,
    ),
    "annotation": ("kubectl describe pod db-0", PLAIN),
}


def ordinary(way: str) -> bytes:
    """Return what 64 KiB of such an answer are, usually."""
    if way == "promtool":
        return written({"status": "success", "data": {"resultType": "vector", "result": SERIES}})
    return written(ROWS) if way.startswith(("curl", "psql")) else LOG.encode()[:ORDINARY]


async def cost(ask: Callable[[], Awaitable[object]], times: int = 1) -> float:
    """Return the processor time that the loop's thread needs for it, in seconds: the least of so many times."""
    least = float("inf")
    for _ in range(times):
        began = time.thread_time()
        await ask()
        least = min(least, time.thread_time() - began)
    return least


@FUZZ
@given(way=st.sampled_from(list(WAYS)), text=st.one_of(wrong_bytes(LOG.encode()[:ORDINARY]), wrong_json(ROWS)))
async def test_no_wrong_answer_costs_the_loop_more_than_ten_ordinary_ones(
    server: Answering, way: str, text: bytes
) -> None:
    """B16."""
    look = Look(server)
    if way not in USUAL:
        USUAL[way] = await cost(partial(look, way, ordinary(way)), times=5)
    taken = await cost(partial(look, way, text))
    if taken > TIMES * USUAL[way]:
        taken = await cost(partial(look, way, text), times=5)
    assert taken <= TIMES * USUAL[way]


USUAL: dict[str, float] = {}
"""What an ordinary answer costs, in this run."""


@pytest.mark.parametrize("way", WAYS)
async def test_no_answer_costs_the_loop_more_than_ten_ordinary_ones(server: Answering, way: str) -> None:
    """B16, E27."""
    look = Look(server)
    assert await look(way, ordinary(way)) == ""
    usual = await cost(partial(look, way, ordinary(way)), times=5)
    texts = [(filler, length) for filler in FILLERS for length in (MOST_ON_LOOP, ORDINARY)]
    texts += [(filler, LARGEST) for filler in ("\n", "token.", "[],")]
    costs = {each: await cost(partial(look, way, filled(*each))) for each in texts}
    worst = sorted(costs, key=lambda each: costs[each])[-5:]
    again = {each: await cost(partial(look, way, filled(*each)), times=5) for each in worst}
    assert max(again.values()) <= TIMES * usual, (usual, again)
