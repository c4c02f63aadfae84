"""
The two ports, which the composition root opens as contexts: one for webhooks and the API, one for health and metrics.

The port for the kubelet and Prometheus is on a thread and an event loop of its own. It shares nothing with the other
port: neither its connections nor the loop that a mistake may block.

The certificate of the port for webhooks is read anew when its files change: cert-manager and a mounted Secret change
them, and the next connection has the new certificate. Connections that are open keep theirs.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from aiohttp import web

from kintsugi.errors import UsageError
from kintsugi.server.answers import in_json
from kintsugi.server.health import Health
from kintsugi.server.listening import Listening, ListenOptions, listen
from kintsugi.server.openapi import Route
from kintsugi.server.routes import AuthMiddleware, health_routes
from kintsugi.settings import HealthSettings, ServerSettings
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]
"""One version of both files: when each was changed, which one it is, how long."""

_HEADER_TIMEOUT = 10.0
_IDLE_TIMEOUT = 75.0
_SHUTDOWN_TIMEOUT = 1.0
"""Seconds; a probe is answered at once, and the end of the daemon waits for no probe."""

_JOIN_TIMEOUT = 5.0
"""Seconds for the thread to end; it does not keep the process."""


@asynccontextmanager
async def serve(
    settings: ServerSettings, auth: AuthMiddleware, routes: Sequence[Route], pages: Sequence[web.RouteDef] = ()
) -> AsyncIterator[Listening]:
    """
    Serve these routes, and pages that have a gate of their own, until the context is left; requests under way may then finish.

    Raises UsageError when the port cannot be had, or its certificate cannot be used.
    """
    options = ListenOptions(
        setting="server.port",
        host=settings.host,
        port=settings.port,
        connections=settings.max_connections,
        backlog=settings.backlog,
        header_timeout=settings.header_timeout.total_seconds(),
        idle_timeout=settings.idle_timeout.total_seconds(),
        shutdown_timeout=settings.shutdown_timeout.total_seconds(),
    )
    certificate = None
    if settings.tls_certificate_file is not None and settings.tls_key_file is not None:
        certificate = Certificate(settings.tls_certificate_file, settings.tls_key_file)
    app = application(auth, routes)
    app.add_routes(pages)
    async with listen(options, app, tls=None if certificate is None else certificate.context) as listening:
        yield listening


def application(auth: AuthMiddleware, routes: Sequence[Route]) -> web.Application:
    """Put every route behind the gate."""
    app = web.Application(middlewares=[in_json])
    for route in routes:
        auth.add(app, route)
    return app


class Certificate:
    """A certificate with its key; the last that could be used stays in use."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both files. Raises UsageError when they make no certificate."""
        self._certificate, self._key = certificate, key
        try:
            self._stamp = self._stat()
            self._context = self._read()
        except OSError as error:
            raise UsageError(f"server.tlsCertificateFile: {certificate} with {key}: {_in_words(error)}") from error

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection, from the files as they are now."""
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp
                self._context = self._read()
                log.info("certificate reloaded", file=str(self._certificate))
        except OSError as error:
            # Both files may be in the middle of being replaced: their stamp changes once more then.
            log.warning("certificate cannot be used, the last one stays", file=str(self._certificate), error=str(error))
        return self._context

    def _stat(self) -> Stamp:
        """Return the stamp by which a new version of the files is noticed. Raises OSError."""
        found = (path.stat() for path in (self._certificate, self._key))
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)

    def _read(self) -> ssl.SSLContext:
        """Make a context of the files. Raises OSError, of which ssl.SSLError is one."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # with a password, OpenSSL asks for none on a terminal
        context.load_cert_chain(self._certificate, self._key, password=lambda: "")
        return context


def _in_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"they are no certificate with its key, without a passphrase, in PEM ({error.reason or error})"
    return error.strerror or str(error)


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
