"""Event loops in which waiting takes no time, for tests that need several of them."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

import looptime

T = TypeVar("T")

# The clock moves when the loop has found nothing to do this many times besides; looptime asks 42 times, which is nearly
# all that a story of many waits costs, and no answer here comes from outside the loop's own process.
ROUNDS = 1


def play(story: Coroutine[Any, Any, T]) -> T:
    """Run a story in a loop of its own, whose clock starts at zero."""
    with asyncio.Runner(loop_factory=partial(looptime.new_event_loop, noop_cycles=ROUNDS)) as runner:
        return runner.run(story)
