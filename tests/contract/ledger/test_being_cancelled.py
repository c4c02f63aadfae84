"""A caller that is cancelled leaves no transaction behind."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.known import GoodRevision
from tests.contract.ledger.build import NOW, signal

_MOMENTS = 60


@pytest.fixture
def _nothing_collected() -> Iterator[None]:
    """Keep the garbage: a transaction that is left behind ends when its connection is collected, by luck."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_nothing_collected")
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
async def test_a_write_after_one_that_was_cancelled_at_any_moment_is_made(ledger: Ledger, again: bool) -> None:
    """A run whose deadline comes while it writes must not lock the ledger for itself and for everybody else."""
    for moment in range(_MOMENTS):
        writing = asyncio.create_task(ledger.revisions.note_good([revision("cut", each) for each in range(3)]))
        await asyncio.sleep(moment * 0.0002)
        writing.cancel()
        if again:
            await asyncio.sleep(0)
            writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await ledger.revisions.note_good([revision("whole", moment)])

    assert len(await ledger.revisions.good_revisions("whole")) == _MOMENTS


def revision(workload: str, number: int) -> GoodRevision:
    """Return a revision that was seen good."""
    return GoodRevision(workload=workload, template=f"t-{number}", number=number, first_good=NOW, last_good=NOW)


@pytest.mark.usefixtures("_nothing_collected")
async def test_a_reading_that_was_cancelled_at_any_moment_leaves_the_next_one_its_connection(ledger: Ledger) -> None:
    await ledger.signals.accept([signal(key="there")], NOW)
    for moment in range(_MOMENTS):
        reading = asyncio.create_task(ledger.signals.firing())
        await asyncio.sleep(moment * 0.0002)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        assert [each.key for each in await ledger.signals.firing()] == ["there"]
