"""
Keeps the ledger small: every minute some batches of what is old go, so that a storm is forgotten as fast as it came.

Ten thousand rows a minute are more than fourteen million a day; a tick that finds nothing asks a few indexes.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.ledger import RetentionTerms
from kintsugi.settings import Settings
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

EVERY = timedelta(minutes=1)

BATCH = 1000
"""Rows of one table that go in one transaction: tens of milliseconds, so that no claim waits long behind it."""

BATCHES = 10
"""Transactions a tick."""


class OldRows(Protocol):
    """What can be made smaller: the ledger."""

    async def prune(
        self, before: datetime, now: datetime, limit: int = 1000, kept: RetentionTerms | None = None
    ) -> int: ...

    async def end_stale(self, before: datetime, now: datetime, limit: int = 1000) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """`workloads` are the uids of the workloads in the cluster, None while the cluster is not seen."""

    settings: Settings
    ledger: OldRows
    workloads: Callable[[], Collection[str] | None]
    clock: Callable[[], datetime]

    async def step(self) -> None:
        """Forget some batches, and end alerts that nobody repeats where nobody asks Alertmanager either."""
        now, loop = self.clock(), asyncio.get_running_loop()
        # where nobody is told, a notice is read by whoever lists incidents: it holds nothing
        kept = RetentionTerms(notices=self.settings.notifications.url is not None, workloads=self.workloads())
        gone = 0
        for _ in range(BATCHES):
            began = loop.time()
            batch = await self.ledger.prune(now - self.settings.ledger.keep, now, BATCH, kept)
            gone += batch
            if batch < BATCH:
                break
            await asyncio.sleep(loop.time() - began)  # as long for the others as for us
        if gone:
            log.info("forgotten", rows=gone)
        if self.settings.alertmanager.url is None:
            await self._end_stale(now)

    async def _end_stale(self, now: datetime) -> None:
        stale = await self.ledger.end_stale(now - self.settings.alertmanager.stale_after, now, BATCH)
        if stale:
            log.warning(
                "alerts ended as stale: nobody has repeated them, and no alertmanager.url is given to ask",
                alerts=stale,
                stale_after=self.settings.alertmanager.stale_after,
            )
