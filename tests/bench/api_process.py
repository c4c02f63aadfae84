"""
An API server that does nothing but list and stream, in a process of its own: it must not be what is measured.

`python -m tests.bench.api_process SERVICES PODS` prints its port and serves until it is killed. Everything that it
says is encoded before; the bench tells it over HTTP, at `/bench/…`, when to stream and asks what it saw.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import cycle, islice
from urllib.parse import parse_qsl, urlsplit

import orjson

from tests.bench import catalogs
from tests.bench.pods import Json, deployment, pods
from tests.bench.process import ListeningProcess, processor_seconds, started

_BOOKMARK_EVERY = 10.0
_FIRST = 1_000_000
"""The resourceVersion of every list."""

_TOGETHER = 32
"""Events written at once, each still a chunk of its own."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request, read."""

    method: str
    path: str
    query: dict[str, str]

    @property
    def kind(self) -> str:
        """Return the plural of what is asked for."""
        return self.path.rpartition("/")[2]


@dataclass(kw_only=True)
class PodWatch:
    """The newest watch of pods: who listens, from which version, and how long the list before it took."""

    writer: asyncio.StreamWriter
    version: int
    first_sync: float
    over: asyncio.Event = field(default_factory=asyncio.Event)


class FakeApiServer:
    """Answers lists and watches, and the bench."""

    def __init__(self, services: int, count: int) -> None:
        self._services = catalogs.services(services)
        self._pods = pods(self._services, count)
        replicas = max(1, count // services)
        self._deployments = [deployment(each, replicas) for each in self._services]
        self._asked = 0.0
        self._version = _FIRST
        self._watch: asyncio.Future[PodWatch] = asyncio.get_running_loop().create_future()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        try:
            while True:
                ask = await _read(reader)
                if ask.path.startswith("/bench/"):
                    _answer(writer, orjson.dumps(await self._bench(ask)))
                elif ask.query.get("watch"):
                    await self._watching(ask, writer)
                    return
                else:
                    _answer(writer, self._list(ask))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _list(self, ask: Ask) -> bytes:
        items: list[bytes] = []
        more = ""
        if ask.kind == "pods":
            start = int(ask.query.get("continue", "0"))
            end = start + int(ask.query.get("limit", len(self._pods)))
            self._asked = time.perf_counter() if start == 0 else self._asked
            more = str(end) if end < len(self._pods) else ""
            items = [pod.at(self._version) for pod in self._pods[start:end]]
        elif ask.kind == "deployments":
            items = [orjson.dumps(each) for each in self._deployments]
        metadata = orjson.dumps({"resourceVersion": str(self._version), "continue": more})
        return b'{"kind":"List","apiVersion":"v1","metadata":%b,"items":[%b]}' % (metadata, b",".join(items))

    async def _watching(self, ask: Ask, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        if ask.kind != "pods":
            await _keep_quiet(writer)
        if self._watch.done():
            self._watch = asyncio.get_running_loop().create_future()
        version = int(ask.query.get("resourceVersion", "0"))
        watch = PodWatch(writer=writer, version=version, first_sync=time.perf_counter() - self._asked)
        self._watch.set_result(watch)
        await watch.over.wait()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _bench(self, ask: Ask) -> Json:
        watch = await self._watch
        if ask.kind == "synced":
            return {"seconds": watch.first_sync, "version": watch.version}
        if ask.kind == "end":
            self._watch = asyncio.get_running_loop().create_future()
            watch.over.set()
            return {"sent": self._version, "seen": (await self._watch).version}
        numbers = {name: int(value) for name, value in ask.query.items()}
        return await self._stream(watch, numbers["lead"], numbers["events"], numbers["process"])

    async def _stream(self, watch: PodWatch, lead: int, events: int, process: int) -> Json:
        """Fill every buffer on the way with `lead` events, then measure how fast `events` are taken."""
        news = self._news()
        await _write(watch.writer, islice(news, lead))
        spent, began = processor_seconds(process), time.perf_counter()
        await _write(watch.writer, islice(news, events))
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "processor": processor_seconds(process) - spent}

    def _news(self) -> Iterator[bytes]:
        for pod in cycle(self._pods):
            self._version += 1
            yield pod.event(self._version)


async def _read(reader: asyncio.StreamReader) -> Ask:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or 0))
    method, address, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    parts = urlsplit(address)
    return Ask(method=method, path=parts.path, query=dict(parse_qsl(parts.query)))


def _answer(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def _write(writer: asyncio.StreamWriter, events: Iterator[bytes]) -> None:
    while some := b"".join(islice(events, _TOGETHER)):
        writer.write(some)
        await writer.drain()


async def _keep_quiet(writer: asyncio.StreamWriter) -> None:
    """Stream nothing but bookmarks: of kinds that this cluster has none of."""
    line = orjson.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(_FIRST)}}}) + b"\n"
    while True:
        writer.write(b"%x\r\n%b\r\n" % (len(line), line))
        await writer.drain()
        await asyncio.sleep(_BOOKMARK_EVERY)


def api_process(services: int, count: int) -> AbstractContextManager[ListeningProcess]:
    """Start one and wait until it listens; it is killed at the end."""
    return started("tests.bench.api_process", str(services), str(count))


async def _serve(services: int, count: int) -> None:
    api = FakeApiServer(services, count)
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
