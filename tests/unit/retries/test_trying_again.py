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


@pytest.mark.parametrize(
    ("waits", "passes", "tried"),
    [
        (WAITS, is_away, [0, 1, 3, 7, 12, 17]),
        (Waits.of(timedelta(seconds=2)), is_away, [0, 2, 4, 6]),
        (WAITS, lambda _: timedelta(seconds=9), [0, 9, 18]),
    ],
    ids=["doubled up to the longest", "of one length", "as the failure asks"],
)
async def test_the_waits_between_attempts(
    waits: Waits, passes: Callable[[Exception], bool | timedelta], tried: list[float]
) -> None:
    attempt, times = attempts_of(*away(len(tried) - 1))
    assert await retry(attempt, passes, waits) == "done"
    assert times == tried


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
