"""The pipeline looks into the inbox when there is news or a verdict ends, and hardly ever else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from kintsugi.errors import LedgerUnavailable
from kintsugi.model.records import Signal
from kintsugi.pipeline.pipeline import IDLE
from tests.unit.factories import moment
from tests.unit.pipeline.business import Business, alert

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(600)]

EVERY = timedelta(milliseconds=200)


@asynccontextmanager
async def running(business: Business) -> AsyncIterator[None]:
    """Let the pipeline run meanwhile."""
    task = asyncio.create_task(business.pipeline.run(EVERY))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_idle_inbox_is_hardly_looked_into() -> None:
    business = Business()
    async with running(business):
        await asyncio.sleep(60)
    assert business.inbox.looks <= 60 / IDLE.total_seconds() + 1


async def test_what_is_new_is_judged_at_once() -> None:
    business = Business()
    async with running(business):
        await asyncio.sleep(1)
        told = alert()
        business.inbox.due.append(told)
        business.pipeline.wake()
        await asyncio.sleep(0.01)
        assert told.id in business.inbox.settled


async def test_a_provisional_verdict_is_looked_at_when_it_ends() -> None:
    business = Business()
    business.inbox.next_due = moment(seconds=2)
    async with running(business):
        await asyncio.sleep(1.9)
        assert business.inbox.looks == 1
        await asyncio.sleep(0.2)
        assert business.inbox.looks == 2


async def test_a_ledger_that_is_away_is_asked_again_soon() -> None:
    business = Business()

    async def away(_now: object, limit: int = 500) -> tuple[Signal, ...]:
        business.inbox.looks += 1
        raise LedgerUnavailable("away")

    business.inbox.due_signals = away  # type: ignore[method-assign]
    async with running(business):
        await asyncio.sleep(2)
    assert business.inbox.looks >= 2 / EVERY.total_seconds() - 1
