"""A request that is sent again within its deadline, and what is said of it when that has passed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from kintsugi.errors import KubeError, OutcomeUnknown, ServerUnavailable, TooManyRequests
from kintsugi.kube.api_errors import Request
from kintsugi.kube.repeats import persist

pytestmark = pytest.mark.looptime

READ = Request(method="GET", path="/api/v1/pods/web-1")
CHANGE = Request(method="DELETE", path="/api/v1/pods/web-1", changes=True)
REFUSED = ServerUnavailable("no connection, nothing was sent: the certificate is not yet valid")
OVERLOADED = TooManyRequests("too many requests", retry_after=timedelta(seconds=1), reason="")


def fails(*errors: KubeError) -> Callable[[Request], Awaitable[bytes]]:
    """Return a way to send whose attempts fail with these errors in turn, and then get no answer."""
    left = list(errors)

    async def send(_request: Request) -> bytes:
        if left:
            raise left.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("never")

    return send


async def test_the_last_error_is_raised_when_the_deadline_passes_between_two_attempts() -> None:
    with pytest.raises(ServerUnavailable) as raised:
        await persist(fails(*[REFUSED] * 1000), READ, timedelta(seconds=10))
    assert raised.value is REFUSED


async def test_an_attempt_that_the_deadline_cuts_off_names_the_error_of_the_one_before() -> None:
    with pytest.raises(ServerUnavailable, match=r"no answer within 30 s; the attempt before: .* is not yet valid"):
        await persist(fails(REFUSED), READ, timedelta(seconds=30))


async def test_a_change_is_sent_once_whatever_becomes_of_it() -> None:
    with pytest.raises(TooManyRequests):
        await persist(fails(OVERLOADED), CHANGE, timedelta(seconds=30))
    with pytest.raises(OutcomeUnknown, match=r"no answer within 30 s$"):
        await persist(fails(), CHANGE, timedelta(seconds=30))


async def test_a_request_that_never_got_an_answer_says_so_alone() -> None:
    with pytest.raises(ServerUnavailable, match=r"no answer within 30 s$"):
        await persist(fails(), READ, timedelta(seconds=30))
