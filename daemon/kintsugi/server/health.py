"""Is it alive, is it ready, what does it count: for the kubelet and for Prometheus, without a token."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from kintsugi.errors import KintsugiError
from kintsugi.server.answers import answer
from kintsugi.telemetry import Metrics

Check = Callable[[], Awaitable[str]]
"""Gives "" when all is well, else what is not; may raise any KintsugiError."""

_PATIENCE = 1.0
"""Seconds that one check may take; a kubelet waits about as long."""


class Health:
    """Handlers of `/healthz`, `/readyz` and `/metrics`. `checks` are named: ledger, caches, …"""

    def __init__(self, checks: Mapping[str, Check], metrics: Metrics) -> None:
        self._checks, self._metrics = checks, metrics

    async def alive(self, _request: web.Request) -> web.Response:
        """Answer at all: that is what being alive is. A ledger that is away must not get the daemon restarted."""
        return answer({"alive": True})

    async def ready(self, _request: web.Request) -> web.Response:
        """Say 200 when every check is well, else 503 with what is not."""
        names = list(self._checks)
        found = await asyncio.gather(*(_ask(self._checks[name]) for name in names))
        wrong = {name: text for name, text in zip(names, found, strict=True) if text}
        return answer({"ready": not wrong, "waiting_for": wrong}, 503 if wrong else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Write the metrics in Prometheus' text format."""
        return web.Response(
            body=self._metrics.exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )


async def _ask(check: Check) -> str:
    """Ask one check, for a second at most."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await check()
    except TimeoutError:
        return f"no answer within {_PATIENCE:g}s"
    except KintsugiError as error:
        return str(error)
