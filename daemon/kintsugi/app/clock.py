"""
The clock: it ticks for what must be looked at now and then. The deadlines themselves are rows of the ledger.

One job never overlaps itself, and a missed tick is made up by the next: nothing here is a one-shot. It goes by the event loop's
steady clock: a scheduler that goes by the wall clock is silent for as long as that is set back by, and makes up for every
missed tick of the time that it is set forward by.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from kintsugi.errors import KubeError, LedgerUnavailable
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

Tick = Callable[[], Awaitable[object]]


class Clock:
    """Named, repeating looks."""

    def __init__(self) -> None:
        self._looks: list[tuple[str, timedelta, Tick]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, interval: timedelta, name: str, tick: Tick) -> None:
        """Look `every` so often; what cannot be looked at now is looked at next time."""

        async def look() -> None:
            try:
                await tick()
            except (LedgerUnavailable, KubeError) as error:
                log.warning("a look was missed", look=name, error=str(error))
            except Exception:
                # A mistake of ours in one look must not end it for good, unheard: it is logged, and comes again at the next tick.
                log.exception("a look has gone wrong", look=name)

        self._looks.append((name, interval, look))

    def start(self) -> None:
        """Begin to tick."""
        self._tasks = [
            asyncio.create_task(_repeat(interval, look), name=f"clock: {name}") for name, interval, look in self._looks
        ]

    async def stop(self) -> None:
        """Tick no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _repeat(interval: timedelta, look: Tick) -> None:
    """Look when the interval is over, and again and again; a look that takes longer is followed at once."""
    clock, pause = asyncio.get_running_loop(), interval.total_seconds()
    due = clock.time() + pause
    while True:
        await asyncio.sleep(max(0.0, due - clock.time()))
        await look()
        due = max(due + pause, clock.time())
