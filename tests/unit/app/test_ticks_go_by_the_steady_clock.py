"""The clock's looks come by the event loop's time, whatever the wall clock is set to (C9)."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from kintsugi.app.clock import Clock
from kintsugi.errors import LedgerUnavailable

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(20)]

SECOND = timedelta(seconds=1)


def now() -> float:
    """Give the time of the event loop."""
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("shift", [timedelta(hours=-1), timedelta(hours=1), timedelta(days=36500)])
async def test_a_wall_clock_that_is_set_neither_silences_nor_multiplies_ticks(shift: timedelta) -> None:
    """A machine without a clock of its own starts in 1970, and is set right in mid-run."""
    clock, ticks = Clock(), list[float]()

    async def tick() -> None:
        ticks.append(now())

    clock.every(SECOND, "a look", tick)
    clock.start()
    with time_machine.travel(datetime.now(UTC) + shift):
        await asyncio.sleep(5.5)
    await clock.stop()
    assert ticks == [1, 2, 3, 4, 5]


async def test_a_look_that_takes_long_never_overlaps_itself_and_is_not_made_up_for_many_times() -> None:
    clock, begun = Clock(), list[float]()

    async def slow() -> None:
        begun.append(now())
        await asyncio.sleep(2.5 if len(begun) == 1 else 0)

    clock.every(SECOND, "slow", slow)
    clock.start()
    await asyncio.sleep(5.6)
    await clock.stop()
    assert begun == [1, 3.5, 4.5, 5.5]


@pytest.mark.parametrize("trouble", [LedgerUnavailable("away"), RuntimeError("a mistake")])
async def test_a_look_that_fails_comes_again_and_holds_up_no_other(trouble: Exception) -> None:
    clock, looks = Clock(), list[str]()

    async def fails() -> None:
        looks.append("fails")
        raise trouble

    async def works() -> None:
        looks.append("works")

    clock.every(SECOND, "fails", fails)
    clock.every(SECOND, "works", works)
    clock.start()
    await asyncio.sleep(3.5)
    await clock.stop()
    assert sorted(looks) == ["fails"] * 3 + ["works"] * 3


async def test_a_clock_that_is_stopped_ticks_no_more() -> None:
    clock, ticks = Clock(), list[float]()

    async def tick() -> None:
        ticks.append(now())

    clock.every(SECOND, "a look", tick)
    clock.start()
    await asyncio.sleep(1.5)
    await clock.stop()
    await asyncio.sleep(10)
    assert ticks == [1]
