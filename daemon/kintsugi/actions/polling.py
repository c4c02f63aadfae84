"""Look again and again until something holds or the time is up."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from kintsugi.errors import ServerUnavailable, TooManyRequests

Seen = TypeVar("Seen")

_INTERVAL = 1.0
"""Seconds between two looks."""


async def until(look: Callable[[], Awaitable[Seen]], holds: Callable[[Seen], bool], *, within: timedelta) -> Seen:
    """
    Look until it holds, and give what was seen last, whether it held or not.

    An API server that does not answer is asked again; its error is raised only when the time is up.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within.total_seconds()
    while True:
        try:
            seen = await look()
        except (ServerUnavailable, TooManyRequests):
            if loop.time() >= end:
                raise
        else:
            if holds(seen) or loop.time() >= end:
                return seen
        await asyncio.sleep(max(0.0, min(_INTERVAL, end - loop.time())))
