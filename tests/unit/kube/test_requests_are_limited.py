"""The API server gets no more requests from us than the settings say: reads wait, changes count and go, watches are exempt."""

import asyncio

import pytest

from kintsugi.errors import ServerUnavailable
from kintsugi.kube.api_errors import Request
from kintsugi.kube.transport import Throttle

pytestmark = pytest.mark.looptime

READ = Request(method="GET", path="/api/v1/pods")
CHANGE = Request(method="DELETE", path="/api/v1/pods/web-1", changes=True)
LONG = 1000.0


def now() -> float:
    """Return the seconds of virtual time."""
    return asyncio.get_running_loop().time()


async def moments(throttle: Throttle, requests: int) -> list[float]:
    """Let so many reads come at once; return when each went, in their order."""

    async def one() -> float:
        await throttle.pass_through(READ, within=LONG)
        return now()

    return list(await asyncio.gather(*(one() for _ in range(requests))))


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate_in_the_order_of_coming() -> None:
    assert await moments(Throttle(qps=2, burst=3), 6) == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5], abs=1e-3)


async def test_a_rest_fills_the_bucket_up_to_its_burst_and_no_further() -> None:
    throttle = Throttle(qps=2, burst=3)
    await moments(throttle, 3)
    await asyncio.sleep(100)
    began = now()
    went = [each - began for each in await moments(throttle, 4)]
    assert went == pytest.approx([0, 0, 0, 0.5], abs=1e-3)


async def test_a_change_never_waits_and_counts() -> None:
    throttle = Throttle(qps=1, burst=1)
    for _ in range(3):
        await throttle.pass_through(CHANGE, within=LONG)
    assert now() == 0
    assert await moments(throttle, 1) == pytest.approx([3.0], abs=1e-3)


async def test_a_read_that_would_wait_for_longer_than_it_may_take_is_not_sent_and_says_why() -> None:
    throttle = Throttle(qps=1, burst=1)
    await moments(throttle, 1)
    with pytest.raises(ServerUnavailable, match=r"nothing was sent: our own limit of 1 a second \(kube.qps\)"):
        await throttle.pass_through(READ, within=0.5)
    assert await moments(throttle, 1) == pytest.approx([1.0], abs=1e-3)


async def test_a_read_that_is_cancelled_while_it_waits_gives_its_place_back() -> None:
    throttle = Throttle(qps=1, burst=1)
    await moments(throttle, 1)
    waiting = asyncio.create_task(throttle.pass_through(READ, within=LONG))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await moments(throttle, 1) == pytest.approx([1.0], abs=1e-3)
