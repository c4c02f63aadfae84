"""
Deletes old rows of the ledger: some batches every minute, so that a storm of signals is deleted as fast as it came.

Ten thousand rows a minute are more than fourteen million a day; a tick that finds nothing reads a few indexes.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.ledger import Ledger, RetentionTerms
from kintsugi.settings import Settings
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

EVERY = timedelta(minutes=1)

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
        kept = RetentionTerms(notices=self.settings.notifications.url is not None, workloads=self.workloads())
        gone = 0
        for _ in range(BATCHES):
            began = loop.time()
            batch = await self.ledger.retention.prune(now - self.settings.ledger.retention, now, BATCH, kept)
            gone += batch
            if batch < BATCH:
                break
            await asyncio.sleep(loop.time() - began)  # as long for the others as for us
        if gone:
            log.info("old rows deleted", rows=gone)
        if self.settings.alertmanager.url is None:
            await self._end_stale(now)

    async def _end_stale(self, now: datetime) -> None:
        stale = await self.ledger.triggers.end_stale(now - self.settings.alertmanager.stale_after, now, BATCH)
        if stale:
            log.warning(
                "alerts ended as stale: they were not repeated, and alertmanager.url is not set",
                alerts=stale,
                stale_after=self.settings.alertmanager.stale_after,
            )
