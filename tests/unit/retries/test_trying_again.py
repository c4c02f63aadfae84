"""What failed is tried again: after which waits, how often, and who decides."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from kintsugi.errors import LedgerUnavailable
from kintsugi.retries import Waits, retry

pytestmark = pytest.mark.looptime

WAITS = Waits(first=timedelta(seconds=1), longest=timedelta(seconds=5))


def attempts_of(*failures: Exception) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """Return what fails so and then returns, and the list of when it was tried."""
    left, times = list(failures), list[float]()

    async def attempt() -> str:
        times.append(asyncio.get_running_loop().time())
        if left:
            raise left.pop(0)
        return "done"

    return attempt, times


def away(times: int) -> list[LedgerUnavailable]:
    """Return failures that may pass."""
    return [LedgerUnavailable("away")] * times


def is_away(error: Exception) -> bool:
    """Return whether a failure may pass."""
    return isinstance(error, LedgerUnavailable)


async def test_waits_double_up_to_the_longest() -> None:
    attempt, times = attempts_of(*away(5))
    assert await retry(attempt, is_away, WAITS) == "done"
    assert times == [0, 1, 3, 7, 12, 17]


async def test_waits_of_one_length_stay_as_they_are() -> None:
    attempt, times = attempts_of(*away(3))
    assert await retry(attempt, is_away, Waits.of(timedelta(seconds=2))) == "done"
    assert times == [0, 2, 4, 6]


async def test_a_wait_that_the_failure_asks_for_takes_the_place_of_the_usual_one() -> None:
    attempt, times = attempts_of(*away(2))
    assert await retry(attempt, lambda _: timedelta(seconds=9), WAITS) == "done"
    assert times == [0, 9, 18]


async def test_a_failure_that_does_not_pass_is_raised_at_once() -> None:
    attempt, times = attempts_of(*away(1), ValueError("a bug"), *away(1))
    with pytest.raises(ValueError, match="a bug"):
        await retry(attempt, is_away, WAITS)
    assert times == [0, 1]


async def test_the_last_of_so_many_attempts_raises_its_failure() -> None:
    attempt, times = attempts_of(*away(9))
    with pytest.raises(LedgerUnavailable):
        await retry(attempt, is_away, WAITS, attempts=3)
    assert times == [0, 1, 3]


async def test_a_wait_that_is_cancelled_ends_the_attempts() -> None:
    attempt, times = attempts_of(*away(9))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await retry(attempt, is_away, WAITS)
    assert times == [0, 1]


async def test_trying_again_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The output of a command line that sets up no log is read by programs."""
    attempt, _ = attempts_of(*away(1))
    await retry(attempt, is_away, WAITS)
    assert capsys.readouterr() == ("", "")
