"""
Serves liveness, readiness and metrics, for the kubelet and for Prometheus, without a token.

Served from a thread with an event loop of its own, so that a blocked loop of the daemon is noticed. Readiness is checked on the
event loop of the parts. No answer here names a host, a user or an object; the reasons for which a part is waited for do, and are
for people with a token.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from aiohttp import web

from kintsugi.errors import KintsugiError
from kintsugi.server.answers import short_answer
from kintsugi.server.responses import Component
from kintsugi.telemetry import SECRETS, LoopHeartbeat, Metrics, get_logger

log = get_logger(__name__)

Check = Callable[[], Awaitable[str]]
"""Returns "" when all is well, else what is not; may raise any KintsugiError."""

_CHECK_TIMEOUT = 1.0
"""Seconds that one check may take; a kubelet waits about as long."""


class Readiness:
    """The checks of one daemon."""

    def __init__(self, checks: Mapping[Component, Check]) -> None:
        self._checks = checks
        self._last: frozenset[Component] = frozenset()

    async def check(self) -> Mapping[Component, str]:
        """Ask every check; return the parts that are waited for, each with what is not well. A change is logged."""
        parts = list(self._checks)
        found = await asyncio.gather(*(_ask(self._checks[part]) for part in parts))
        waiting_for = {part: SECRETS.text(text) for part, text in zip(parts, found, strict=True) if text}
        if waiting_for.keys() != self._last:
            self._last = frozenset(waiting_for)
            log.info("readiness changed", ready=not waiting_for, waiting_for=waiting_for)
        return waiting_for


async def _ask(check: Check) -> str:
    """Ask one check, for a second at most."""
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            return await check()
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT:g}s"
    except KintsugiError as error:
        return str(error)


WaitingFor = Callable[[], Awaitable[Collection[Component]]]
"""Returns the parts that are waited for; empty when the daemon is ready."""

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
"""The content type of Prometheus' text format."""

_CACHE_SECONDS = 1.0
"""Seconds for which an answer is given again: however often strangers ask, the daemon is asked once a second."""

_TIMEOUT = 2.0
"""Seconds to wait for the daemon's loop, above what its own checks may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alive:
    """Whether the event loop is running."""

    alive: bool
    stood_still_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """Whether the daemon is ready, and the parts that it waits for."""

    ready: bool
    waiting_for: tuple[Component, ...]


class Health:
    """Handlers of `/healthz`, `/readyz` and `/metrics`."""

    def __init__(
        self,
        heartbeat: LoopHeartbeat,
        waiting_for: WaitingFor,
        metrics: Metrics,
        *,
        standstill: float,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Let the loop count as dead after `standstill` seconds of the clock `steady` without a beat."""
        self._heartbeat, self._waiting_for, self._metrics = heartbeat, waiting_for, metrics
        self._standstill, self._steady = standstill, steady
        self._asking = asyncio.Lock()
        self._parts: tuple[Component, ...] = ()
        self._parts_until = self._written_until = float("-inf")
        self._written = b""

    async def alive(self, _request: web.Request) -> web.Response:
        """Return whether the event loop goes on. A ledger that is away must not get the daemon restarted."""
        still = self._heartbeat.stood_still_for(self._steady())
        alive = still <= self._standstill
        return short_answer(Alive(alive=alive, stood_still_seconds=round(still, 3)), 200 if alive else 503)

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer 200 when every part is well, else 503 and which is not."""
        async with self._asking:
            if self._steady() >= self._parts_until:
                self._parts = tuple(sorted(await self._waiting_for()))
                self._parts_until = self._steady() + _CACHE_SECONDS
        return short_answer(Ready(ready=not self._parts, waiting_for=self._parts), 503 if self._parts else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Write the metrics in Prometheus' text format."""
        if self._steady() >= self._written_until:
            self._written = self._metrics.exposition()
            self._written_until = self._steady() + _CACHE_SECONDS
        return web.Response(body=self._written, headers={"Content-Type": EXPOSITION})


def asked_on(loop: asyncio.AbstractEventLoop, readiness: Readiness) -> WaitingFor:
    """Ask for readiness from another loop than the one its parts live on; one that does not answer is a part, too."""

    async def waiting_for() -> Collection[Component]:
        asked = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(readiness.check(), loop))
        try:
            async with asyncio.timeout(_TIMEOUT):
                return (await asked).keys()
        except TimeoutError:
            return (Component.EVENT_LOOP,)

    return waiting_for
