"""
The clock: it runs periodic jobs. The deadlines themselves are rows of the ledger.

One job never overlaps itself, and a missed tick is made up by the next: nothing here is a one-shot. An unexpected error
would recur at each tick, with half of the daemon running: it ends the daemon. The scheduler uses the wall clock: a
clock that is set forward must not be made up for interval by interval, and after one is set back, the scheduler is
silent until `restart_ticks`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from typing_extensions import override

from kintsugi.errors import KubeError, LedgerUnavailable
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

Tick = Callable[[], Awaitable[object]]
Failed = Callable[[str, BaseException], None]


class _Every(BaseTrigger):  # type: ignore[misc]  # the scheduler has no types
    """Fires once an interval, and once for all that were missed: a library's own trigger lists every one of them."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def __str__(self) -> str:
        return f"every {self._interval}"

    @override
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return max(previous_fire_time or now, now) + self._interval


class PeriodicJobs:
    """Runs named, periodic jobs. `failed` is called with the name of a job that failed unexpectedly, and the error."""

    def __init__(self, failed: Failed) -> None:
        self._failed = failed
        self._under_way: set[asyncio.Future[None]] = set()
        self._scheduler = AsyncIOScheduler(
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}, timezone="UTC"
        )

    def every(self, interval: timedelta, name: str, tick: Tick) -> None:
        """Look `every` so often; what cannot be looked at now is looked at next time."""

        async def ticked() -> None:
            over = asyncio.get_running_loop().create_future()
            self._under_way.add(over)
            try:
                await tick()
            except (LedgerUnavailable, KubeError) as error:
                log.warning("tick missed", tick=name, error=str(error))
            except asyncio.CancelledError:
                # only `stop` cancels; the scheduler would log it as the job's failure
                return
            except Exception as error:
                # The scheduler would log it and go on: the daemon must end, and start again, rather than live on half (C8).
                log.exception("tick failed", tick=name)
                self._failed(name, error)
            finally:
                self._under_way.discard(over)
                over.set_result(None)

        self._scheduler.add_job(ticked, _Every(interval), id=name, name=name)

    def start(self) -> None:
        """Begin to tick."""
        self._scheduler.start()

    def restart_ticks(self) -> None:
        """Look at everything now, and count the intervals from here: the wall clock was set."""
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))

    async def stop(self) -> None:
        """
        Tick no more, and wait until the looks under way, which are cancelled, have ended.

        They use what is closed next. One that is cancelled a second time, when the event loop ends, while it gives a
        connection back leaves aiosqlite waiting for a thread that has ended: the process would never end.
        """
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # the scheduler cancels them in the loop's next turn
        if self._under_way:
            await asyncio.wait(self._under_way)
