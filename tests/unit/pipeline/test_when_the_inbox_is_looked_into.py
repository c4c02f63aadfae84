"""The pipeline looks into the inbox when there is news or a verdict ends, and hardly ever else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import pytest

from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import Ledger
from kintsugi.ledger.signals import SignalRepository
from kintsugi.ledger.store import Store
from kintsugi.model.records import Reason, Signal, Verdict, VerdictKind
from kintsugi.pipeline.pipeline import IDLE
from tests.unit.factories import moment, virtual_clock
from tests.unit.pipeline.business import PipelineBench, alert

pytestmark = pytest.mark.looptime

EVERY = timedelta(milliseconds=200)


class CountedSignals(SignalRepository):
    """Signals that note how often they are looked into; while `away` nothing is answered."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.looks = 0
        self.away = False

    async def due(self, now: datetime, limit: int = 500) -> tuple[Signal, ...]:
        """Return what is to be judged."""
        self.looks += 1
        if self.away:
            raise LedgerUnavailable("away")
        return await super().due(now, limit)


@pytest.fixture
async def inbox(ledger: Ledger) -> CountedSignals:
    """Return the ledger's signals."""
    ledger.signals = counted = CountedSignals(ledger._store)
    return counted


@pytest.fixture
async def business(ledger: Ledger, inbox: CountedSignals) -> PipelineBench:
    """Return a pipeline over the ledger."""
    return PipelineBench(ledger=ledger)


@asynccontextmanager
async def running(business: PipelineBench) -> AsyncIterator[None]:
    """Let the pipeline run meanwhile."""
    task = asyncio.create_task(business.pipeline.run(EVERY))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_idle_inbox_is_hardly_looked_into(business: PipelineBench, inbox: CountedSignals) -> None:
    async with running(business):
        await asyncio.sleep(60)
    assert inbox.looks <= 60 / IDLE.total_seconds() + 1


async def test_a_new_signal_is_judged_at_once(business: PipelineBench, inbox: CountedSignals) -> None:
    async with running(business):
        await asyncio.sleep(1)
        await inbox.accept([alert()], virtual_clock())
        business.pipeline.wake()
        await asyncio.sleep(0.01)
        ((_, verdict),) = await inbox.newest()
        assert verdict is not None


async def test_a_provisional_verdict_is_looked_at_when_it_ends(business: PipelineBench, inbox: CountedSignals) -> None:
    given = alert()
    until = moment(seconds=2)
    provisional = Verdict(kind=VerdictKind.REFUSED, reason=Reason.PAUSED, text="it is paused", until=until)
    await inbox.accept([given], moment())
    await inbox.settle({given.id: provisional}, moment())
    async with running(business):
        await asyncio.sleep(1.9)
        assert inbox.looks == 1
        await asyncio.sleep(0.2)
        assert inbox.looks == 2


async def test_a_ledger_that_is_away_is_asked_again_soon(business: PipelineBench, inbox: CountedSignals) -> None:
    inbox.away = True
    async with running(business):
        await asyncio.sleep(2)
    assert inbox.looks >= 2 / EVERY.total_seconds() - 1


@pytest.mark.parametrize("turns", range(5))
async def test_a_pipeline_that_is_cancelled_just_as_there_is_news_ends(turns: int, business: PipelineBench) -> None:
    task = asyncio.create_task(business.pipeline.run(EVERY))
    await asyncio.sleep(1)
    business.pipeline.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=60)
    assert task.cancelled(), task
