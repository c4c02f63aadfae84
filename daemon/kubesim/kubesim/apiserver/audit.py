"""The audit log: every request to the embedded API server, its answer, and whether it took effect."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import overload


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """
    One request as the server saw it.

    `status` is that of the answer, 0 while (or when) there is none; `applied` is whether an object changed, whatever
    the answer was; `clock` is the event loop's, in seconds.
    """

    time: datetime
    clock: float
    method: str
    path: str
    query: Mapping[str, str]
    user: str
    verb: str
    body: bytes = field(default=b"", repr=False)
    status: int = 0
    applied: bool = False
    fault: str = ""

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the body; empty for none."""
        return hashlib.sha256(self.body).hexdigest() if self.body else ""

    @property
    def mutating(self) -> bool:
        """Return whether the request asked for a change."""
        return self.method not in ("GET", "HEAD") and self.query.get("dryRun") != "All"


class Audit(Sequence[Request]):
    """Requests in the order of their arrival."""

    def __init__(self) -> None:
        self._requests: list[Request] = []

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> list[Request]: ...
    def __getitem__(self, index: int | slice) -> Request | list[Request]:
        return self._requests[index]

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(tuple(self._requests))

    def arrived(self, request: Request) -> int:
        """Write a request down; the answer is its place."""
        self._requests.append(request)
        return len(self._requests) - 1

    def answered(self, place: int, status: int, *, applied: bool, fault: str = "") -> None:
        """Write down how a request ended."""
        self._requests[place] = replace(self._requests[place], status=status, applied=applied, fault=fault)

    def changes(self) -> list[Request]:
        """List the requests that took effect."""
        return [request for request in self._requests if request.applied]

    def clear(self) -> None:
        """Forget what was seen; requests under way must have ended."""
        self._requests.clear()
