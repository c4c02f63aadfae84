"""
The embedded API server: HTTP on loopback in front of the operations, with identity, rights, audit and faults.

A request passes: audit, freeze, fault, identity, rights, operation. Only the waiting is asynchronous.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import web

from kubesim.apiserver.api_faults import REFUSALS, ApiFaults, Fault, FaultKind
from kubesim.apiserver.audit import Audit, Request
from kubesim.apiserver.discovery import AGGREGATED, aggregated, document
from kubesim.apiserver.executions import Executions
from kubesim.apiserver.operations import Call, Operations
from kubesim.apiserver.paging import Pages
from kubesim.apiserver.paths import Target, parse
from kubesim.apiserver.rights import ANONYMOUS, MAGIC, REVIEW_PATHS, User, Users, decode_review, forbidden, review
from kubesim.apiserver.streams import Streams
from kubesim.apiserver.tables import metadata_of, table_of, wants_metadata, wants_table
from kubesim.cluster_time import ClusterTime
from kubesim.kubeconfig import split_token
from kubesim.manifest import Json
from kubesim.storage.status import ApiRefusal, bad_request, not_found, unauthorized, unknown_path
from kubesim.storage.store import Store

JSON: Final = "application/json"
LARGEST_BODY: Final = 3 * 2**20
"""Bytes; the real server's limit on a request."""

