"""
Opens a port with a bounded number of connections, of which none waits for ever.

Both ports of the daemon are opened here; the caller passes the application that is served.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from kintsugi.errors import UsageError
from kintsugi.server.authentication import IDENTITY, ApiRole
from kintsugi.server.connections import (
    AdmittedConnection,
    ConnectionSlots,
    Handshakes,
    MakeHandler,
    NextContext,
    TlsConnection,
)
from kintsugi.server.contract import Handler
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

_SWEEP = 1.0
"""Seconds between two looks at connections that have not said anything yet."""

_LINGER = 2.0
"""Seconds for which the rest of a refused body is thrown away as it comes, so that its sender sees the answer."""


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
    """
    The address and limits of a port; times in seconds. `setting` is the setting that an error names when the port
    cannot be opened.
    """

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
    """Return what the handlers of connections log to."""
    logger = logging.getLogger("kintsugi.server.connections")
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
