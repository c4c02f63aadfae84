"""
Every route with its contract and the right that it needs, and the one way to a handler.

The limits in a contract are those of the handlers, and a test sends values just within and just beyond them. Nothing is
served that is not in this table; `guarded` asks for the right before a handler, and before any body is read.
"""

from collections.abc import Sequence

import msgspec
from aiohttp import hdrs, web

from kintsugi.errors import KintsugiError
from kintsugi.model.api_types import (
    SIGNALS,
    AbortResult,
    DeadLetterResendResult,
    Explanation,
    IncidentDetail,
    RecoverPreview,
    RollbackPreview,
    RouteTest,
    ServiceExplanation,
    ServiceTree,
    TakeResult,
)
from kintsugi.model.questions import Answer, Question
from kintsugi.model.records import Incident, Pause, PauseScope, Reason, VerdictKind
from kintsugi.server import api, responses
from kintsugi.server.answers import Handler, failure, refusal
from kintsugi.server.api import Api
from kintsugi.server.authentication import IDENTITY, Action, ApiRole, Authenticator, may
from kintsugi.server.bodies import BodyError
from kintsugi.server.health import Alive, Health, Ready
from kintsugi.server.openapi import (
    JSON,
    Contract,
    OtherContent,
    RequestBody,
    Route,
    document,
    flag,
    number,
    text,
    word,
)
from kintsugi.server.webhook import WebhookHandler
from kintsugi.telemetry import Metrics, get_logger
from kubediagnosis.causes import Diagnosis

_LIMIT = number("limit", "Maximum number of results.", least=1, most=api.MOST, default=api.PAGE)
_BEFORE = text("before", "The id of the last result of a page; returns the next page.")
_SKIP = number("skip", "Number of signals to skip.", least=0, most=api.MOST_SKIPPED, default=0)
_SIGNALS = number("signals", "Number of signals to show.", least=1, most=api.MOST, default=SIGNALS)
_ANY_OBJECT = OtherContent(content_type=JSON, schema={"type": "object"})
_POD = text("pod", "The pod, as NAMESPACE/NAME.", pattern=f"^{api.NAMESPACED}$", required=True)

_VISIBLE = r"[^\s\x1c-\x1f]"
"""The pattern of a character that every reason must have: one that is no blank, by the rules of Python."""

_ONE_THING = {
    "anyOf": [
        {"properties": {"scope": {"const": PauseScope.GLOBAL.value}, "name": {"const": ""}}},
        {
            "properties": {
                "scope": {"enum": [PauseScope.NAMESPACE.value, PauseScope.RULE.value, PauseScope.SERVICE.value]},
                "name": {"minLength": 1},
            },
            "required": ["name"],
        },
    ]
}
"""A pause of everything names nothing, any other one names what it is of."""

_AS_SHOWN = {
    "anyOf": [
        {"properties": {"confirm": {"const": False}}},
        {"properties": {"digest": {"minLength": 1}}, "required": ["digest"]},
    ]
}
"""A rollback, or a start by hand, is confirmed by the digest of what was shown."""

_WITH_REASON = {
    "anyOf": [
        {"properties": {"answer": {"enum": [each.value for each in Answer if not each.needs_reason]}}},
        {"properties": {"why": {"pattern": _VISIBLE}}, "required": ["why"]},
    ]
}
"""A no, and a manual step that failed or does not apply, come with a reason."""

_CHANGES = (400, 404, 409, 413, 415, 502, 503)
"""The statuses of a refused change: invalid, not found, an objection, too large, compressed, no cluster or no ledger."""

