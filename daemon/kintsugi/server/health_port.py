"""
The port for the kubelet and Prometheus, on a thread and an event loop of its own.

It shares nothing with the other port: neither its connections nor the loop that a mistake may block.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Thread

from aiohttp import web

from kintsugi.server.answers import in_json
from kintsugi.server.health import Health
from kintsugi.server.listening import Listening, ListenOptions, listen
from kintsugi.server.routes import health_routes
from kintsugi.settings import HealthSettings

_HEADER_TIMEOUT = 10.0
_IDLE_TIMEOUT = 75.0
_SHUTDOWN_TIMEOUT = 1.0
"""Seconds; a probe is answered at once, and the end of the daemon waits for no probe."""

_JOIN_TIMEOUT = 5.0
"""Seconds for the thread to end; it does not keep the process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opened:
    """A port that is open, with the loop and the event by which its thread is made to close it."""

    listening: Listening
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


@asynccontextmanager
async def serve_health(settings: HealthSettings, health: Health) -> AsyncIterator[Listening]:
    """
    Serve health and metrics from a thread of its own until the context is left.

    Raises UsageError when the port cannot be had.
    """
    opened: Future[_Opened] = Future()
    # A daemon thread: what stands still must not keep the process from ending.
    thread = Thread(target=_live, args=(settings, health, opened), name="health", daemon=True)
    thread.start()
    port = await asyncio.wrap_future(opened)
    try:
        yield port.listening
    finally:
        port.loop.call_soon_threadsafe(port.stop.set)
        await asyncio.to_thread(thread.join, _JOIN_TIMEOUT)


def _live(settings: HealthSettings, health: Health, opened: "Future[_Opened]") -> None:
    """Be the thread."""
    try:
        asyncio.run(_serve(settings, health, opened))
    except BaseException as error:
        # Contained is nothing: who waits for the port to be open raises it; once it is open there is nobody to tell.
        if opened.done():
            raise
        opened.set_exception(error)


async def _serve(settings: HealthSettings, health: Health, opened: "Future[_Opened]") -> None:
    """Open the port, report that, and serve until `stop` is set."""
    options = ListenOptions(
        setting="health.port",
        host=settings.host,
        port=settings.port,
        connections=settings.max_connections,
        backlog=settings.max_connections,
        header_timeout=_HEADER_TIMEOUT,
        idle_timeout=_IDLE_TIMEOUT,
        shutdown_timeout=_SHUTDOWN_TIMEOUT,
    )
    app, stop = web.Application(middlewares=[in_json]), asyncio.Event()
    for route in health_routes(health):
        app.router.add_route(route.method, route.path, route.handler)
    async with listen(options, app) as listening:
        opened.set_result(_Opened(listening=listening, loop=asyncio.get_running_loop(), stop=stop))
        await stop.wait()
