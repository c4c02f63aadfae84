"""Reads repeatedly until a condition holds or the time is up."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from kintsugi.errors import ServerUnavailable, TooManyRequests

Seen = TypeVar("Seen")

_INTERVAL = 1.0
"""Seconds between two reads."""


async def poll_until(read: Callable[[], Awaitable[Seen]], holds: Callable[[Seen], bool], *, within: timedelta) -> Seen:
    """
    Read until it holds, and return what was seen last, whether it held or not.

    An API server that does not answer is asked again; its error is raised only when the time is up.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within.total_seconds()
    while True:
        try:
            seen = await read()
        except (ServerUnavailable, TooManyRequests):
            if loop.time() >= end:
                raise
        else:
            if holds(seen) or loop.time() >= end:
                return seen
        await asyncio.sleep(max(0.0, min(_INTERVAL, end - loop.time())))
