"""
Opens a port with a bounded number of connections, of which none waits for ever.

Both ports of the daemon are opened here; the caller passes the application that is served. No address has more than
half of the connections. A request under way keeps its connection; an idle one goes when another needs its place, so that
a client that opens connections without end takes none from others. A connection is admitted as soon as it is made,
before its handshake where there is TLS, and counts until it is closed.
"""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from kintsugi.errors import UsageError
from kintsugi.server.answers import Handler
from kintsugi.server.authentication import IDENTITY, ApiRole
from kintsugi.telemetry import get_logger

MakeHandler = Callable[[], RequestHandler]
"""Makes what speaks HTTP on one connection."""

NextContext = Callable[[], ssl.SSLContext | None]
"""Returns the TLS context of the next connection; None where it goes in the clear."""

_MOST_KNOWN = 1000
"""Addresses that are remembered for having shown a token, the latest ones."""

log = get_logger(__name__)

_SWEEP = 1.0
"""Seconds between two looks at connections that have not said anything yet."""

_LINGER = 2.0
"""Seconds for which the rest of a refused body is thrown away as it comes, so that its sender sees the answer."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """A server that takes requests, over `scheme` (http or https)."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Return its address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenOptions:
    """The address and limits of a port; times in seconds. An error names `setting` when the port cannot be opened."""

    setting: str
    host: str
    port: int
    connections: int
    backlog: int
    header_timeout: float
    idle_timeout: float
    shutdown_timeout: float


@asynccontextmanager
async def listen(
    options: ListenOptions, app: web.Application, *, tls: NextContext | None = None
) -> AsyncIterator[Listening]:
    """
    Serve an application until the context is left; requests under way may then finish.

    Raises UsageError when the port cannot be had.
    """
    slots = ConnectionSlots(options.connections)
    idle_connections = _IdleConnections(options.header_timeout, slots)
    app.middlewares.insert(0, idle_connections.note)
    app.on_response_prepare.append(_stop_reading)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,  # it would unpack also what nobody reads, before any token is judged
        logger=_logger_of_handlers(),
        keepalive_timeout=options.idle_timeout,
        lingering_time=_LINGER,
        shutdown_timeout=options.shutdown_timeout,
    )
    await runner.setup()
    assert runner.server is not None
    handshakes = Handshakes(options.header_timeout)
    accept = partial(_accept, slots, runner.server, handshakes, tls)
    loop = asyncio.get_running_loop()
    try:
        listener = await loop.create_server(accept, options.host, options.port, backlog=options.backlog)
    except OSError as error:
        await runner.cleanup()
        where = f"{options.host}:{options.port}"
        raise UsageError(f"{options.setting}: cannot listen on {where}: {error.strerror}") from error
    sweeper = asyncio.create_task(idle_connections.sweep(runner.server), name="server-sweeper")
    try:
        host, port = listener.sockets[0].getsockname()[:2]
        yield Listening(host=host, port=port, scheme="http" if tls is None else "https")
    finally:
        listener.close()
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        await handshakes.stop()
        await runner.cleanup()


async def _stop_reading(request: web.Request, response: web.StreamResponse) -> None:
    """Let nothing be parsed any more of a body that is answered before its end: its connection takes no further request."""
    if not request.content.is_eof():
        response.headers[hdrs.CONNECTION] = "close"
        response.force_close()
        request.protocol.close()


def _logger_of_handlers() -> logging.Logger:
    logger = logging.getLogger("kintsugi.server.listening")
    if not any(isinstance(each, _NoHttp) for each in logger.filters):
        logger.addFilter(_NoHttp())
    return logger


class _NoHttp(logging.Filter):
    """Logs in a line that what came in is no HTTP: a trace would fill the log, with bytes that may hold a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let pass what is a mistake of ours."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        log.info("request is not HTTP", kind=type(error).__name__)
        return False


def _accept(
    slots: ConnectionSlots, make: MakeHandler, handshakes: Handshakes, tls: NextContext | None
) -> asyncio.Protocol:
    """Make the protocol of the next connection."""
    admitted = AdmittedConnection(slots, make)
    context: ssl.SSLContext | None = tls() if tls is not None else None
    return admitted if context is None else TlsConnection(admitted, handshakes, context)


class _IdleConnections:
    """Knows the connections that have not brought the head of a request yet, and closes them when they take too long (A15)."""

    def __init__(self, timeout: float, slots: ConnectionSlots) -> None:
        self._timeout = timeout
        self._slots = slots
        self._since: dict[RequestHandler, float] = {}

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note that a connection has brought the head of a request: the other timeouts count from then on, and its place is kept."""
        connection = request.protocol
        self._since[connection] = float("inf")
        self._slots.begin_request(connection)
        try:
            return await handler(request)
        finally:
            identity = request.get(IDENTITY)
            authenticated = identity is not None and identity.role is not ApiRole.NOBODY
            self._slots.end_request(connection, authenticated=authenticated)

    async def sweep(self, server: web.Server) -> None:
        """Look again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_SWEEP, self._timeout / 4))
            now = loop.time()
            self._since = {connection: self._since.get(connection, now) for connection in server.connections}
            for connection, since in self._since.items():
                if now - since > self._timeout:
                    connection.force_close()
