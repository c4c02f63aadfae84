"""
The queue of child runs that wait to start while the number of services under recovery is limited.

Only the first asks, and only while a slot is free: hundreds of requests a second would cost more than the recovery, and a run
that happens to ask at the right moment would start before more important ones.
"""

import asyncio
from bisect import insort
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

Rank = tuple[int, str]
"""The position in the queue: by priority, then by name."""


class SlotQueue:
    """
    Lets one run after another ask, the lowest rank first. `has_free_slot` says whether a namespace seems to have a free slot.

    Those of a namespace without a free slot are passed over: they keep no slot from the others.
    """

    def __init__(self, has_free_slot: Callable[[str], bool]) -> None:
        self._has_free_slot = has_free_slot
        self._waiting: list[tuple[Rank, int, str, asyncio.Future[None]]] = []
        self._numbers = count()
        self._is_asking = False

    @asynccontextmanager
    async def slot(self, rank: Rank, namespace: str) -> AsyncIterator[None]:
        """Wait for the caller's turn, which lasts until the end of the block."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        insort(self._waiting, (rank, next(self._numbers), namespace, mine))
        self.move_on()
        try:
            await mine
            yield
        finally:
            # Cancelled between the turn's coming and its use it is given on as well.
            if mine.done() and not mine.cancelled():
                self._is_asking = False
            self.move_on()

    def move_on(self) -> None:
        """Let the first one ask, if a slot is free now and no other is asking."""
        self._waiting = [each for each in self._waiting if not each[-1].done()]
        if self._is_asking:
            return
        first = next((each for each in self._waiting if self._has_free_slot(each[2])), None)
        if first is not None:
            self._is_asking = True
            first[-1].set_result(None)
