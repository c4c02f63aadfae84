"""A plain HTTP client for the contract suite: it tests the server, so it shares nothing with the product's client."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

Json = dict[str, Any]
JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
CORE = "/api/v1"
GROUPS: Mapping[str, str] = {
    **dict.fromkeys(("deployments", "replicasets", "statefulsets"), "/apis/apps/v1"),
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "jobs": "/apis/batch/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
}
Check = Callable[[str, object], None]
"""Compares an answer, under a word for it, with what the real server is known to answer."""

DEADLINE = 40.0
"""Seconds that anything may take on either server."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answered; `body` is decoded when it is JSON, text otherwise."""

    status: int
    body: Any
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


class Unmet(AssertionError):
    """Something that was waited for did not come."""


class OpenWatch:
    """An open watch, read event by event."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self._response = response

    async def line(self, within: float = DEADLINE) -> bytes:
        """Read the next line as it comes; nothing when the stream has ended."""
        return await asyncio.wait_for(self._response.content.readline(), within)

    async def next(self, within: float = DEADLINE) -> Json | None:
        """Read the next event; None when the stream has ended."""
        line = await self.line(within)
        return json.loads(line) if line else None

    async def take(self, count: int) -> list[Json]:
        """Read so many events."""
        events: list[Json] = []
        for _ in range(count):
            event = await self.next()
            assert event is not None, f"the watch ended after {events}"
            events.append(event)
        return events

    async def rest(self) -> list[Json]:
        """Read until the stream ends."""
        events = []
        while (event := await self.next()) is not None:
            events.append(event)
        return events


@dataclass(frozen=True, kw_only=True)
class ApiUser:
    """One user of one API server, at home in a namespace of its own."""

    session: aiohttp.ClientSession
    server: str
    namespace: str
    token: str = ""
    tls: ssl.SSLContext | None = None
    new_user: Callable[[str, Sequence[Json]], "ApiUser"] | None = None
    forget: Callable[[], None] | None = None

    def path(self, plural: str, name: str = "", part: str = "") -> str:
        """Write a path in the own namespace."""
        pieces = [GROUPS.get(plural, CORE), "namespaces", self.namespace, plural, name, part]
        return "/".join(piece for piece in pieces if piece)

    async def send(
        self, method: str, path: str, body: Any = None, *, kind: str = JSON, accept: str = "*/*", **query: Any
    ) -> Answer:
        """Send a request. A body of bytes is sent as it is."""
        data = body if isinstance(body, bytes) else (json.dumps(body).encode() if body is not None else None)
        async with self.session.request(
            method,
            self.server + path,
            data=data,
            params={key: str(value) for key, value in query.items()},
            headers={**self._headers(), "Content-Type": kind, "Accept": accept},
            ssl=self.tls or True,
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            decoded = json.loads(text) if is_json else text
            return Answer(
                status=response.status, body=decoded, content_type=response.content_type, headers=response.headers
            )

    async def get(self, path: str, **query: Any) -> Answer:
        """Send a GET."""
        return await self.send("GET", path, **query)

    async def create(self, path: str, body: Json, **query: Any) -> Answer:
        """Send a POST."""
        return await self.send("POST", path, body, **query)

    async def start(self, pod: Json) -> Json:
        """Create a pod, and wait until it is ready; return it."""
        await self.create(self.path("pods"), pod)
        found: Json = await self.until(self.path("pods", pod["metadata"]["name"]), ready)
        return found

    async def patch(self, path: str, body: Any, kind: str = MERGE, **query: Any) -> Answer:
        """Send a PATCH."""
        return await self.send("PATCH", path, body, kind=kind, **query)

    async def delete(self, path: str, options: Json | None = None, **query: Any) -> Answer:
        """Send a DELETE."""
        return await self.send("DELETE", path, options, **query)

    @asynccontextmanager
    async def watch(self, path: str, **query: Any) -> AsyncIterator[OpenWatch]:
        """Open a watch."""
        params = {"watch": "true", **{key: str(value) for key, value in query.items()}}
        async with self.session.get(
            self.server + path, params=params, headers=self._headers(), ssl=self.tls or True
        ) as response:
            yield OpenWatch(response)

    async def execute(self, path: str, *command: str) -> dict[int, bytes]:
        """Execute a command; answer with what came on each channel."""
        params = [*(("command", word) for word in command), ("stdout", "true"), ("stderr", "true")]
        said: dict[int, bytes] = {}
        async with self.session.ws_connect(
            self.server + path,
            params=params,
            headers=self._headers(),
            protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"),
            ssl=self.tls or True,
        ) as socket:
            async for message in socket:
                channel, data = message.data[0], message.data[1:]
                said[channel] = said.get(channel, b"") + data
        return said

    async def until(self, path: str, holds: Callable[[Any], bool], *, within: float = DEADLINE) -> Any:
        """Read a path again and again until its body is as wanted; raise Unmet with the last body."""
        answer = await self.get(path)
        try:
            async with asyncio.timeout(within):
                while not holds(answer.body):
                    await asyncio.sleep(0.05)
                    answer = await self.get(path)
        except TimeoutError:
            raise Unmet(f"{path} did not come to be as wanted; last: {json.dumps(answer.body, indent=1)}") from None
        return answer.body

    async def version(self) -> str:
        """Ask for the version of the cluster's state."""
        answer = await self.get(self.path("configmaps"), limit=1)
        return str(answer.body["metadata"]["resourceVersion"])

    def may(self, name: str, *rules: Json) -> "ApiUser":
        """Be somebody else: a service account of the own namespace that has just these RBAC rules."""
        assert self.new_user is not None
        return self.new_user(name, rules)

    def forget_history(self) -> None:
        """Have the server drop the history that watches and pages need."""
        assert self.forget is not None
        self.forget()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def ready(pod: Json) -> bool:
    """Return whether a pod is ready."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def living(listing: Json) -> list[Json]:
    """List the objects that are not on their way out."""
    return [each for each in listing["items"] if "deletionTimestamp" not in each["metadata"]]
