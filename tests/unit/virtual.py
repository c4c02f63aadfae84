"""Event loops in which waiting takes no time, for tests that need several of them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import looptime

T = TypeVar("T")


def play(story: Coroutine[Any, Any, T]) -> T:
    """Run a story in a loop of its own, whose clock starts at zero."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(story)
