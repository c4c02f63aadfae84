"""Servers that answer with whatever bytes an example holds, whatever they are asked."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from kintsugi.errors import KubeError, ProbeFailed, Refused
from kintsugi.kube.api_errors import Request

TIMEOUT = 60
"""Seconds after which a connection that does not end is taken for one that nobody closes."""


@dataclass
class Answering:
    """
    A TCP server. Of its `parts` one is sent after each piece that the other side has sent, then it hangs up.

    `first` is sent at once, before anything was asked.
    """

    port: int = 0
    first: bytes = b""
    parts: Sequence[bytes] = ()
    talks: set[asyncio.Task[None]] = field(default_factory=set)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.talks.add(task)
        try:
            writer.write(self.first)
            for part in self.parts:
                if not await reader.read(65536):
                    break
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            pass  # the other side has heard enough
        finally:
            writer.close()
            self.talks.discard(task)

    async def silent(self) -> None:
        """Wait until nobody is talked to: the other side has hung up, too."""
        if self.talks:
            _, going_on = await asyncio.wait(set(self.talks), timeout=TIMEOUT)
            assert not going_on, f"{len(going_on)} connections are kept open by whoever made them"


def http_answer(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    """Write an answer over HTTP with its head."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n%s" % (status, len(body), more, body)


class BodyTransport:
    """A transport that answers every request with `body`, and every watch with `lines`."""

    def __init__(self, body: bytes, lines: bytes = b"") -> None:
        self._body, self._lines = body, lines

    async def send(self, _request: Request, *, total: timedelta | None = None) -> bytes:
        return self._body

    @asynccontextmanager
    async def stream(self, _request: Request, *, silence: timedelta | None) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            yield self._lines

        yield chunks()


@asynccontextmanager
async def answering(made: Answering) -> AsyncIterator[Answering]:
    """Let a server listen on a port of this machine."""
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0, limit=1 << 20)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in made.talks:
            task.cancel()
        await asyncio.gather(*made.talks, return_exceptions=True)


class Replies(asyncio.DatagramProtocol):
    """A UDP server that answers with `reply`, under the number of the question."""

    def __init__(self) -> None:
        self.reply = b""
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(data[:2] + self.reply[2:], addr)


@asynccontextmanager
async def replying() -> AsyncIterator[tuple[Replies, int]]:
    """Listen on a UDP port of this machine."""
    replies = Replies()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: replies, local_addr=("127.0.0.1", 0)
    )
    try:
        yield replies, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@contextmanager
def refused_by_name(*names: str) -> Iterator[None]:
    """Let the body refuse, as long as it names who was asked in one of these ways; anything else that it raises fails."""
    try:
        yield
    except (ProbeFailed, Refused, KubeError) as error:
        if not any(name in str(error) for name in names):
            raise AssertionError(f"none of {names} is named: {error}") from error
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"it is no refusal: {error!r}") from error
