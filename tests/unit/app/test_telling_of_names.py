"""A person is told, once, that the cluster's names do not resolve where the daemon runs."""

from datetime import UTC, datetime

import pytest

from kintsugi.app.names import ResolverNotice, notice_of
from kintsugi.errors import LedgerUnavailable

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)


class MemoryOutbox:
    """The notices, and whether the ledger is away."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.away = False

    async def tell_of_daemon(self, text: str, now: datetime) -> None:
        if self.away:
            raise LedgerUnavailable("the disk is full")
        self.told.append(text)


async def test_a_problem_is_told_once_and_again_only_when_it_has_come_back() -> None:
    outbox = MemoryOutbox()
    names = ResolverNotice(outbox, clock=lambda: NOW)
    await names.step()
    names.hear("no answer")
    await names.step()
    await names.step()
    assert outbox.told == [notice_of("no answer")]
    names.hear("")
    await names.step()
    names.hear("no answer")
    await names.step()
    assert outbox.told == 2 * [notice_of("no answer")]


async def test_a_problem_that_is_over_before_the_next_look_calls_nobody() -> None:
    outbox = MemoryOutbox()
    names = ResolverNotice(outbox, clock=lambda: NOW)
    names.hear("no answer")
    names.hear("")
    await names.step()
    assert outbox.told == []


async def test_a_problem_is_told_once_the_ledger_is_back() -> None:
    outbox = MemoryOutbox()
    names = ResolverNotice(outbox, clock=lambda: NOW)
    names.hear("no answer")
    outbox.away = True
    with pytest.raises(LedgerUnavailable):
        await names.step()
    outbox.away = False
    await names.step()
    assert outbox.told == [notice_of("no answer")]
