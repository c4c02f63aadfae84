"""How requests are written, limited, sent again within their deadline, and what is made of their answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NotFound,
    OutcomeUnknown,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
)
from kintsugi.kube.api_errors import TOO_LARGE_RESOURCE_VERSION, Request, refusal
from kintsugi.kube.client import encode
from kintsugi.kube.repeats import persist
from kintsugi.kube.transport import Throttle

READ = Request(method="GET", path="/api/v1/pods")
CHANGE = Request(method="DELETE", path="/api/v1/pods", changes=True)


def body(reason: str = "", **more: object) -> bytes:
    """Make a `Status`."""
    return json.dumps({"kind": "Status", "status": "Failure", "message": "so it is", "reason": reason} | more).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (405, Invalid),
        (409, Conflict),
        (410, Gone),
        (413, Invalid),
        (422, Invalid),
        (301, KubeError),
        (418, KubeError),
    ],
)
def test_a_refusal_is_the_same_for_reads_and_changes(status: int, kind: type[KubeError]) -> None:
    """Below 500 the server has decided: nothing is unknown."""
    for request in (READ, CHANGE):
        error = refusal(request, status, body("Why"))
        assert (type(error), error.status, error.reason, str(error)) == (kind, status, "Why", "so it is")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failure_leaves_a_change_unknown_and_a_read_unanswered(status: int) -> None:
    """P3, B9: the server may have applied it before it failed."""
    assert type(refusal(READ, status, b"")) is ServerUnavailable
    assert type(refusal(CHANGE, status, b"")) is OutcomeUnknown


def test_a_web_page_in_place_of_an_answer_is_shown_in_one_short_line() -> None:
    """A proxy's words, for whoever reads the log."""
    error = refusal(READ, 502, b"<html>\n<h1>502   Bad Gateway</h1>" + b"x" * 10_000)
    assert str(error).startswith("GET /api/v1/pods: HTTP 502 <html> <h1>502 Bad Gateway</h1>")
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("header", "details", "expected"),
    [
        ("7", {}, timedelta(seconds=7)),
        (None, {"retryAfterSeconds": 3}, timedelta(seconds=3)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", {"retryAfterSeconds": 3}, timedelta(seconds=3)),
        (None, {}, None),
    ],
)
def test_the_wait_that_an_overloaded_server_asks_for(
    header: str | None, details: dict[str, int], expected: timedelta | None
) -> None:
    """B8: from the header, or from the body."""
    error = refusal(READ, 429, body("TooManyRequests", details=details), header)
    assert isinstance(error, TooManyRequests)
    assert error.retry_after == expected


def test_an_expired_version_is_gone_whatever_its_code() -> None:
    """B1: clients go by the reason."""
    assert type(refusal(READ, 0, body("Expired"))) is Gone


def test_a_version_ahead_of_the_server_is_told_by_its_reason() -> None:
    """B6: by the cause, or by the sentence of older servers."""
    causes = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    assert refusal(READ, 504, body("Timeout", details=causes)).reason == TOO_LARGE_RESOURCE_VERSION
    older = body("Timeout", message="Timeout: Too large resource version: 9, current: 1")
    assert refusal(READ, 504, older).reason == TOO_LARGE_RESOURCE_VERSION


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("a && b", rb'"a \u0026\u0026 b"'),
        ("<2 2>&1", rb'"\u003c2 2\u003e\u00261"'),
        ("\u2028\u2029", rb'"\u2028\u2029"'),
        ("\\&\\u0026", rb'"\\\u0026\\u0026"'),
        ('\b\f\n\r\t\x01"/', rb'"\b\f\n\r\t\u0001\"/"'),
        ("\x7fé\U0001f600", '"\x7fé\U0001f600"'.encode()),
    ],
)
def test_a_text_is_spelled_as_the_api_server_spells_it(text: str, spelled: bytes) -> None:
    assert encode(text) == spelled


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_a_body_says_what_it_said(body: object) -> None:
    assert orjson.loads(encode(body)) == body


pytestmark = pytest.mark.looptime
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
