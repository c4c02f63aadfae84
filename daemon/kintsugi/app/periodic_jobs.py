"""
Runs periodic jobs. The deadlines themselves are rows of the ledger.

One job never overlaps itself, and a missed tick is made up by the next: nothing here is a one-shot. An unexpected error
would recur at each tick, with half of the daemon running: it ends the daemon. The scheduler uses the wall clock: a
clock that is set forward must not be made up for interval by interval, and after one is set back, the scheduler is
silent until `restart_ticks`.

Two of the jobs are here. Old rows of the ledger are deleted in batches every minute, so that a storm of signals is deleted as
fast as it came: ten thousand rows a minute are more than fourteen million a day, and a tick that finds nothing reads a few
indexes. Garbage is collected once, and then hourly, so that the collector does not stop the event loop for long-lived objects.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from typing_extensions import override

from kintsugi.errors import KubeError, LedgerUnavailable
from kintsugi.ledger import Ledger, RetentionTerms
from kintsugi.settings import Settings
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

        They use what is closed next.
        """
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # the scheduler cancels them in the loop's next turn
        if self._under_way:
            await asyncio.wait(self._under_way)


COLLECTED_EVERY = timedelta(hours=1)

THRESHOLDS = (50_000, 20, 100)
"""
Objects more than before a young collection, young ones before a middle one, middle ones before a full one. Python's own
(700, 10, 10) are for programs whose memory is small; these took a tenth off the processor time of a batch of alerts.
"""


def freeze() -> None:
    """Let the collector look at nothing of what there is, and seldom at what comes."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def collect_and_freeze() -> None:
    """
    Collect everything once, and let the collector look at none of what is left again until the next call.

    Modules, catalog and caches are some 200,000 objects that live as long as the daemon. A full collection visits each of
    them: 125 ms on a quiet core, 340 ms on a busy one, on the loop, whenever enough objects were made since. Frozen, they
    are visited no more: a full collection takes less than a millisecond for each ten thousand objects that came after.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    gc.unfreeze()
    gc.collect()
    freeze()
    log.info("garbage collected", frozen=gc.get_freeze_count(), milliseconds=round((loop.time() - began) * 1000))


PRUNED_EVERY = timedelta(minutes=1)

BATCH = 1000
"""Rows of one table that go in one transaction: tens of milliseconds, so that no request waits long behind it."""

BATCHES = 10
"""Transactions a tick."""


@dataclass(frozen=True, kw_only=True)
class RetentionTask:
    """`workloads` are the uids of the workloads in the cluster, None while the cluster is not seen."""

    settings: Settings
    ledger: Ledger
    workloads: Callable[[], Collection[str] | None]
    clock: Callable[[], datetime]

    async def step(self) -> None:
        """Delete some batches, and end alerts that are not repeated where Alertmanager is not polled either."""
        now, loop = self.clock(), asyncio.get_running_loop()
        # where nobody is notified, people read notices with the incidents: unsent ones keep nothing
        kept = RetentionTerms(notices=self.settings.notifications.are_sent, workloads=self.workloads())
        gone = 0
        for _ in range(BATCHES):
            began = loop.time()
            batch = await self.ledger.upkeep.prune(now - self.settings.ledger.retention, now, BATCH, kept)
            gone += batch
            if batch < BATCH:
                break
            await asyncio.sleep(loop.time() - began)  # as long for the others as for us
        if gone:
            log.info("old rows deleted", rows=gone)
        if self.settings.alertmanager.url is None:
            await self._end_stale(now)

    async def _end_stale(self, now: datetime) -> None:
        stale = await self.ledger.signals.end_stale(now - self.settings.alertmanager.stale_after, now, BATCH)
        if stale:
            log.warning(
                "alerts ended as stale: they were not repeated, and alertmanager.url is not set",
                alerts=stale,
                stale_after=self.settings.alertmanager.stale_after,
            )
