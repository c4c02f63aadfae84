"""
The HTTP port for webhooks and the API.

Built by the composition root as a context; `url` is its address.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from kintsugi.server.answers import in_json
from kintsugi.server.contract import Route
from kintsugi.server.listening import Listening, ListenOptions, listen
from kintsugi.server.routes import AuthMiddleware
from kintsugi.server.tls import Certificate
from kintsugi.settings import ServerSettings


@asynccontextmanager
async def serve(settings: ServerSettings, auth: AuthMiddleware, routes: Sequence[Route]) -> AsyncIterator[Listening]:
    """
    Serve these routes until the context is left; requests under way may then finish.

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
    certificate = certificate_of(settings)
    app = application(auth, routes)
    async with listen(options, app, tls=None if certificate is None else certificate.context) as listening:
        yield listening


def certificate_of(settings: ServerSettings) -> Certificate | None:
    """Read the certificate of the port; None where it goes in the clear. Raises UsageError."""
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return Certificate(settings.tls_certificate_file, settings.tls_key_file)


def application(auth: AuthMiddleware, routes: Sequence[Route]) -> web.Application:
    """Put every route behind the gate."""
    app = web.Application(middlewares=[in_json])
    for route in routes:
        auth.add(app, route)
    return app
