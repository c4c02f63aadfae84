"""
The JSON API under `/api/v1`, for people and the command line.

Handlers only translate: a request into a call of `Operations`, its value into JSON. Rights are checked before.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec
from aiohttp import web

from kintsugi.errors import NotRecorded, UsageError
from kintsugi.model.api_types import (
    SIGNALS,
    AbortResult,
    Answerer,
    AnswerRequest,
    DeadLetterResendResult,
    DeadLetterSummary,
    EvaluatedSignal,
    Explanation,
    IncidentDetail,
    PauseRequest,
    RecoverPreview,
    RollbackPreview,
    RouteTest,
    ServiceExplanation,
    ServiceTree,
    SignalQuery,
    TakeResult,
)
from kintsugi.model.manual import Override, RecoverRequest
from kintsugi.model.questions import Answer, AnswerSource, Question
from kintsugi.model.records import Incident, Pause, PauseScope, Reason, Signal, Target, VerdictKind
from kintsugi.server import responses
from kintsugi.server.answers import answer
from kintsugi.server.authentication import IDENTITY
from kintsugi.server.bodies import BodyReader
from kintsugi.server.health import Readiness
from kintsugi.server.webhook import Decode
from kintsugi.tokens import is_name
from kubediagnosis.causes import Diagnosis

MOST = 500
MOST_SKIPPED = 10_000_000
PAGE = 50
LONGEST_PAUSE = 366 * 24 * 60
"""Minutes."""

NAMESPACED = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
"""The pattern of an object in a query: NAMESPACE/NAME, both as Kubernetes has names."""

LONGEST_KEY = 100
_LONGEST = 500
_MAX_BODY = 256 * 1024

_Body = TypeVar("_Body", bound=msgspec.Struct)
_Choice = TypeVar("_Choice", bound=StrEnum)


class Operations(Protocol):
    """
    The operations behind the API.

    They raise NotRecorded for an unknown record, WrongState or Refused for an objection, UsageError for an invalid
    request, and LedgerUnavailable.
    """

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]:
        """List incidents, newest first."""
        ...

    async def incident(self, incident: str, *, signals: int = SIGNALS, skip: int = 0) -> IncidentDetail:
        """Return everything about one, with so many of its signals after the first `skip`."""
        ...

    async def signals(self, request: SignalQuery) -> Sequence[EvaluatedSignal]:
        """List signals with their verdicts, newest first."""
        ...

    async def dead_letters(self, *, limit: int, before: str) -> Sequence[DeadLetterSummary]:
        """List what could not be understood, newest first; from `before` on, where that is an id."""
        ...

    async def resend(self, letter: str, *, who: str) -> DeadLetterResendResult:
        """Take a dead letter in as if it came now; once it is understood it is a dead letter no more."""
        ...

    async def answer(self, incident: str, request: AnswerRequest, answerer: Answerer) -> Question:
        """Answer a question about the plan that was shown. Raises WrongState, with the reason, where the answer does not count."""
        ...

    async def abort(self, incident: str, *, who: str, why: str) -> AbortResult:
        """
        End an incident without a further step; nothing is undone.

        Raises WrongState, with the reason, where nothing is under way or a rollback is.
        """
        ...

    async def take(self, incident: str, *, who: str, why: str) -> TakeResult:
        """Have a person take an incident: no run starts on its service until it is given back. Raises WrongState."""
        ...

    async def roll_back(self, incident: str, *, who: str, confirmed: str = "") -> RollbackPreview:
        """
        Undo a run now; unless the digest of what was shown is `confirmed`, only say what would be done and lost.

        Raises WrongState, with what it is now, when that is another by then.
        """
        ...

    async def pauses(self) -> Sequence[Pause]:
        """List the pauses that hold."""
        ...

    async def pause(self, request: PauseRequest, *, who: str) -> Pause:
        """Begin a pause."""
        ...

    async def resume(self, of: str, *, who: str, why: str) -> Pause:
        """Lift a pause, or end the rest after an incident's hand-over."""
        ...

    async def services(self) -> ServiceTree:
        """Return how each service is, what holds it and which run is under way, and the run about all of them."""
        ...

    async def drill(self, service: str, *, who: str) -> Incident:
        """Begin a drill of a service's backups; its outcome is in the incident."""
        ...

    async def recover(self, request: RecoverRequest, *, who: str) -> RecoverPreview:
        """
        Start a runbook by hand; unless the digest of what was shown is given, only show its plan and what the guards say.

        Raises WrongState, with the reason, when it may not start or is another plan by then.
        """
        ...

    async def diagnose(self, target: Target) -> Diagnosis:
        """Return what is wrong with a workload, by what is read of it now; nothing is changed or kept."""
        ...

    async def explain(self, about: Signal | Target) -> Explanation:
        """Return what would become of an alert, or of an object of the cluster, without doing or keeping anything."""
        ...

    def missing_workloads(self) -> tuple[str, ...]:
        """Return the services whose workload does not exist."""
        ...

    async def manifest(self, service: str) -> bytes:
        """Return the workload of a service as it was last good, in JSON. Raises WrongState where values of it are not kept."""
        ...

    async def explain_service(self, service: str) -> ServiceExplanation:
        """Return what a service is and which rules it has, with where each value comes from."""
        ...


