"""How long a delivery waits for its commit: for a queue that moves, not for a ledger that hangs (A4, A5)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.errors import LedgerUnavailable
from kintsugi.model.records import DeadLetter, Signal
from kintsugi.server.webhook import CommitQueue
from kintsugi.sources.alertmanager import decode
from kintsugi.telemetry import Metrics
from tests.unit.sources.webhooks import NOW, alert, webhook

pytestmark = pytest.mark.looptime


class SlowInbox:
    """Commits one call after the other, each in `seconds`; hangs when `seconds` is None."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.sizes: list[int] = []
        self._turn = asyncio.Lock()

    async def accept(self, delivered: Sequence[Signal], now: object) -> None:
        async with self._turn:
            if self.seconds is None:
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(self.seconds)
            self.sizes.append(len(delivered))

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        raise AssertionError("no dead letters here")


def signals(count: int) -> list[Signal]:
    (one,) = decode(webhook(alert()), NOW).signals
    return [replace(one, id=str(number), key=str(number)) for number in range(count)]


def commits(inbox: SlowInbox, *, most_waiting: int = 10_000) -> CommitQueue:
    return CommitQueue(inbox, Metrics(), most_waiting=most_waiting, commit_wait=timedelta(milliseconds=800))


async def test_a_ledger_that_hangs_is_given_up_within_a_second() -> None:
    """Covers A5: the sender learns soon that nothing was taken."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    with pytest.raises(LedgerUnavailable, match="committed nothing for"):
        await commits(SlowInbox(None)).commit(signals(1), NOW)

    assert 0.8 <= loop.time() - began < 1


async def test_a_queue_that_moves_is_waited_for() -> None:
    """Ten deliveries wait up to 5 seconds, and none is refused, since one is committed every half second."""
    inbox = SlowInbox(0.5)
    under_test = commits(inbox)

    await asyncio.gather(*(under_test.commit(signals(1), NOW) for _ in range(10)))

    assert inbox.sizes == [1] * 10


async def test_a_very_large_delivery_is_handed_over_in_pieces() -> None:
    inbox = SlowInbox(0.5)

    await commits(inbox).commit(signals(3500), NOW)

    assert inbox.sizes == [1000, 1000, 1000, 500]


async def test_above_the_mark_a_delivery_is_refused_at_once() -> None:
    """Covers A4: what waits is bounded."""
    under_test = commits(SlowInbox(0.5), most_waiting=100)
    waiting = asyncio.create_task(under_test.commit(signals(90), NOW))
    await asyncio.sleep(0)

    with pytest.raises(LedgerUnavailable, match="90 alerts already wait"):
        await under_test.commit(signals(20), NOW)
    await waiting
    await under_test.commit(signals(20), NOW)


async def test_a_delivery_larger_than_the_mark_is_taken_when_nothing_waits() -> None:
    """Otherwise it could never be delivered: Alertmanager sends it again at the same size."""
    inbox = SlowInbox(0)

    await commits(inbox, most_waiting=100).commit(signals(500), NOW)

    assert inbox.sizes == [500]
