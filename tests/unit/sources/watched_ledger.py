"""The in-memory ledger under a watch: what it was told of is noted, and what happens while it commits is up to the test."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from kintsugi.ledger import Ledger
from kintsugi.ledger.signals.deliveries import Accepted, Evaluate
from kintsugi.ledger.signals.signals import Signals
from kintsugi.ledger.store.transactions import Store
from kintsugi.model.records import PendingMatch, Signal, SignalSource, SignalStatus
from tests.harness.ledgers import Outage, in_memory
from tests.unit.factories import NOW


def nothing() -> None:
    """Let nothing happen meanwhile."""


class Meanwhile(Outage):
    """Failpoints at which something happens while a commit is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: Callable[[], None] = nothing

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Let it happen, unless the ledger is away."""
        super().hit(kind, name, before=before)
        if before:
            self.happens()


class NotedSignals(Signals):
    """Signals whose status is noted once they are taken."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.told: list[SignalStatus] = []

    async def accept(self, signals: Sequence[Signal], now: datetime, evaluate: Evaluate | None = None) -> Accepted:
        """Take signals, and note them."""
        accepted = await super().accept(signals, now, evaluate)
        self.told += [each.status for each in signals]
        return accepted


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedLedger:
    """A ledger, its failpoints, and what was told to it."""

    ledger: Ledger
    failpoints: Meanwhile
    told: list[SignalStatus]

    async def kept(self) -> dict[tuple[str, str], PendingMatch]:
        """Return the conditions that hold, by rule and uid."""
        return {(each.rule, each.target.uid): each for each in await self.ledger.signals.conditions()}

    async def firing(self) -> tuple[Signal, ...]:
        """Return the watch's signals that fire."""
        return await self.ledger.signals.firing(SignalSource.WATCH)

    async def keep(self, *began: PendingMatch, ended: Sequence[tuple[str, str]] = ()) -> None:
        """Keep conditions as another process has left them."""
        await self.ledger.signals.save_conditions(began, ended)


@asynccontextmanager
async def watched_ledger() -> AsyncIterator[WatchedLedger]:
    """Lead such a ledger, without rows."""
    failpoints = Meanwhile()
    async with in_memory(NOW, failpoints) as ledger:
        ledger.signals = signals = NotedSignals(ledger._store)
        yield WatchedLedger(ledger=ledger, failpoints=failpoints, told=signals.told)
