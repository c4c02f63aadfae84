"""
Keeps long work on foreign data off the event loop: what is small is processed there, the rest in a thread.

While the loop computes, no request is answered and no watchdog runs. docs/decisions/0018-foreign-text-off-the-loop.md has
the promise and the measurements.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

MOST_ON_LOOP = 1024 * 1024
"""Bytes of foreign data that are decoded and processed on the event loop."""

MOST_SEARCHED_ON_LOOP = 64 * 1024
"""
Bytes of foreign text that are searched for secrets or patterns on the event loop: there are dozens of expressions, and each
match costs microseconds of Python. The worst 64 KiB take 0.1 s, the worst 1 MiB more than a second (measured).
"""

T = TypeVar("T")


async def processed(size: int, work: Callable[[], T], most: int = MOST_ON_LOOP) -> T:
    """
    Return what `work` gives, and raise what it raises; `size` is how much foreign data it goes through.

    `work` has no part in what others may change meanwhile. A cancellation does not wait for it.
    """
    if size <= most:
        return work()
    return await asyncio.to_thread(work)


async def searched(size: int, work: Callable[[], T]) -> T:
    """Return what `work` gives, as `processed` does, where it searches a text for secrets to mask, or for patterns."""
    return await processed(size, work, MOST_SEARCHED_ON_LOOP)