GATEWAY_PAGE: Final = "<html><body><h1>502 Bad Gateway</h1></body></html>"
LOST: Final = "Timeout: request did not complete within the allotted duration"
ALIVE: Final = frozenset({"/healthz", "/livez", "/readyz"})
CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The parts that the server answers from."""

    store: Store
    operations: Operations
    executions: Executions
    users: Users
    faults: ApiFaults
    audit: Audit
    pages: Pages
    time: ClusterTime


@dataclass(kw_only=True, slots=True)
class Exchange:
    """One request on its way; `applied` once it has changed something."""

    http: web.Request
    path: str
    body: bytes
    target: Target | None
    verb: str
    user: User | None
    fault: Fault | None = None
    applied: bool = False

    @property
    def accept(self) -> str:
        """Read which forms of an answer the client takes."""
        return self.http.headers.get("Accept", "")

    def call(self, target: Target) -> Call:
        """Take from the request what an operation needs."""
        return Call(
            target=target,
            query=self.http.query,
            body=self.body,
            content_type=self.http.content_type,
            agent=self.http.headers.get("User-Agent", "unknown"),
        )

    def json(self) -> Json:
        """Decode the body as an object, a review also from protobuf; raise ApiRefusal 400."""
        if self.body.startswith(MAGIC):
            return decode_review(self.body)
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError as problem:
            raise bad_request(f"the object provided is unrecognized: {problem}") from problem
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized: not an object")
        return body


class Server:
    """Answer HTTP requests as kube-apiserver does."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._unfrozen = asyncio.Event()
        self._unfrozen.set()
        self._streams = Streams(parts.store, parts.faults, parts.time, self._unfrozen)

    def freeze(self) -> None:
        """Answer nothing from now on; requests wait, watches stall."""
        self._unfrozen.clear()

    def thaw(self) -> None:
        """Answer again, beginning with those who wait."""
        self._unfrozen.set()

    def application(self) -> web.Application:
        """Make the aiohttp application: every path, every method."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _serve(self, http: web.Request) -> web.StreamResponse:
        exchange = await self._read(http)
        place = self._parts.audit.arrived(self._noted(exchange))
        await self._unfrozen.wait()
        faults = self._parts.faults
        exchange.fault = faults.take(exchange.verb, exchange.path, continued="continue" in http.query)
        status = 0
        try:
            response = await self._respond(exchange)
            status = response.status
        finally:
            name = str(exchange.fault.kind) if exchange.fault else ""
            self._parts.audit.answered(place, status, applied=exchange.applied, fault=name)
        return response

    async def _read(self, http: web.Request) -> Exchange:
        token, path = split_token(http.path)
        target, watching = parse(path), http.query.get("watch", "").lower() in ("true", "1")
        known = target is not None and http.method in ("GET", *CHANGING)
        verb = target.verb(http.method, watching=watching) if target and known else http.method.lower()
        user = self._caller(http, token)
        return Exchange(http=http, path=path, body=await http.read(), target=target, verb=verb, user=user)

    def _noted(self, exchange: Exchange) -> Request:
        return Request(
            time=self._parts.time.now(),
            clock=self._parts.time.clock(),
            method=exchange.http.method,
            path=exchange.path,
            query=dict(exchange.http.query),
            user=exchange.user.name if exchange.user else "",
            verb=exchange.verb,
            body=exchange.body,
        )

    def _caller(self, http: web.Request, token_in_path: str) -> User | None:
        scheme, _, token = http.headers.get("Authorization", "").partition(" ")
        if not scheme and token_in_path:
            return self._parts.users.find(token_in_path)
        if not scheme:
            return ANONYMOUS
        return self._parts.users.find(token.strip()) if scheme.lower() == "bearer" else None

    async def _respond(self, exchange: Exchange) -> web.StreamResponse:
        """Answer, through the fault that was ordered for this request, if any."""
        fault = exchange.fault
        match fault.kind if fault else None:
            case FaultKind.HANG:
                await asyncio.Event().wait()
            case FaultKind.RESET:
                return _reset(exchange.http)
            case FaultKind.HTML:
                return web.Response(status=502, text=GATEWAY_PAGE, content_type="text/html")
            case FaultKind.EXPIRED_CONTINUE:
                return _refusal(self._parts.pages.too_old())
            case FaultKind.APPLY_THEN_504:
                await self._answer(exchange)
                return _refusal(ApiRefusal(504, "Timeout", LOST, {}))
            case FaultKind.APPLY_THEN_RESET:
                await self._answer(exchange)
                return _reset(exchange.http)
            case FaultKind.SLOW if fault:
                await asyncio.sleep(fault.delay.total_seconds())
        if fault is not None and fault.kind in REFUSALS:
            return _refusal(fault.refusal())
        return await self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        try:
            return await self._route(exchange)
        except ApiRefusal as refusal:
            return _refusal(refusal)

    async def _route(self, exchange: Exchange) -> web.StreamResponse:
        http, target, user = exchange.http, exchange.target, exchange.user
        if user is None:
            raise unauthorized()
        if exchange.path in ALIVE:
            return web.Response(text="ok")
        if exchange.path in REVIEW_PATHS and http.method == "POST":
            return _json(review(exchange.path, exchange.json(), user, self._parts.users), 201)
        if target is None or http.method not in ("GET", *CHANGING):
            return _described(http.method, exchange.path, exchange.accept)
        access = target.access(http.method, watching=exchange.verb == "watch")
        if not user.may(access):
            raise forbidden(user, access, target.resource)
        if target.subresource == "exec":
            return await self._execute(exchange, target)
        if target.subresource == "log" and http.query.get("follow") == "true":
            return await self._follow(exchange, target)
        if exchange.verb == "watch":
            return await self._streams.serve(http, exchange.path, target, exchange.fault)
        return self._operate(exchange, target)

    async def _execute(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        pod = self._parts.store.get(target.resource, target.namespace, target.name)
        if pod is None:
            raise not_found(target.resource, target.name)
        return await self._parts.executions.serve(exchange.http, pod)

    async def _follow(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """Stream a log until its container ends or the client goes away."""
        texts = self._parts.operations.follow(exchange.call(target))
        first = await anext(texts)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(exchange.http)
        with suppress(ConnectionResetError):  # a client that was killed says no good-bye
            await response.write(first.encode())
            async for text in texts:
                await self._unfrozen.wait()
                await response.write(text.encode())
        return response

    def _operate(self, exchange: Exchange, target: Target) -> web.Response:
        before = self._parts.store.version
        try:
            reply = self._parts.operations.perform(exchange.verb, exchange.call(target))
        finally:
            exchange.applied = self._parts.store.version > before
        if reply.text is not None:
            return web.Response(text=reply.text)
        if exchange.verb in ("get", "list") and not target.subresource and wants_table(exchange.accept):
            shown = exchange.http.query.get("includeObject", "Metadata")
            return _json(self._table(target, reply.body, shown), reply.status)
        if exchange.verb == "get" and not target.subresource and wants_metadata(exchange.accept):
            return _json(metadata_of(reply.body), reply.status)
        return _json(reply.body, reply.status)

    def _table(self, target: Target, body: Json, shown: str) -> Json:
        items, metadata = (body["items"], body["metadata"]) if "items" in body else ([body], {})
        return table_of(target.resource, items, metadata, self._parts.time.now(), include_object=shown)


def _described(method: str, path: str, accept: str) -> web.Response:
    """Answer with discovery, or that nothing is there: as a Status below a group that is served, else as text."""
    if method == "GET" and AGGREGATED in accept and (body := aggregated(path)) is not None:
        return web.Response(body=orjson.dumps(body), headers={"Content-Type": AGGREGATED})
    found = document(path) if method == "GET" else None
    if found is not None:
        return _json(found)
    depth = 2 if path.startswith("/api/") else 3
    if document("/".join(path.split("/")[: depth + 1])) is not None:
        raise unknown_path()
    return web.Response(status=404, text="404 page not found\n")


def _json(body: Json, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type=JSON)


def _refusal(refusal: ApiRefusal) -> web.Response:
    response = _json(refusal.body, refusal.code)
    seconds = (refusal.details or {}).get("retryAfterSeconds")
    if seconds:
        response.headers["Retry-After"] = str(seconds)
    return response


def _reset(http: web.Request) -> web.Response:
    """Drop the connection with a TCP reset; the response that is returned goes nowhere."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=502)
