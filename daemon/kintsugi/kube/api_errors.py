"""Translates refusals of the API server: from an HTTP status and a `Status` body to one of our errors."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec

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

UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""The errors of unreadable JSON: nesting beyond any real object, and wrong UTF-8, have errors of their own."""

LONGEST_RETRY_AFTER = timedelta(days=1)
"""The longest wait that a server's word is taken for: a longer one means nothing, and may not fit into a duration."""

LONGEST_MESSAGE = 4000
"""Characters of a server's sentence that are kept."""

_SECONDS = re.compile(r"[0-9]{1,9}")

DISRUPTION_BUDGET = "DisruptionBudget"
TOO_LARGE_RESOURCE_VERSION = "ResourceVersionTooLarge"


class StatusCause(msgspec.Struct, frozen=True):
    """One reason of several in a `Status`."""

    reason: str = ""
    message: str = ""
    field: str = ""


class Details(msgspec.Struct, frozen=True, rename="camel"):
    """The details of a `Status`."""

    causes: tuple[StatusCause, ...] | None = None
    retry_after_seconds: int = 0


class Status(msgspec.Struct, frozen=True):
    """The API server's own description of a failure; also the object of an ERROR event in a watch."""

    code: int = 0
    status: str = ""
    reason: str = ""
    message: str = ""
    details: Details | None = None

    @property
    def causes(self) -> tuple[StatusCause, ...]:
        """Return the causes; none when the server gave none."""
        return (self.details.causes or ()) if self.details else ()

    def has_cause(self, reason: str) -> bool:
        """Return whether one of the causes has this reason."""
        return any(cause.reason == reason for cause in self.causes)

    @property
    def too_large(self) -> bool:
        """Return whether the resourceVersion we named is ahead of what this server has seen."""
        return self.has_cause(TOO_LARGE_RESOURCE_VERSION) or "Too large resource version" in self.message


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """
    One request. `changes` says whether an unanswered one may have changed something (a dry run cannot).

    `accept` is the wanted form of the answer, "" for the server's own.
    """

    method: str
    path: str
    params: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    content_type: str = "application/json"
    changes: bool = False
    tests: bool = False
    accept: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


_GONE = ("Expired", "Gone")
_BY_STATUS: Mapping[int, type[KubeError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    406: Invalid,
    409: Conflict,
    410: Gone,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}


def refusal(request: Request, http_status: int, body: bytes, retry_after: str | None = None) -> KubeError:
    """
    Return the error for an answer that is not a success.

    A 5xx answer to a change leaves its outcome unknown: the server may have applied it before it failed. A JSON patch
    whose `test` fails, or that has a path which leads nowhere, is answered 422 without a cause, and is a Conflict: the object is not as
    it was judged.
    """
    status = read_status(body)
    excerpt = " ".join(body[:200].decode(errors="replace").split())
    message = status.message[:LONGEST_MESSAGE] or f"{request}: HTTP {http_status} {excerpt}".rstrip()
    if http_status == 429:
        reason = DISRUPTION_BUDGET if status.has_cause(DISRUPTION_BUDGET) else status.reason
        return TooManyRequests(message, retry_after=_retry_after(status, retry_after), reason=reason)
    if http_status == 422 and request.tests and not status.causes:
        why = "a field is not as it was judged, or a path does not exist"
        return Conflict(f"{request}: refused: {why} ({message})", status=422, reason=status.reason)
    if status.reason in _GONE:
        return Gone(message, status=http_status, reason=status.reason)
    if http_status >= 500:
        kind: type[KubeError] = OutcomeUnknown if request.changes else ServerUnavailable
        reason = TOO_LARGE_RESOURCE_VERSION if status.too_large else status.reason
        return kind(f"{request}: {message}" if status.message else message, status=http_status, reason=reason)
    return _BY_STATUS.get(http_status, KubeError)(message, status=http_status, reason=status.reason)


def unanswered(request: Request, why: str) -> KubeError:
    """Return the error for a request that was sent and got no answer that could be read."""
    kind = OutcomeUnknown if request.changes else ServerUnavailable
    return kind(f"{request}: {why}")


def read_status(body: bytes) -> Status:
    """Read a `Status`; an empty one when the body is something else (a proxy's HTML page)."""
    try:
        return msgspec.json.decode(body, type=Status)
    except UNREADABLE:
        return Status()


def _retry_after(status: Status, header: str | None) -> timedelta | None:
    longest = int(LONGEST_RETRY_AFTER.total_seconds())
    if header is not None and header.strip().isdecimal():
        found = _SECONDS.fullmatch(header.strip())
        return timedelta(seconds=min(int(found[0]), longest) if found else longest)
    seconds = status.details.retry_after_seconds if status.details else 0
    return timedelta(seconds=min(seconds, longest)) if seconds > 0 else None
