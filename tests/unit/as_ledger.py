"""A ledger whose aggregates are all one object of a test's own, which has their methods under the names that it gave them."""

from typing import Any, cast

NAMES = {
    ("incidents", "get"): "incident",
    ("incidents", "newest"): "incidents",
    ("signals", "due"): "due_signals",
    ("signals", "of_incident"): "signals_of",
}
"""What such an object calls a method whose name says nothing without its aggregate's."""


def as_ledger(kept: object) -> Any:
    """Return a ledger that asks `kept`."""
    return _Ledger(kept)


class _Ledger:
    def __init__(self, kept: object) -> None:
        self._kept = kept

    async def commit(self, *writes: Any) -> Any:
        """Commit as `kept` does."""
        return await cast("Any", self._kept).commit(*writes)

    def __getattr__(self, aggregate: str) -> "_Aggregate":
        return _Aggregate(self._kept, aggregate)


class _Aggregate:
    def __init__(self, kept: object, aggregate: str) -> None:
        self._kept, self._aggregate = kept, aggregate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept, NAMES.get((self._aggregate, name), name))
