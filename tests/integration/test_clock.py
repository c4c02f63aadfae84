"""The clock's looks come again, whatever the wall clock is set to; a mistake in one ends the daemon (C8, C9)."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from kintsugi.app.periodic_jobs import PeriodicJobs
from kintsugi.errors import LedgerUnavailable
from tests.harness.waiting import eventually

OFTEN = timedelta(milliseconds=20)


class CountedTicks:
    """Counts its looks; `trouble` is what each of them raises."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.count = 0
        self.trouble = trouble

    async def __call__(self) -> None:
        self.count += 1
        if self.trouble is not None:
            raise self.trouble

    async def come(self, more: int) -> None:
        """Wait for so many more of them."""
        wanted = self.count + more
        await eventually(
            lambda: self.count >= wanted, within=10, every=0.01, describe=lambda: f"{self.count} of {wanted} looks"
        )


def never(name: str, error: BaseException) -> None:
    """Let nothing go wrong."""
    raise AssertionError(f"{name}: {error}")


@pytest.mark.parametrize("shift", [timedelta(hours=-1), timedelta(hours=1), timedelta(days=20_000)], ids=str)
async def test_ticks_begin_anew_once_the_wall_clock_was_set(shift: timedelta) -> None:
    """Set back, the scheduler is silent; set forward, as on a machine that starts in 1970, it makes up for no interval."""
    clock, looks = PeriodicJobs(never), CountedTicks()
    clock.every(OFTEN, "a look", looks)
    clock.start()
    await looks.come(2)
    with time_machine.travel(datetime.now(UTC) + shift):
        clock.restart_ticks()
        await looks.come(3)
    await clock.stop()


async def test_a_look_that_waits_for_the_ledger_comes_again_and_holds_up_no_other() -> None:
    clock, waits, works = PeriodicJobs(never), CountedTicks(LedgerUnavailable("away")), CountedTicks()
    clock.every(OFTEN, "waits", waits)
    clock.every(OFTEN, "works", works)
    clock.start()
    await waits.come(3)
    await works.come(3)
    await clock.stop()


async def test_a_look_that_goes_wrong_unexpectedly_is_told_by_name() -> None:
    """C8: the daemon ends, loudly, rather than live on half."""
    heard: list[tuple[str, BaseException]] = []

    def hear(name: str, error: BaseException) -> None:
        heard.append((name, error))

    mistake = RuntimeError("a mistake")
    clock, looks = PeriodicJobs(hear), CountedTicks(mistake)
    clock.every(OFTEN, "a look", looks)
    clock.start()
    await looks.come(1)
    await eventually(lambda: heard, within=10, every=0.01, describe=lambda: heard)
    await clock.stop()
    assert heard[0] == ("a look", mistake)


async def test_a_stopped_clock_has_waited_for_the_look_under_way_to_leave_the_ledger() -> None:
    """What is closed next, the ledger among it, is used by no look any more; one that would be hangs the whole stop."""
    begun, left = asyncio.Event(), asyncio.Event()

    async def look() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            for _ in range(10):  # as a connection is given back
                await asyncio.sleep(0)
            left.set()

    clock = PeriodicJobs(never)
    clock.every(OFTEN, "a look", look)
    clock.start()
    async with asyncio.timeout(60):
        await begun.wait()
        await clock.stop()
    assert left.is_set()