class RouteTester(Protocol):
    """Sends a test to the destinations of a notice route."""

    async def test(self, route: str) -> RouteTest:
        """Return which destinations did not take it. Raises NotRecorded for an unknown route."""
        ...


class AnswerBody(msgspec.Struct, forbid_unknown_fields=True):
    """An answer about the plan with this digest; `path` is the step that asks, empty for the run."""

    plan: str
    answer: Answer
    path: str = ""
    why: str = ""
    who: str = ""


class AbortBody(msgspec.Struct, forbid_unknown_fields=True):
    """A request to end an incident without a further step."""

    why: str
    who: str = ""


class TakeBody(msgspec.Struct, forbid_unknown_fields=True):
    """A request to take an incident."""

    why: str = ""
    who: str = ""


class RollBackBody(msgspec.Struct, forbid_unknown_fields=True):
    """A request to undo a run; without `confirm`, only the preview is returned."""

    confirm: bool = False
    digest: str = ""
    who: str = ""


class PauseBody(msgspec.Struct, forbid_unknown_fields=True):
    """A pause of everything, or of the namespace, service or rule that it names; without `minutes` it has no end."""

    scope: PauseScope
    why: str
    name: str = ""
    freeze: bool = False
    minutes: float | None = None
    who: str = ""


class ResumeBody(msgspec.Struct, forbid_unknown_fields=True):
    """A request to lift a pause, or to end the rest after an incident's hand-over."""

    why: str = ""
    who: str = ""


class DrillBody(msgspec.Struct, forbid_unknown_fields=True):
    """A request to begin a drill."""

    who: str = ""


class RecoverBody(msgspec.Struct, forbid_unknown_fields=True):
    """
    A request to start a runbook by hand; without `confirm`, only the preview is returned.

    `service` may be left out if the runbook names its service. `key` is any text that belongs to this request
    alone. Two requests with the same key start one run.
    """

    why: str
    service: str = ""
    parameters: dict[str, str] = {}
    overrides: list[Override] = []
    confirm: bool = False
    digest: str = ""
    key: str = ""
    who: str = ""


class ResendBody(msgspec.Struct, forbid_unknown_fields=True):
    """A request to send a dead letter in again."""

    who: str = ""


class AlertBody(msgspec.Struct):
    """An alert; further fields of Alertmanager or Prometheus are ignored."""

    labels: dict[str, str]
    annotations: dict[str, str] = {}


