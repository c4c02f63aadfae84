"""
Every route with the right that it needs, and the one way to a handler.

Nothing is served that is not in this table; `guarded` asks for the right before a handler, and before any body is read.
"""

from collections.abc import Sequence

import msgspec
from aiohttp import hdrs, web

from kintsugi.errors import KintsugiError
from kintsugi.server import contracts
from kintsugi.server.answers import failure, refusal
from kintsugi.server.api import Api
from kintsugi.server.authentication import IDENTITY, Action, ApiRole, Authenticator, may
from kintsugi.server.bodies import BodyError
from kintsugi.server.contract import JSON, Handler, Route
from kintsugi.server.health import Health
from kintsugi.server.openapi import document
from kintsugi.server.webhook import WebhookHandler
from kintsugi.telemetry import Metrics, get_logger

log = get_logger(__name__)


def all_routes(webhook: WebhookHandler, api: Api) -> tuple[Route, ...]:
    """List every route of the port for webhooks and people."""
    return (
        Route("POST", "/alertmanager", Action.DELIVER, webhook.receive, contracts.DELIVER),
        Route("GET", "/api/v1/incidents", Action.READ, api.incidents, contracts.INCIDENTS),
        Route("GET", "/api/v1/incidents/{id}", Action.READ, api.incident, contracts.INCIDENT),
        Route("GET", "/api/v1/signals", Action.READ, api.signals, contracts.SIGNALS_LIST),
        Route("GET", "/api/v1/dead-letters", Action.READ, api.dead_letters, contracts.DEAD_LETTERS),
        Route("POST", "/api/v1/dead-letters/{id}/resend", Action.RESEND, api.resend, contracts.RESEND),
        Route("POST", "/api/v1/incidents/{id}/approve", Action.APPROVE, api.approve, contracts.APPROVE),
        Route("POST", "/api/v1/incidents/{id}/reject", Action.REJECT, api.reject, contracts.REJECT),
        Route("POST", "/api/v1/incidents/{id}/abort", Action.ABORT, api.abort, contracts.ABORT),
        Route("POST", "/api/v1/incidents/{id}/rollback", Action.ROLL_BACK, api.roll_back, contracts.ROLL_BACK),
        Route("GET", "/api/v1/pauses", Action.READ, api.pauses, contracts.PAUSES),
        Route("POST", "/api/v1/pauses", Action.PAUSE, api.pause, contracts.PAUSE),
        Route("DELETE", "/api/v1/pauses/{id}", Action.PAUSE, api.resume, contracts.RESUME),
        Route("GET", "/api/v1/readiness", Action.READ, api.readiness, contracts.READINESS),
        Route("GET", "/api/v1/services", Action.READ, api.services, contracts.SERVICES),
        Route("GET", "/api/v1/services/{name}", Action.READ, api.explain_service, contracts.EXPLAIN_SERVICE),
        Route("GET", "/api/v1/services/{name}/manifest", Action.RECOVER, api.manifest, contracts.MANIFEST),
        Route("POST", "/api/v1/services/{name}/drill", Action.DRILL, api.drill, contracts.DRILL),
        Route("POST", "/api/v1/runbooks/{name}/recover", Action.RECOVER, api.recover, contracts.RECOVER),
        Route("GET", "/api/v1/diagnosis/{namespace}/{type}/{name}", Action.READ, api.diagnosis, contracts.DIAGNOSIS),
        Route("GET", "/api/v1/explain", Action.READ, api.explain_object, contracts.EXPLAIN_OBJECT),
        Route("POST", "/api/v1/explain", Action.READ, api.explain_alert, contracts.EXPLAIN_ALERT),
    )


def health_routes(health: Health) -> tuple[Route, ...]:
    """List every route of the port for the kubelet and Prometheus; no right is checked before them."""
    return (
        Route("GET", "/healthz", Action.DESCRIBE, health.alive, contracts.ALIVE),
        Route("GET", "/readyz", Action.DESCRIBE, health.ready, contracts.READY),
        Route("GET", "/metrics", Action.DESCRIBE, health.metrics, contracts.METRICS),
    )


def documented(server: Sequence[Route], health: Sequence[Route]) -> tuple[Route, ...]:
    """Add the route that serves the document of them all, its own among them."""
    written = b""

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=written, content_type=JSON)

    routes = (*server, Route("GET", "/openapi.json", Action.DESCRIBE, show, contracts.DOCUMENT))
    written = msgspec.json.format(msgspec.json.encode(document(routes, health)), indent=2) + b"\n"
    return routes


class AuthMiddleware:
    """Checks the right before every handler."""

    def __init__(self, authentication: Authenticator, metrics: Metrics) -> None:
        self._authentication, self._metrics = authentication, metrics

    def add(self, app: web.Application, route: Route) -> None:
        """Put a route behind the gate."""
        app.router.add_route(route.method, route.path, self.guarded(route), expect_handler=self._expect(route.action))

    def guarded(self, route: Route) -> Handler:
        """Wrap a handler: who asks is known and may, and our errors become answers."""

        async def handle(request: web.Request) -> web.StreamResponse:
            refused = self._refused(request, route.action)
            if refused is not None:
                return refused
            try:
                return await route.handler(request)
            except BodyError as error:
                return refusal(error.status, str(error))
            except KintsugiError as error:
                return failure(error)

        return handle

    def _expect(self, action: Action) -> Handler:
        """Invite a body (`Expect: 100-continue`) only from those who may send it (A8)."""

        async def expect(request: web.Request) -> web.StreamResponse | None:
            refused = self._refused(request, action)
            if refused is None and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0
            return refused

        return expect  # type: ignore[return-value]  # aiohttp takes None for "go on"

    def _refused(self, request: web.Request, action: Action) -> web.Response | None:
        """Return the refusal, None for who may."""
        identity = self._authentication.identify(request.headers.getall(hdrs.AUTHORIZATION, ()))
        if may(identity.role, action):
            request[IDENTITY] = identity
            return None
        status = 401 if identity.role is ApiRole.NOBODY else 403
        if action is Action.DELIVER:
            self._metrics.webhook_answers.labels(str(status)).inc()
        log.warning("request refused", path=request.path, status=status, role=identity.role, peer=request.remote)
        return refusal(status, f"{identity.role} may not {action}: send a token that may")