DELIVER = Contract(
    summary="Take a delivery of Alertmanager (webhook, version 4)",
    answers={200: responses.DeliveryResponse},
    errors=(400, 413, 415, 503),
    body=RequestBody(
        rules={
            "type": "object",
            "required": ["version", "alerts"],
            "properties": {
                "version": {"const": "4"},
                "alerts": {
                    "type": "array",
                    "description": "Each alert is read independently; an alert that cannot be understood is kept as a dead letter.",
                },
                "truncatedAlerts": {"type": "integer"},
            },
        }
    ),
)
INCIDENTS = Contract(
    summary="List incidents, the newest first",
    answers={200: responses.IncidentList},
    errors=(400, 503),
    query=(
        _LIMIT,
        text("service", "Only incidents of this service."),
        flag("open", "Only incidents that are not closed."),
    ),
)
INCIDENT = Contract(
    summary="Show one incident with runs, steps, undo texts, evidence, questions, and a page of its signals",
    answers={200: IncidentDetail},
    errors=(400, 404, 503),
    query=(_SIGNALS, _SKIP),
)
SIGNALS_LIST = Contract(
    summary="List signals with their verdicts, the newest first",
    answers={200: responses.SignalList},
    errors=(400, 404, 503),
    query=(
        word("verdict", "Only signals with this verdict.", VerdictKind),
        word("reason", "Only signals with this reason.", Reason),
        _LIMIT,
        _BEFORE,
    ),
)
DEAD_LETTERS = Contract(
    summary="List dead letters (input that could not be understood), the newest first",
    answers={200: responses.DeadLetterList},
    errors=(400, 404, 503),
    query=(_LIMIT, _BEFORE),
)
RESEND = Contract(
    summary="Resend a dead letter",
    answers={200: DeadLetterResendResult},
    errors=_CHANGES,
    body=RequestBody(kind=api.ResendBody, required=False),
)
ANSWER = Contract(
    summary="Answer a question about the plan that was shown",
    answers={200: Question},
    errors=_CHANGES,
    body=RequestBody(kind=api.AnswerBody, rules={"properties": {"plan": {"minLength": 1}}, **_WITH_REASON}),
)
ABORT = Contract(
    summary="Abort an incident: no further step is taken, and nothing is undone",
    answers={202: AbortResult},
    errors=_CHANGES,
    body=RequestBody(kind=api.AbortBody, rules={"properties": {"why": {"pattern": _VISIBLE}}}),
)
TAKE = Contract(
    summary="Take an incident: no further step, and no run on its service until it is given back",
    answers={202: TakeResult},
    errors=_CHANGES,
    body=RequestBody(kind=api.TakeBody, required=False),
)
TEST_ROUTE = Contract(
    summary="Send a test to each destination of a notice route", answers={200: RouteTest}, errors=_CHANGES
)
ROLL_BACK = Contract(
    summary="Undo a run; without `confirm`, preview the rollback",
    answers={200: RollbackPreview, 202: RollbackPreview},
    errors=_CHANGES,
    body=RequestBody(kind=api.RollBackBody, rules=_AS_SHOWN, required=False),
)
PAUSES = Contract(summary="List the active pauses", answers={200: responses.PauseList}, errors=(503,))
PAUSE = Contract(
    summary="Create a pause",
    answers={201: Pause},
    errors=_CHANGES,
    body=RequestBody(
        kind=api.PauseBody,
        rules={
            "properties": {
                "why": {"pattern": _VISIBLE},
                "minutes": {"exclusiveMinimum": 0, "maximum": api.LONGEST_PAUSE},
            },
            **_ONE_THING,
        },
    ),
)
RESUME = Contract(
    summary="Lift a pause; with the id of an incident, give it back, or end the rest of its service after the hand-over",
    answers={200: Pause},
    errors=_CHANGES,
    body=RequestBody(kind=api.ResumeBody, required=False),
)
READINESS = Contract(
    summary="List the parts that the daemon waits for, with reasons",
    answers={200: responses.ReadinessDetail},
    errors=(503,),
)
SERVICES = Contract(summary="List the services and their health", answers={200: ServiceTree}, errors=(503,))
EXPLAIN_SERVICE = Contract(
    summary="Explain a service: its values and rules, and the source of each",
    answers={200: ServiceExplanation},
    errors=(404, 503),
)
MANIFEST = Contract(
    summary="Return the workload of a service as it was last good, as `kubectl apply` takes it, with its secret values",
    answers={200: _ANY_OBJECT},
    errors=(404, 409, 503),
)
DRILL = Contract(
    summary="Start a drill of a service's backups",
    answers={202: Incident},
    errors=_CHANGES,
    body=RequestBody(kind=api.DrillBody, required=False),
)
RECOVER = Contract(
    summary="Start a runbook by hand; without `confirm`, show its plan and the results of the guards",
    answers={200: RecoverPreview, 202: RecoverPreview},
    errors=(*_CHANGES, 422),
    body=RequestBody(
        kind=api.RecoverBody,
        rules={"properties": {"why": {"pattern": _VISIBLE}, "key": {"maxLength": api.LONGEST_KEY}}, **_AS_SHOWN},
    ),
)
DIAGNOSIS = Contract(
    summary="Diagnose a workload now: causes with evidence, the likeliest first",
    answers={200: Diagnosis},
    errors=(404, 502),
)
EXPLAIN_OBJECT = Contract(
    summary="Explain the verdict that a pod would get now",
    answers={200: Explanation},
    errors=(400, 502, 503),
    query=(_POD,),
)
EXPLAIN_ALERT = Contract(
    summary="Explain the verdict that an alert would get now, read as the webhook would read the alert",
    answers={200: Explanation},
    errors=(400, 413, 415, 502, 503),
    body=RequestBody(kind=api.AlertBody, rules={"properties": {"labels": {"minProperties": 1}}}),
)
DOCUMENT = Contract(summary="Show this document", answers={200: _ANY_OBJECT})

