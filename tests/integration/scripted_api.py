"""
An API server that does what a script says: it answers, stays silent, cuts the line, or talks nonsense.

Each place (a method and a path, or the list and the watch of pods) has a row of answers; they are given in order, and
the last one for ever after. Every request is recorded.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from aiohttp import web

from tests.integration.answering_service import serving

Json = Mapping[str, object]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

PODS = "/api/v1/namespaces/production/pods"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """Return the body as JSON."""
        content: Json = json.loads(self.body)
        return content


@dataclass
class ScriptedApi:
    """The script and what came of it."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    rows: dict[str, list[Answer]] = field(default_factory=dict)

    def on(self, place: str, *answers: Answer) -> None:
        """Set the answers for a place: "GET /path", or "LIST" and "WATCH" of pods."""
        self.rows[place] = list(answers)

    def requests(self, place: str) -> list[Seen]:
        """Return what was asked at a place."""
        return [seen for seen in self.seen if place_of(seen.method, seen.path, seen.query) == place]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Record the request and give the next answer of its place."""
        body = await request.read()
        seen = Seen(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers=dict(request.headers),
            body=body,
        )
        self.seen.append(seen)
        row = self.rows.get(place_of(seen.method, seen.path, seen.query))
        if not row:
            return await refuse(404, "NotFound", f"nothing is scripted for {seen.method} {seen.path}")(request)
        return await (row.pop(0) if len(row) > 1 else row[0])(request)


def place_of(method: str, path: str, query: Mapping[str, str]) -> str:
    """Name the place that a request goes to."""
    if method == "GET" and path in (PODS, "/api/v1/pods"):
        return "WATCH" if query.get("watch") == "true" else "LIST"
    return f"{method} {path}"


@asynccontextmanager
async def scripted_api(tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedApi]:
    """Run a scripted API server on a free loopback port."""
    api = ScriptedApi()
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", api.answer)
    async with serving(app, tls) as api.url:
        yield api


def kubeconfig(folder: Path, url: str, **user: str) -> Path:
    """Write a kubeconfig for the server; `user` is its user section (token, tokenFile)."""
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "scripted",
        "contexts": [{"name": "scripted", "context": {"cluster": "scripted", "user": "tester"}}],
        "clusters": [{"name": "scripted", "cluster": {"server": url}}],
        "users": [{"name": "tester", "user": user or {"token": "secret"}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def pod(name: str, version: int, *, uid: str = "", node: str = "n1", **metadata: object) -> dict[str, object]:
    """Make a pod of namespace production; other keywords are fields of its metadata."""
    identity = {"name": name, "namespace": "production", "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": {**identity, **metadata}, "spec": {"nodeName": node}, "status": {"phase": "Running"}}


def event(kind: str, content: Json) -> bytes:
    """Make one line of a watch."""
    return json.dumps({"type": kind, "object": content}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    """Make a bookmark."""
    return event("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}})


def status(code: int, reason: str, message: str, causes: Sequence[Json] = ()) -> dict[str, object]:
    """Make a `Status` as the API server writes it."""
    content: dict[str, object] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return content | ({"details": {"causes": list(causes)}} if causes else {})


EXPIRED = status(410, "Expired", "too old resource version: 5 (100)")


def reply(content: Json, code: int = 200) -> Answer:
    """Answer with JSON."""
    return write(json.dumps(content).encode(), code)


def listing(*items: Json, version: int, token: str = "") -> Answer:
    """Answer with a list, or a page of one when there is a token for more."""
    return reply(
        {
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": str(version), "continue": token},
            "items": list(items),
        }
    )


def refuse(
    code: int,
    reason: str = "",
    message: str = "refused",
    *,
    causes: Sequence[Json] = (),
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Answer with a failure."""
    return write(json.dumps(status(code, reason, message, causes)).encode(), code, headers)


def write(
    body: bytes, code: int = 200, headers: Mapping[str, str] | None = None, kind: str = "application/json"
) -> Answer:
    """Answer with these very bytes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=code, headers=headers, content_type=kind)

    return answer


def demand(token: str, answer: Answer) -> Answer:
    """Answer only those who carry this bearer token; the others get 401."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        known = request.headers.get("Authorization") == f"Bearer {token}"
        return await (answer if known else refuse(401, "Unauthorized", "Unauthorized"))(request)

    return guarded


def after(happening: Callable[[], object], answer: Answer) -> Answer:
    """Let something happen elsewhere, then answer."""

    async def later(request: web.Request) -> web.StreamResponse:
        happening()
        return await answer(request)

    return later


def bad_gateway() -> Answer:
    """Answer as a proxy does whose API server is away."""
    return write(b"<html><body><h1>502 Bad Gateway</h1></body></html>", 502, kind="text/html")


def cut(*parts: bytes) -> Answer:
    """Send some bytes of a long answer, if any, then reset the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if parts:
            await response.prepare(request)
            for part in parts:
                await response.write(part)
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer


def stream(*parts: bytes, stays: bool = True, pause: float = 0.0) -> Answer:
    """Send the parts as a long answer; then say nothing more (`stays`), or end it as servers end a watch."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(pause)
        if stays:
            await asyncio.Event().wait()
        return response

    return answer


def silent() -> Answer:
    """Take the request and never answer it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets")

    return answer
