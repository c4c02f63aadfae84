"""
Who may hold a connection: so many in all, and no address more than half of them.

Whoever opens connections without end takes none from others. A connection is admitted as soon as it is made, before its
handshake where there is TLS, and counts until it is closed.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable

from aiohttp.web_protocol import RequestHandler

MakeHandler = Callable[[], RequestHandler | None]
"""Makes what speaks HTTP on one connection; None when there is no room for it."""

NextContext = Callable[[], ssl.SSLContext | None]
"""Returns the TLS context of the next connection; None where it goes in the clear."""


class ConnectionSlots:
    """The places of one port, counted by who holds them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = max(1, most // 2)
        self._held: Counter[str] = Counter()
        self._total = 0

    def take(self, peer: str) -> bool:
        """Take a place for a peer's address, and return whether there was one for it."""
        if self._total >= self._most or self._held[peer] >= self._share:
            return False
        self._held[peer] += 1
        self._total += 1
        return True

    def give_back(self, peer: str) -> None:
        """Release a place that was taken for this address."""
        self._total -= 1
        self._held[peer] -= 1
        if not self._held[peer]:
            del self._held[peer]


class Admitted(asyncio.Protocol):
    """A connection to be admitted: turned away, or handed on to a handler, and counted until it is closed."""

    def __init__(self, slots: ConnectionSlots, make: MakeHandler) -> None:
        self._slots, self._make = slots, make
        self._peer: str | None = None
        self._handler: RequestHandler | None = None
        self._early: list[bytes] = []

    def admit(self, transport: asyncio.BaseTransport) -> bool:
        """Take a place for the peer of a connection; close it and return False when there is none."""
        address = transport.get_extra_info("peername")
        peer = str(address[0]) if address else ""
        if not self._slots.take(peer):
            transport.close()
            return False
        self._peer = peer
        return True

    def begin(self, transport: asyncio.BaseTransport) -> None:
        """Let a handler speak HTTP on a connection that was admitted, unless it is lost already."""
        if self._peer is None:
            return
        handler = self._make()
        if handler is None:
            transport.close()
            return
        self._handler = handler
        handler.connection_made(transport)
        for data in self._early:
            handler.data_received(data)
        self._early = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit a connection in the clear."""
        if self.admit(transport):
            self.begin(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the place, once."""
        if self._peer is not None:
            self._slots.give_back(self._peer)
            self._peer = None
        if self._handler is not None:
            self._handler.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on what came in; what comes with the end of the handshake waits until the handler is there."""
        if self._handler is not None:
            self._handler.data_received(data)
        else:
            self._early.append(data)

    def eof_received(self) -> None:
        """Hand on that no more comes; the transport closes itself."""
        if self._handler is not None:
            self._handler.eof_received()

    def pause_writing(self) -> None:
        """Hand on that the other side reads too slowly."""
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that it has caught up."""
        if self._handler is not None:
            self._handler.resume_writing()


class Handshakes:
    """Handshakes under way; each takes a place from its first byte on, and has a time."""

    def __init__(self, within: float) -> None:
        self._within = within
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, transport: asyncio.Transport, admitted: Admitted, context: ssl.SSLContext) -> None:
        """Shake hands on an admitted connection, then let its handler begin."""
        task = asyncio.get_running_loop().create_task(self._shake(transport, admitted, context))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shake(self, transport: asyncio.Transport, admitted: Admitted, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                transport, admitted, context, server_side=True, ssl_handshake_timeout=self._within
            )
        except (OSError, asyncio.CancelledError):
            # A peer that speaks no TLS, breaks off or takes too long has done no harm to anybody else.
            transport.abort()
            admitted.connection_lost(None)
            return
        if secured is None:
            admitted.connection_lost(None)
            return
        admitted.begin(secured)

    async def stop(self) -> None:
        """End those that are under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Secured(asyncio.Protocol):
    """A connection that shakes hands before anything is said on it."""

    def __init__(self, admitted: Admitted, handshakes: Handshakes, context: ssl.SSLContext) -> None:
        self._admitted, self._handshakes, self._context = admitted, handshakes, context

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, and read nothing of it before the handshake does."""
        assert isinstance(transport, asyncio.Transport)
        if self._admitted.admit(transport):
            transport.pause_reading()
            self._handshakes.begin(transport, self._admitted, self._context)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the place of a connection that is lost before its handshake begins."""
        self._admitted.connection_lost(exc)
