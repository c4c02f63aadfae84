"""
Limits our requests to the API server: a token bucket as in client-go, with `qps` a second and `burst` at once.

A change is counted but never waits: it has passed its gate, whose facts must still hold when it is made. Reads wait for those
before them. Watches are not counted: they are few and last long.
"""

import asyncio

import structlog

from kintsugi.errors import ServerUnavailable
from kintsugi.kube.api_errors import Request

log = structlog.get_logger(__name__)

LOGGED_FROM = 1.0
"""The seconds of waiting from which a wait is logged."""


class Throttle:
    """The bucket of one API client. Waiting requests are served in their order."""

    def __init__(self, *, qps: float, burst: int) -> None:
        self._qps = qps
        self._burst = burst
        self._tokens = float(burst)
        self._filled: float | None = None

    async def pass_through(self, request: Request, *, within: float) -> None:
        """Take a token, and wait for it where none is left. Raises ServerUnavailable where that takes too long."""
        wait = self._take(asyncio.get_running_loop().time())
        if request.changes or wait <= 0:
            return
        if wait >= within:
            self._tokens += 1
            why = f"our own limit of {self._qps:g} a second (kube.qps) leaves no room for {within:g}s"
            raise ServerUnavailable(f"{request}: nothing was sent: {why}")
        if wait >= LOGGED_FROM:
            log.info("request throttled", request=str(request), seconds=round(wait, 1), qps=self._qps)
        try:
            await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self._tokens += 1
            raise

    def _take(self, now: float) -> float:
        """Take a token, which may be a future one, and return how far away that is."""
        since = now - self._filled if self._filled is not None else 0
        self._filled = now
        self._tokens = min(self._tokens + since * self._qps, self._burst) - 1
        return max(-self._tokens, 0) / self._qps
