"""Waiting in the loop of the embedded cluster, with a deadline."""

import asyncio
from collections.abc import Callable
from typing import Any


async def until(found: Callable[[], Any], describe: Callable[[], object], within: float = 10) -> Any:
    """Wait until something is found; fail with what was seen last."""
    try:
        async with asyncio.timeout(within):
            while not (value := found()):
                await asyncio.sleep(0.01)
            return value
    except TimeoutError:
        raise AssertionError(f"not within {within} s; last seen: {describe()}") from None
