"""The ledger is kept small in bounded batches, and alerts that nobody repeats end where nobody asks for them."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from kintsugi.app.periodic_jobs import BATCH, BATCHES, PRUNED_EVERY, RetentionTask
from kintsugi.ledger import RetentionTerms
from kintsugi.settings import Settings
from tests.unit.as_ledger import as_ledger
from tests.unit.factories import NOW

pytestmark = pytest.mark.looptime


@dataclass
class Rows:
    """A ledger with so many old rows."""

    old: int = 0
    asked: list[tuple[datetime, RetentionTerms | None]] = field(default_factory=list)
    stale: list[datetime] = field(default_factory=list)

    async def prune(
        self, before: datetime, now: datetime, limit: int = 1000, kept: RetentionTerms | None = None
    ) -> int:
        """Delete a batch."""
        self.asked.append((before, kept))
        gone = min(self.old, limit)
        self.old -= gone
        return gone

    async def end_stale(self, before: datetime, now: datetime, limit: int = 1000) -> int:
        """End none."""
        self.stale.append(before)
        return 0


def forgetting(rows: Rows, settings: Settings, there: Collection[str] | None = ()) -> RetentionTask:
    """Return the daemon's part that forgets."""
    return RetentionTask(settings=settings, ledger=as_ledger(rows), workloads=lambda: there, clock=lambda: NOW)


async def test_a_tick_takes_batches_until_nothing_is_left() -> None:
    rows, settings = Rows(old=3 * BATCH + 5), Settings()
    await forgetting(rows, settings).step()
    assert rows.old == 0
    assert len(rows.asked) == 4
    assert {before for before, _ in rows.asked} == {NOW - settings.ledger.retention}


async def test_a_tick_is_bounded_and_the_defaults_keep_up_with_ten_million_rows_a_day() -> None:
    rows = Rows(old=10**9)
    await forgetting(rows, Settings()).step()
    assert 10**9 - rows.old == BATCH * BATCHES
    assert BATCH * BATCHES * (timedelta(days=1) / PRUNED_EVERY) >= 10_000_000


@pytest.mark.parametrize("url", [None, "http://people.example.com"])
async def test_notices_hold_their_incident_only_where_somebody_is_told(url: str | None) -> None:
    rows, settings = Rows(), Settings()
    told = replace(settings, notifications=replace(settings.notifications, url=url))
    await forgetting(rows, told, there={"uid-web"}).step()
    assert [kept for _, kept in rows.asked] == [RetentionTerms(notices=url is not None, workloads={"uid-web"})]


@pytest.mark.parametrize("url", [None, "http://alertmanager.example.com"])
async def test_alerts_end_as_stale_only_where_nobody_asks_alertmanager(url: str | None) -> None:
    rows, settings = Rows(), Settings()
    polled = replace(settings, alertmanager=replace(settings.alertmanager, url=url))
    await forgetting(rows, polled).step()
    assert rows.stale == ([NOW - timedelta(hours=13)] if url is None else [])
