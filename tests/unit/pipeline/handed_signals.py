"""Signals that are due without having been kept: for tests of what judging costs, with more text than a ledger is given."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from kintsugi.ledger.signals import SignalRepository
from kintsugi.ledger.store import Store
from kintsugi.model.records import Signal, Verdict


class HandedSignals(SignalRepository):
    """The signals of a test, until each has its verdict; nothing of them is written down."""

    def __init__(self, store: Store, given: Sequence[Signal] = ()) -> None:
        super().__init__(store)
        self.given = given
        self.settled: dict[str, Verdict] = {}

    async def due(self, now: datetime, limit: int = 500) -> tuple[Signal, ...]:
        """Return what has no verdict yet."""
        return tuple(each for each in self.given if each.id not in self.settled)[:limit]

    async def settle(self, verdicts: Mapping[str, Verdict], now: datetime) -> None:
        """Note verdicts."""
        self.settled |= verdicts
