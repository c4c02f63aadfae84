"""A ledger whose repositories are all one object of a test's own, which has their methods under the names that it gave them."""

from typing import Any, cast

NAMES = {
    ("approvals", "of_incident"): "approvals",
    ("approvals", "of_incidents"): "approvals_of",
    ("diagnoses", "of_incident"): "diagnoses_of",
    ("drills", "memories"): "drills",
    ("evidence", "keep"): "keep_evidence",
    ("evidence", "of_run"): "evidence",
    ("incidents", "get"): "incident",
    ("incidents", "newest"): "incidents",
    ("pauses", "in_force"): "pauses",
    ("pauses", "since"): "pauses_since",
    ("runs", "get"): "run",
    ("runs", "of_incident"): "runs_of",
    ("signals", "due"): "due_signals",
    ("signals", "of_incident"): "signals_of",
    ("triggers", "of_incident"): "trigger_of",
}
"""What such an object calls a method whose name says nothing without its repository's."""


def as_ledger(kept: object) -> Any:
    """Return a ledger that asks `kept`."""
    return _Ledger(kept)


class _Ledger:
    def __init__(self, kept: object) -> None:
        self._kept = kept

    async def commit(self, *writes: Any) -> Any:
        """Commit as `kept` does."""
        return await cast("Any", self._kept).commit(*writes)

    def __getattr__(self, repository: str) -> "_Repository":
        return _Repository(self._kept, repository)


class _Repository:
    def __init__(self, kept: object, repository: str) -> None:
        self._kept, self._repository = kept, repository

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept, NAMES.get((self._repository, name), name))
