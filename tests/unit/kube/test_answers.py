"""From the API server's answers to errors."""

import json
from datetime import timedelta

import pytest

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
