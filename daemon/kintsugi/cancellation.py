"""Runs work to its end although its caller is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """
    Return what `work` returns, and let it end even when the caller is cancelled meanwhile.

    The cancellation is raised once the work has ended, so that it is known what came of it; a second one at once, and the
    work ends by itself.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
