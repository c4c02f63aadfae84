"""A few lines of HTTP for the tests of the embedded cluster, and waiting with a deadline."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

PODS = "/api/v1/namespaces/default/pods"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


@dataclass(frozen=True, kw_only=True)
class Client:
    """One user of the embedded API."""

    session: aiohttp.ClientSession
    url: str
    token: str

    async def send(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json", **query: str
    ) -> tuple[int, Any]:
        """Send a request; answer with status and decoded body."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        data = json.dumps(body) if body is not None else None
        async with self.session.request(method, self.url + path, data=data, params=query, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.content_type == "application/json" else text

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a watch."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.get(self.url + path, params={"watch": "1", **query}, headers=headers) as response:
            yield response


async def until(found: Callable[[], Any], describe: Callable[[], object], within: float = 10) -> Any:
    """Wait until something is found; fail with what was seen last."""
    try:
        async with asyncio.timeout(within):
            while not (value := found()):
                await asyncio.sleep(0.01)
            return value
    except TimeoutError:
        raise AssertionError(f"not within {within} s; last seen: {describe()}") from None


def config(name: str, **data: str) -> dict[str, Any]:
    """Describe a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str = "web", *, replicas: int = 2, image: str = "web:1", **more: Any) -> dict[str, Any]:
    """Describe a Deployment."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **more}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
