"""Evaluates expressions over large values in a thread, so that the event loop is not blocked."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from kintsugi.entries import entries_of
from kintsugi.expressions import Expression

MUCH = 4_096
"""Entries that are gone through on the event loop at most: 64 KiB of pods have 3,000."""

T = TypeVar("T")


async def evaluated(expression: Expression, names: Mapping[str, object]) -> object:
    """Evaluate as `Expression.evaluate`, and raise as it does."""
    return await computed_over(read_of(names, expression.variables), partial(expression.evaluate, names))


async def computed_over(values: Iterable[object], work: Callable[[], T]) -> T:
    """Return the result of `work`, which reads these values, and raise as it does; the values must not change meanwhile."""
    if all(entries_of(value, MUCH) <= MUCH for value in values):
        return work()
    return await asyncio.to_thread(work)


def read_of(names: Mapping[str, object], variables: Iterable[str]) -> Iterable[object]:
    """Yield the values of those variables that have one."""
    return (names[name] for name in variables if name in names)