class Api:
    """Handlers of everything under `/api/v1`."""

    def __init__(self, operations: Operations, decode: Decode, ready: Readiness, routes: RouteTester) -> None:
        self._operations, self._decode, self._ready, self._routes = operations, decode, ready, routes
        self._bodies = BodyReader(largest=_MAX_BODY, memory=64 * _MAX_BODY, timeout=10)

    async def incidents(self, request: web.Request) -> web.Response:
        """List incidents: `?service=`, `?open=true`, `?limit=`."""
        found = await self._operations.incidents(
            limit=_number(request, "limit", PAGE),
            service=request.query.get("service", ""),
            open_only=_flag(request, "open"),
        )
        return await answer(responses.IncidentList(incidents=tuple(found)))

    async def incident(self, request: web.Request) -> web.Response:
        """Show one with runs, steps, undo texts, evidence, questions, and a page of signals: `?signals=`, `?skip=`."""
        return await answer(
            await self._operations.incident(
                request.match_info["id"],
                signals=_number(request, "signals", SIGNALS),
                skip=_number(request, "skip", 0, least=0, most=MOST_SKIPPED),
            )
        )

    async def signals(self, request: web.Request) -> web.Response:
        """List signals: `?verdict=`, `?reason=`, `?limit=`, `?before=ID` for the next page."""
        asked = SignalQuery(
            verdict=_choice(request, "verdict", VerdictKind),
            reason=_choice(request, "reason", Reason),
            before=request.query.get("before", ""),
            limit=_number(request, "limit", PAGE),
        )
        return await answer(responses.SignalList(signals=tuple(await self._operations.signals(asked))))

    async def dead_letters(self, request: web.Request) -> web.Response:
        """List what could not be understood: `?limit=`, `?before=ID` for the next page."""
        found = await self._operations.dead_letters(
            limit=_number(request, "limit", PAGE), before=request.query.get("before", "")
        )
        return await answer(responses.DeadLetterList(dead_letters=tuple(found)))

    async def resend(self, request: web.Request) -> web.Response:
        """Send a dead letter in again."""
        body = await self._body(request, ResendBody)
        return await answer(await self._operations.resend(request.match_info["id"], who=_who(request, body.who)))

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a question about the plan that was shown."""
        body = await self._body(request, AnswerBody)
        if not body.plan:
            raise UsageError("plan: empty; send the digest of the plan that was shown, so that no other is answered")
        if body.answer.needs_reason and not body.why.strip():
            raise UsageError(f"why: empty; the answer {body.answer} needs a reason")
        given = AnswerRequest(path=body.path, plan=body.plan, answer=body.answer, why=body.why[:_LONGEST])
        answerer = Answerer(name=_who(request, body.who), source=AnswerSource.API, claimed=not request[IDENTITY].name)
        return await answer(await self._operations.answer(request.match_info["id"], given, answerer))

    async def abort(self, request: web.Request) -> web.Response:
        """Abort an incident."""
        body = await self._body(request, AbortBody)
        if not body.why.strip():
            raise UsageError("why: empty; give the reason for the abort")
        incident, who = request.match_info["id"], _who(request, body.who)
        return await answer(await self._operations.abort(incident, who=who, why=body.why[:_LONGEST]), 202)

    async def take(self, request: web.Request) -> web.Response:
        """Take an incident."""
        body = await self._body(request, TakeBody)
        incident, who = request.match_info["id"], _who(request, body.who)
        return await answer(await self._operations.take(incident, who=who, why=body.why[:_LONGEST]), 202)

    async def test_route(self, request: web.Request) -> web.Response:
        """Send a test to each destination of a notice route."""
        return await answer(await self._routes.test(request.match_info["name"]))

    async def roll_back(self, request: web.Request) -> web.Response:
        """Undo a run as it was shown, or without `confirm` preview it."""
        body = await self._body(request, RollBackBody)
        if body.confirm and not body.digest:
            raise UsageError("digest: empty; ask without confirm first, and send the digest of what was shown")
        done = await self._operations.roll_back(
            request.match_info["id"], who=_who(request, body.who), confirmed=body.digest if body.confirm else ""
        )
        return await answer(done, 202 if done.begun else 200)

    async def pauses(self, _request: web.Request) -> web.Response:
        """List the pauses that hold."""
        return await answer(responses.PauseList(pauses=tuple(await self._operations.pauses())))

    async def pause(self, request: web.Request) -> web.Response:
        """Begin a pause."""
        body = await self._body(request, PauseBody)
        if not body.why.strip():
            raise UsageError("why: empty; give the reason for the pause")
        if (body.scope is PauseScope.GLOBAL) == bool(body.name):
            raise UsageError("name: a pause of a namespace, a service or a rule names it, a global one names nothing")
        if body.minutes is not None and not 0 < body.minutes <= LONGEST_PAUSE:
            raise UsageError("minutes: more than none and up to a year; leave it out for no end")
        lasts = None if body.minutes is None else timedelta(minutes=body.minutes)
        asked = PauseRequest(scope=body.scope, name=body.name, why=body.why[:_LONGEST], freeze=body.freeze, lasts=lasts)
        return await answer(await self._operations.pause(asked, who=_who(request, body.who)), 201)

    async def resume(self, request: web.Request) -> web.Response:
        """Lift a pause, or end the rest after an incident's hand-over."""
        body = await self._body(request, ResumeBody)
        return await answer(
            await self._operations.resume(
                request.match_info["id"], who=_who(request, body.who), why=body.why[:_LONGEST]
            )
        )

    async def services(self, _request: web.Request) -> web.Response:
        """Return how each service is."""
        return await answer(await self._operations.services())

    async def readiness(self, _request: web.Request) -> web.Response:
        """Return the parts that are waited for, with the reasons: without a token, `/readyz` shows only the parts."""
        waiting_for = await self._ready.check()
        return await answer(
            responses.ReadinessDetail(
                ready=not waiting_for,
                waiting_for=waiting_for,
                missing_workloads=self._operations.missing_workloads(),
            )
        )

    async def drill(self, request: web.Request) -> web.Response:
        """Begin a drill of a service's backups."""
        body = await self._body(request, DrillBody)
        begun = await self._operations.drill(request.match_info["name"], who=_who(request, body.who))
        return await answer(begun, 202)

    async def recover(self, request: web.Request) -> web.Response:
        """Start a runbook by hand as it was shown, or without `confirm` preview it."""
        body = await self._body(request, RecoverBody)
        if not body.why.strip():
            raise UsageError("why: empty; give the reason for the run")
        if body.confirm and not body.digest:
            raise UsageError("digest: empty; ask without confirm first, and send the digest of the plan that was shown")
        if len(body.key) > LONGEST_KEY:
            raise UsageError(f"key: longer than {LONGEST_KEY} characters")
        asked = RecoverRequest(
            runbook=request.match_info["name"],
            service=body.service,
            parameters=body.parameters,
            why=body.why[:_LONGEST],
            overrides=frozenset(body.overrides),
            digest=body.digest if body.confirm else "",
            key=body.key,
        )
        done = await self._operations.recover(asked, who=_who(request, body.who))
        return await answer(done, 202 if done.begun else 200)

    async def diagnosis(self, request: web.Request) -> web.Response:
        """Diagnose a workload."""
        asked = request.match_info
        target = Target(kind=asked["type"], namespace=asked["namespace"], name=asked["name"])
        if not re.fullmatch(NAMESPACED, f"{target.namespace}/{target.name}"):
            raise NotRecorded("nothing has such a name: write namespace and name as Kubernetes has names")
        return await answer(await self._operations.diagnose(target))

    async def explain_service(self, request: web.Request) -> web.Response:
        """Explain a service."""
        return await answer(await self._operations.explain_service(request.match_info["name"]))

    async def manifest(self, request: web.Request) -> web.Response:
        """Return the manifest of a service's workload: for `kubectl apply`, so that nothing of it is masked."""
        found = await self._operations.manifest(request.match_info["name"])
        return web.Response(body=found, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def explain_object(self, request: web.Request) -> web.Response:
        """Explain `?pod=NAMESPACE/NAME`."""
        pod = request.query.get("pod", "")
        namespace, _, name = pod.partition("/")
        if not re.fullmatch(NAMESPACED, pod):
            raise UsageError("pod: write ?pod=NAMESPACE/NAME, or POST an alert with its labels")
        return await answer(await self._operations.explain(Target(kind="Pod", namespace=namespace, name=name)))

    async def explain_alert(self, request: web.Request) -> web.Response:
        """Explain an alert given by its labels, read as the webhook would read it."""
        body = await self._body(request, AlertBody)
        return await answer(await self._operations.explain(self._signal(body)))

    def _signal(self, alert: AlertBody) -> Signal:
        """Make the signal that a webhook with this alert would bring now."""
        now = datetime.now(UTC)
        one = {"status": "firing", "labels": alert.labels, "annotations": alert.annotations, "startsAt": now}
        delivery = self._decode(msgspec.json.encode({"version": "4", "alerts": [one]}), now)
        if not delivery.signals:
            raise UsageError(delivery.unreadable or delivery.dead_letters[0].reason)
        return delivery.signals[0]

    async def _body(self, request: web.Request, kind: type[_Body]) -> _Body:
        """Read a small typed body; no body is an empty one. Raises UsageError, BodyError."""
        with await self._bodies.read(request) as body:
            try:
                return msgspec.json.decode(body or b"{}", type=kind)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise UsageError(f"the body is not what this route takes: {error}") from error


def _who(request: web.Request, claimed: str) -> str:
    """
    Return the person behind a change: the token's holder, or with a bare token the claimed name.

    No one acts for another: a named token has its own name only, a bare one no name that has a token of its own. Raises
    UsageError when no name, or another one, is claimed.
    """
    identity = request[IDENTITY]
    if identity.name and claimed not in {"", identity.name}:
        raise UsageError(f"who: the token belongs to {identity.name}, it cannot act for {claimed[:100]}")
    if identity.name:
        return identity.name
    if not claimed:
        raise UsageError('who: empty; this token is not a named one, give your name by --as NAME, or as "who"')
    if not is_name(claimed):
        raise UsageError(
            f"who: {claimed[:100]!r} is no name: write it of lower-case letters, digits and ._-, as in ana"
        )
    if claimed in identity.taken:
        raise UsageError(f"who: {claimed} has a token with that name, this one cannot act for {claimed}")
    return claimed


def _number(request: web.Request, name: str, default: int, *, least: int = 1, most: int = MOST) -> int:
    """Read a number of the query. Raises UsageError."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
        raise UsageError(f"{name}: {text[:20]!r} is not a number from {least} to {most}")
    return int(text)


def _choice(request: web.Request, name: str, members: type[_Choice]) -> _Choice | None:
    """Read one of some words of the query, None when it is not said. Raises UsageError."""
    text = request.query.get(name, "")
    if not text:
        return None
    if text not in set(members):
        raise UsageError(f"{name}: there is no {text[:40]!r}; there is {', '.join(members)}")
    return members(text)


def _flag(request: web.Request, name: str) -> bool:
    """Read a yes or no of the query. Raises UsageError."""
    text = request.query.get(name, "false")
    if text not in {"true", "false"}:
        raise UsageError(f"{name}: {text[:20]!r} must be true or false")
    return text == "true"
