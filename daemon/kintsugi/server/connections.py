"""
Limits the connections of a port: a number in all, and no address more than half of them.

A request under way keeps its connection; an idle one goes when another needs its place. So a client that opens
connections without end takes none from others. A connection is admitted as soon as it is made, before its handshake
where there is TLS, and counts until it is closed.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable

from aiohttp.web_protocol import RequestHandler

MakeHandler = Callable[[], RequestHandler]
"""Makes what speaks HTTP on one connection."""

NextContext = Callable[[], ssl.SSLContext | None]
"""Returns the TLS context of the next connection; None where it goes in the clear."""

_MOST_KNOWN = 1000
"""Addresses that are remembered for having shown a token, the latest ones."""


class ConnectionSlots:
    """
    The places of one port, by their holders.

    Where no place is free for a new connection, the connection that has been idle longest gives up its own: of the same
    address, if that has its half; else first one of an address that has never shown a token. One that is being written
    to comes last.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = max(1, most // 2)
        self._held: dict[AdmittedConnection, str] = {}
        self._by_peer: Counter[str] = Counter()
        self._idle: dict[AdmittedConnection, None] = {}  # the longest idle first
        self._gone: set[AdmittedConnection] = set()
        self._known: dict[str, None] = {}
        self._by_handler: dict[RequestHandler, AdmittedConnection] = {}

    def take(self, connection: "AdmittedConnection", peer: str) -> bool:
        """Take a place for a connection from an address, and return whether there was one."""
        while self._by_peer[peer] >= self._share or len(self._held) >= self._most:
            idle = self._longest_idle(peer if self._by_peer[peer] >= self._share else "")
            if idle is None:
                return False
            idle.abort()
        self._held[connection] = peer
        self._by_peer[peer] += 1
        self._idle[connection] = None
        return True

    def lose(self, connection: "AdmittedConnection") -> None:
        """Note that a connection is closed: its place is free, unless a request is under way on it still."""
        if connection in self._idle:
            self._release(connection)
        elif connection in self._held:
            self._gone.add(connection)

    def begin_request(self, handler: RequestHandler) -> None:
        """Note that a request is under way on a handler's connection."""
        connection = self._by_handler.get(handler)
        if connection is not None:
            self._idle.pop(connection, None)

    def end_request(self, handler: RequestHandler, *, authenticated: bool) -> None:
        """Note that a request was answered, and whether it has shown a token."""
        connection = self._by_handler.get(handler)
        if connection is None:
            return
        if authenticated:
            self._remember(self._held[connection])
        if connection in self._gone:
            self._release(connection)
        else:
            self._idle[connection] = None

    def serve(self, handler: RequestHandler, connection: "AdmittedConnection") -> None:
        """Note which handler speaks on a connection that has a place."""
        self._by_handler[handler] = connection

    def _release(self, connection: "AdmittedConnection") -> None:
        peer = self._held.pop(connection)
        self._by_peer[peer] -= 1
        if not self._by_peer[peer]:
            del self._by_peer[peer]
        self._idle.pop(connection, None)
        self._gone.discard(connection)
        if connection.handler is not None:
            self._by_handler.pop(connection.handler, None)

    def _remember(self, peer: str) -> None:
        """Remember that an address has shown a token."""
        self._known.pop(peer, None)
        self._known[peer] = None
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def _longest_idle(self, peer: str) -> "AdmittedConnection | None":
        """Return the connection that is to go, of one address or ("") of any; None when a request is under way on each."""
        others: list[AdmittedConnection] = []
        for connection in self._idle:
            held_by = self._held[connection]
            if peer and held_by != peer:
                continue
            if not connection.is_writing and (peer or held_by not in self._known):
                return connection
            others.append(connection)
        return min(others, key=lambda connection: connection.is_writing, default=None)


class AdmittedConnection(asyncio.Protocol):
    """A connection to be admitted: turned away, or handed on to a handler, and counted until it is closed."""

    def __init__(self, slots: ConnectionSlots, make: MakeHandler) -> None:
        self._slots, self._make = slots, make
        self._transport: asyncio.Transport | None = None
        self.handler: RequestHandler | None = None
        self._early: list[bytes] = []

    @property
    def is_writing(self) -> bool:
        """Return whether the other side has not taken all yet that was written to it."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def admit(self, transport: asyncio.BaseTransport) -> bool:
        """Take a place for the peer of a connection; close it and return False when no place is free."""
        assert isinstance(transport, asyncio.Transport)
        address = transport.get_extra_info("peername")
        if not self._slots.take(self, str(address[0]) if address else ""):
            transport.close()
            return False
        self._transport = transport
        return True

    def begin(self, transport: asyncio.Transport) -> None:
        """Let a handler speak HTTP on a connection that was admitted, unless it is lost already."""
        if self._transport is None:
            return
        self._transport = transport
        self.handler = self._make()
        self._slots.serve(self.handler, self)
        self.handler.connection_made(transport)
        for data in self._early:
            self.handler.data_received(data)
        self._early = []

    def abort(self) -> None:
        """Release the place, and close the connection at once, whatever it waits for; its handler hears of it in the loop's next turn."""
        self._slots.lose(self)
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit a connection in the clear."""
        assert isinstance(transport, asyncio.Transport)
        if self.admit(transport):
            self.begin(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the place is free, and let the handler come to its end."""
        self._slots.lose(self)
        self._transport = None
        if self.handler is not None:
            self.handler.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on what came in; what comes with the end of the handshake waits until the handler is there."""
        if self.handler is not None:
            self.handler.data_received(data)
        elif self._transport is not None:
            self._early.append(data)

    def eof_received(self) -> None:
        """Hand on that no more comes; the transport closes itself."""
        if self.handler is not None:
            self.handler.eof_received()

    def pause_writing(self) -> None:
        """Hand on that the other side reads too slowly."""
        if self.handler is not None:
            self.handler.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that it has caught up."""
        if self.handler is not None:
            self.handler.resume_writing()


class Handshakes:
    """Handshakes under way; each takes a place from its first byte on, and has a time."""

    def __init__(self, within: float) -> None:
        self._within = within
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, transport: asyncio.Transport, admitted: AdmittedConnection, context: ssl.SSLContext) -> None:
        """Shake hands on an admitted connection, then let its handler begin."""
        task = asyncio.get_running_loop().create_task(self._shake(transport, admitted, context))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shake(self, transport: asyncio.Transport, admitted: AdmittedConnection, context: ssl.SSLContext) -> None:
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


class TlsConnection(asyncio.Protocol):
    """A connection that shakes hands before anything is said on it."""

    def __init__(self, admitted: AdmittedConnection, handshakes: Handshakes, context: ssl.SSLContext) -> None:
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