ALIVE = Contract(summary="Report whether the event loop is running", answers={200: Alive, 503: Alive})
READY = Contract(
    summary="Report whether the daemon is ready, and the part that it waits for", answers={200: Ready, 503: Ready}
)
METRICS = Contract(
    summary="Write the metrics in Prometheus' text format", answers={200: OtherContent(content_type="text/plain")}
)

log = get_logger(__name__)


def all_routes(webhook: WebhookHandler, api: Api) -> tuple[Route, ...]:
    """List every route of the port for webhooks and people."""
    return (
        Route("POST", "/alertmanager", Action.DELIVER, webhook.receive, DELIVER),
        Route("GET", "/api/v1/incidents", Action.READ, api.incidents, INCIDENTS),
        Route("GET", "/api/v1/incidents/{id}", Action.READ, api.incident, INCIDENT),
        Route("GET", "/api/v1/signals", Action.READ, api.signals, SIGNALS_LIST),
        Route("GET", "/api/v1/dead-letters", Action.READ, api.dead_letters, DEAD_LETTERS),
        Route("POST", "/api/v1/dead-letters/{id}/resend", Action.RESEND, api.resend, RESEND),
        Route("POST", "/api/v1/incidents/{id}/answer", Action.ANSWER, api.answer, ANSWER),
        Route("POST", "/api/v1/incidents/{id}/abort", Action.ABORT, api.abort, ABORT),
        Route("POST", "/api/v1/incidents/{id}/take", Action.TAKE, api.take, TAKE),
        Route("POST", "/api/v1/incidents/{id}/rollback", Action.ROLL_BACK, api.roll_back, ROLL_BACK),
        Route("POST", "/api/v1/notice-routes/{name}/test", Action.TEST_ROUTE, api.test_route, TEST_ROUTE),
        Route("GET", "/api/v1/pauses", Action.READ, api.pauses, PAUSES),
        Route("POST", "/api/v1/pauses", Action.PAUSE, api.pause, PAUSE),
        Route("DELETE", "/api/v1/pauses/{id}", Action.PAUSE, api.resume, RESUME),
        Route("GET", "/api/v1/readiness", Action.READ, api.readiness, READINESS),
        Route("GET", "/api/v1/services", Action.READ, api.services, SERVICES),
        Route("GET", "/api/v1/services/{name}", Action.READ, api.explain_service, EXPLAIN_SERVICE),
        Route("GET", "/api/v1/services/{name}/manifest", Action.RECOVER, api.manifest, MANIFEST),
        Route("POST", "/api/v1/services/{name}/drill", Action.DRILL, api.drill, DRILL),
        Route("POST", "/api/v1/runbooks/{name}/recover", Action.RECOVER, api.recover, RECOVER),
        Route("GET", "/api/v1/diagnosis/{namespace}/{type}/{name}", Action.READ, api.diagnosis, DIAGNOSIS),
        Route("GET", "/api/v1/explain", Action.READ, api.explain_object, EXPLAIN_OBJECT),
        Route("POST", "/api/v1/explain", Action.READ, api.explain_alert, EXPLAIN_ALERT),
    )


def health_routes(health: Health) -> tuple[Route, ...]:
    """List every route of the port for the kubelet and Prometheus; no right is checked before them."""
    return (
        Route("GET", "/healthz", Action.DESCRIBE, health.alive, ALIVE),
        Route("GET", "/readyz", Action.DESCRIBE, health.ready, READY),
        Route("GET", "/metrics", Action.DESCRIBE, health.metrics, METRICS),
    )


def documented(server: Sequence[Route], health: Sequence[Route]) -> tuple[Route, ...]:
    """Add the route that serves the document of them all, its own among them."""
    written = b""

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=written, content_type=JSON)

    routes = (*server, Route("GET", "/openapi.json", Action.DESCRIBE, show, DOCUMENT))
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
