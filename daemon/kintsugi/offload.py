"""
Offloads work on foreign data: small data are processed on the event loop, the rest in a thread.

While the loop computes, no request is answered and no watchdog runs. A thread shares the processor with it, and RE2
gives it up.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

MOST_ON_LOOP = 2 * 1024
"""Characters, or bytes, that are worked on in the event loop: masking the worst 2 KiB takes what handling one answer takes."""

MOST_DECODED_ON_LOOP = 64 * 1024
"""Bytes of JSON that are decoded in the event loop, and the most foreign text that one turn of the loop goes through."""

LEAST_LINE = 64
"""Bytes that a line counts for, however short: a list of so many lines costs what lines do, and not what bytes do."""

T = TypeVar("T")


async def computed(size: int, work: Callable[[], T]) -> T:
    """
    Return what `work` gives, and raise what it raises; `size` is how much foreign text it goes through.

    `work` has no part in what others may change meanwhile. A cancellation does not wait for it.
    """
    if size <= MOST_ON_LOOP:
        return work()
    return await asyncio.to_thread(work)


async def decoded(size: int, work: Callable[[], T]) -> T:
    """Return what `work` makes of so many bytes of JSON, as `computed` does: what is decoded is gone through once, quickly."""
    if size <= MOST_DECODED_ON_LOOP:
        return work()
    return await asyncio.to_thread(work)


class EventLoopBudget:
    """The quota of foreign text that a task may process in one turn of the event loop."""

    def __init__(self) -> None:
        self._size = 0

    def spend(self, size: int) -> bool:
        """Count a piece of so many bytes; return True when the quota is spent, and the caller must yield: `asyncio.sleep(0)`."""
        self._size += max(size, LEAST_LINE)
        if self._size < MOST_DECODED_ON_LOOP:
            return False
        self._size = 0
        return True


def size_of_labels(labels: Mapping[str, str]) -> int:
    """Return how many characters the names and texts of labels have; joining them is the quickest way to count."""
    return len("".join(labels)) + len("".join(labels.values()))


def size_of(value: object, enough: int = MOST_ON_LOOP) -> int:
    """Return how many characters the keys and values of nested JSON have, each counted as four at least; no more than is `enough`."""
    if isinstance(value, Mapping):
        inner: list[object] = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        inner = [*value]
    else:
        return max(4, len(value) if isinstance(value, str) else 0)
    total = 4
    for each in inner:
        total += size_of(each, enough - total)
        if total > enough:
            break
    return total
