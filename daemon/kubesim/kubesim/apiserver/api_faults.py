"""
Faults of the API itself, selected by verb, path and count, for tests of clients.

The server asks `take` for each request; open watches are struck with `strike`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from kubesim.apiserver.watches import Stream, error_event
from kubesim.storage.status import ApiRefusal, expired, too_many_requests, unauthorized


class FaultKind(StrEnum):
    """The kind of a fault."""

    TOO_MANY = "too-many"
    ERROR = "error"
    UNAUTHORIZED = "unauthorized"
    GONE = "gone"
    EXPIRED_CONTINUE = "expired-continue"
    HANG = "hang"
    RESET = "reset"
    SLOW = "slow"
    APPLY_THEN_504 = "apply-then-504"
    APPLY_THEN_RESET = "apply-then-reset"
    HTML = "html"
    GONE_IN_STREAM = "gone-in-stream"
    CUT = "cut"
    TORN = "torn"
    SILENT = "silent"


STREAM_KINDS: Final = frozenset({FaultKind.GONE_IN_STREAM, FaultKind.CUT, FaultKind.TORN, FaultKind.SILENT})
REFUSALS: Final = frozenset({FaultKind.TOO_MANY, FaultKind.ERROR, FaultKind.UNAUTHORIZED, FaultKind.GONE})
TORN_LINE: Final = b'{"type":"MODIFIED","object":{"kind":"Pod","apiVe'


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """
    An order: this, for the next `times` requests (None: for all) with this verb and path.

    `verb` is the API's (`list`, `watch`, `delete`, …), `path` a shell pattern; `*` is any. `after` is the number
    of events that a watch gets before it is struck.
    """

    kind: FaultKind
    verb: str = "*"
    path: str = "*"
    times: int | None = 1
    status: int = 500
    retry_after: int = 1
    delay: timedelta = timedelta(seconds=1)
    after: int = 0

    def meets(self, verb: str, path: str, *, continued: bool) -> bool:
        """Return whether the order is for this request."""
        if self.kind in STREAM_KINDS and verb != "watch":
            return False
        if self.kind is FaultKind.EXPIRED_CONTINUE and not continued:
            return False
        return self.verb in ("*", verb) and fnmatchcase(path, self.path)

    def refusal(self) -> ApiRefusal:
        """Write the refusal of a fault of `REFUSALS`."""
        match self.kind:
            case FaultKind.TOO_MANY:
                message = "too many requests, please try again later"
                return too_many_requests(message, retry_after=self.retry_after)
            case FaultKind.UNAUTHORIZED:
                return unauthorized()
            case FaultKind.GONE:
                return expired("too old resource version: 1 (2)")
            case _:
                message = "Internal error occurred: etcdserver: leader changed"
                return ApiRefusal(self.status, "InternalError", message, {})


class ApiFaults:
    """Keep the orders, and the open watches that can be struck at once."""

    def __init__(self) -> None:
        self._orders: list[tuple[Fault, int | None]] = []
        self._streams: set[Stream] = set()
        self.bookmarks = True

    def order(self, fault: Fault) -> None:
        """Order a fault for requests to come; orders are served first come, first served."""
        self._orders.append((fault, fault.times))

    def clear(self) -> None:
        """Withdraw every order."""
        self._orders.clear()

    def take(self, verb: str, path: str, *, continued: bool = False) -> Fault | None:
        """Find the fault of a request, and count it."""
        for place, (fault, left) in enumerate(self._orders):
            if fault.meets(verb, path, continued=continued):
                self._count(place, fault, left)
                return fault
        return None

    def strike(self, kind: FaultKind, path: str = "*") -> int:
        """Strike the open watches on a path now; the answer is how many were struck."""
        struck = [stream for stream in self._streams if fnmatchcase(stream.path, path)]
        for stream in struck:
            apply_to_stream(kind, stream)
        return len(struck)

    def opened(self, stream: Stream) -> None:
        """Note an open watch."""
        self._streams.add(stream)

    def closed(self, stream: Stream) -> None:
        """Forget a watch that has ended."""
        self._streams.discard(stream)

    def open_watches(self) -> Iterable[str]:
        """Name the paths of the open watches."""
        return sorted(stream.path for stream in self._streams)

    def _count(self, place: int, fault: Fault, left: int | None) -> None:
        if left is None:
            return
        if left <= 1:
            del self._orders[place]
        else:
            self._orders[place] = (fault, left - 1)


def apply_to_stream(kind: FaultKind, stream: Stream) -> None:
    """Do to an open watch what a fault of `STREAM_KINDS` says."""
    match kind:
        case FaultKind.GONE_IN_STREAM:
            stream.send(error_event(expired("The resourceVersion for the provided watch is too old.")))
            stream.end()
        case FaultKind.TORN:
            stream.send_raw(TORN_LINE)
            stream.end()
        case FaultKind.SILENT:
            stream.silent = True
        case _:
            stream.end()
