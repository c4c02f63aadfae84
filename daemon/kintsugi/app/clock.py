"""
The clock: APScheduler ticks for what must be looked at now and then. The deadlines themselves are rows of the ledger.

One job never overlaps itself, and a missed tick is made up by the next: nothing here is a one-shot.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from kintsugi.errors import KubeError, LedgerUnavailable
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

Tick = Callable[[], Awaitable[object]]


class Clock:
    """Named, repeating looks."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}, timezone="UTC"
        )

    def every(self, interval: timedelta, name: str, tick: Tick) -> None:
        """Look `every` so often; what cannot be looked at now is looked at next time."""

        async def look() -> None:
            try:
                await tick()
            except (LedgerUnavailable, KubeError) as error:
                log.warning("a look was missed", look=name, error=str(error))
            except asyncio.CancelledError:
                # only `stop` cancels; the scheduler would log it as the job's failure
                return

        self._scheduler.add_job(look, "interval", seconds=interval.total_seconds(), id=name, name=name)

    def start(self) -> None:
        """Begin to tick."""
        self._scheduler.start()

    async def stop(self) -> None:
        """Tick no more."""
        self._scheduler.shutdown(wait=False)
