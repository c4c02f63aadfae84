"""The inbox for the webhook and the poller: signals and dead letters."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from kintsugi.ledger.dead_letters import DeadLetterRepository
from kintsugi.ledger.inbox import Accepted
from kintsugi.ledger.signals import SignalRepository
from kintsugi.model.records import DeadLetter, Signal, SignalSource


class DeliveryInbox(Protocol):
    """The port that makes signals durable. A caller that is cancelled does not take its signals back."""

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> object: ...

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None: ...


class SignalInbox(DeliveryInbox, Protocol):
    """A DeliveryInbox that also returns the open episodes."""

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]: ...


class LedgerInbox:
    """The ledger's inbox."""

    def __init__(self, signals: SignalRepository, dead_letters: DeadLetterRepository) -> None:
        self._signals, self._dead_letters = signals, dead_letters

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> Accepted:
        """Commit signals: see `SignalRepository.accept`."""
        return await self._signals.accept(delivered, now)

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep deliveries that could not be understood."""
        await self._dead_letters.keep(letters)

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]:
        """Return the open episodes of these sources."""
        return await self._signals.firing(*sources)
