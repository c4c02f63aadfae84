"""
The HTTP server: one port, a bounded number of connections, none of them kept waiting for ever.

Built by the composition root as a context; `port` tells where it listens.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from kintsugi.errors import UsageError
from kintsugi.server.routes import Gate, Handler, Route
from kintsugi.settings import ServerSettings

_SWEEP = 1.0
"""Seconds between two looks at connections that have not said anything yet."""

_LINGER = 2.0
"""Seconds for which the rest of a refused body is read and thrown away, so that its sender sees the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """A server that takes requests."""

    host: str
    port: int


class _TurnAway(asyncio.Protocol):
    """Closes a connection as soon as it is made: there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@asynccontextmanager
async def serve(settings: ServerSettings, gate: Gate, routes: tuple[Route, ...]) -> AsyncIterator[Listening]:
    """
    Serve these routes until the context is left; requests under way may then finish.

    Raises UsageError when the port cannot be had.
    """
    newcomers = _Newcomers(settings.header_timeout.total_seconds())
    runner = web.AppRunner(
        _application(gate, routes, newcomers),
        access_log=None,
        keepalive_timeout=settings.idle_timeout.total_seconds(),
        lingering_time=_LINGER,
        shutdown_timeout=settings.shutdown_timeout.total_seconds(),
    )
    await runner.setup()
    connections = runner.server
    assert connections is not None

    def accepted() -> asyncio.Protocol:
        return _TurnAway() if len(connections.connections) >= settings.max_connections else connections()

    loop = asyncio.get_running_loop()
    try:
        listener = await loop.create_server(accepted, settings.host, settings.port, backlog=settings.backlog)
    except OSError as error:
        await runner.cleanup()
        raise UsageError(f"server.port: cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error
    sweeper = asyncio.create_task(newcomers.sweep(connections), name="server-sweeper")
    try:
        host, port = listener.sockets[0].getsockname()[:2]
        yield Listening(host=host, port=port)
    finally:
        listener.close()
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        await runner.cleanup()


def _application(gate: Gate, routes: tuple[Route, ...], newcomers: "_Newcomers") -> web.Application:
    """Put every route behind the gate."""
    app = web.Application(middlewares=[newcomers.note])
    for route in routes:
        gate.add(app, route)
    return app


class _Newcomers:
    """Knows the connections that have not brought the head of a request yet, and closes them when they take too long (A15)."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._since: dict[RequestHandler, float] = {}

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note that a connection has brought the head of a request; from then on the other timeouts count."""
        self._since[request.protocol] = float("inf")
        return await handler(request)

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
