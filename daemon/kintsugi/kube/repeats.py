"""
When a request is sent again: reads on any failure that may pass, changes only after a 429.

A 429 says that nothing was applied. A disruption budget's 429 is a decision, not overload: it is not repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import stamina

from kintsugi.errors import KubeError, ServerUnavailable, TooManyRequests
from kintsugi.kube.answers import DISRUPTION_BUDGET, Request, unanswered

FIRST_WAIT = timedelta(seconds=0.1)
LONGEST_WAIT = timedelta(seconds=5)


async def persist(send: Callable[[Request], Awaitable[bytes]], request: Request, deadline: timedelta) -> bytes:
    """
    Send a request until it is answered, within `deadline`; the last error is raised when that has passed.

    Waits grow from 0.1 s to 5 s with jitter; a server's Retry-After takes their place.
    """
    last: KubeError | None = None
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            async for attempt in stamina.retry_context(
                on=lambda error: _again(request, error),
                attempts=None,
                timeout=None,
                wait_initial=FIRST_WAIT,
                wait_max=LONGEST_WAIT,
            ):
                with attempt:
                    last = None
                    try:
                        return await send(request)
                    except KubeError as error:
                        last = error
                        raise
    except TimeoutError as error:
        raise last or unanswered(request, f"no answer within {deadline.total_seconds():g} s") from error
    raise AssertionError("attempts without end return or raise")


def _again(request: Request, error: Exception) -> bool | timedelta:
    """Decide whether to send again: no, after the usual wait, or after the wait that the server asked for."""
    if isinstance(error, TooManyRequests):
        return error.reason != DISRUPTION_BUDGET and (error.retry_after or True)
    return isinstance(error, ServerUnavailable) and not request.changes
