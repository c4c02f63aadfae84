"""
Decides whether a request is sent again: reads after any temporary failure, changes never.

A 429 says that a change was not applied, and yet it is the caller's to try again: each attempt of an effect passes the gate.
A disruption budget's 429 is a decision, not overload: it is not repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from kintsugi.errors import KubeError, ServerUnavailable, TooManyRequests
from kintsugi.kube.api_errors import DISRUPTION_BUDGET, Request, unanswered
from kintsugi.retries import Waits, retry

WAITS = Waits(first=timedelta(seconds=0.1), longest=timedelta(seconds=5), jitter=timedelta(seconds=1))


async def persist(send: Callable[[Request], Awaitable[bytes]], request: Request, deadline: timedelta) -> bytes:
    """
    Send a request until it is answered, within `deadline`; the last error is raised when that has passed.

    Waits grow from 0.1 s to 5 s with jitter; a server's Retry-After takes their place. An attempt that the deadline cuts
    off is unanswered, whatever became of the one before it: its error goes along, as it may be the reason.
    """
    failed: KubeError | None = None
    in_flight = False

    async def attempt() -> bytes:
        nonlocal failed, in_flight
        in_flight = True
        try:
            return await send(request)
        except KubeError as error:
            failed, in_flight = error, False
            raise

    try:
        async with asyncio.timeout(deadline.total_seconds()):
            return await retry(attempt, lambda error: _again(request, error), WAITS)
    except TimeoutError as error:
        if failed and not in_flight:
            raise failed from error
        before = f"; the attempt before: {failed}" if failed else ""
        raise unanswered(request, f"no answer within {deadline.total_seconds():g} s{before}") from error


def _again(request: Request, error: Exception) -> bool | timedelta:
    """Decide whether to send again: no, after the usual wait, or after the wait that the server asked for."""
    if request.changes:
        return False
    return when_busy(error) or isinstance(error, ServerUnavailable)


def when_busy(error: Exception) -> bool | timedelta:
    """Decide whether to try again for the server's being busy, and after which wait; for writes that pass no gate, too."""
    if not isinstance(error, TooManyRequests) or error.reason == DISRUPTION_BUDGET:
        return False
    return error.retry_after or True
