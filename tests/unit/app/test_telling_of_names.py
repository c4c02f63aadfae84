"""A person is told, once, that the cluster's names do not resolve where the daemon runs."""

from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.app.resolver_notice import ResolverNotice, notice_of
from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import Ledger
from tests.harness.ledgers import Outage, in_memory

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)


async def told(ledger: Ledger) -> list[str]:
    """List the notices that wait to be sent."""
    return [notice.text for notice in await ledger.outbox.due_notices(NOW + timedelta(days=1))]


async def test_a_problem_is_told_once_and_again_only_when_it_has_come_back(ledger: Ledger) -> None:
    moments = iter((NOW, NOW + timedelta(hours=2)))
    names = ResolverNotice(ledger.outbox, clock=lambda: next(moments))
    await names.step()
    names.hear("no answer")
    await names.step()
    await names.step()
    assert await told(ledger) == [notice_of("no answer")]
    names.hear("")
    await names.step()
    names.hear("no answer")
    await names.step()
    assert await told(ledger) == 2 * [notice_of("no answer")]


class Answers:
    """Names that resolve or do not, and how often they are asked."""

    def __init__(self, names: ResolverNotice, *, resolves: bool) -> None:
        self.names = names
        self.answer = resolves
        self.asked = 0

    async def resolves(self) -> bool:
        self.asked += 1
        return self.answer

    async def recheck(self) -> None:
        self.asked += 1
        self.names.hear("" if self.answer else "no answer")


async def test_names_that_resolved_and_do_no_longer_are_a_sign_until_they_resolve_again(ledger: Ledger) -> None:
    """E32: they are asked again while they do not: no run might be left that would notice."""
    names = ResolverNotice(ledger.outbox, clock=lambda: NOW)
    names.ask(answers := Answers(names, resolves=True))
    for _ in range(2):
        await names.step()
    assert (names.sign, answers.asked) == ("", 1), "what resolves is not asked for nothing"
    answers.answer = False
    names.hear("no answer")
    await names.step()
    assert names.sign == "no answer"
    answers.answer = True
    await names.step()
    assert names.sign == ""


async def test_names_that_never_resolved_where_the_daemon_runs_are_no_sign_and_told_only_where_they_were_needed(
    ledger: Ledger,
) -> None:
    """E35: outside of the cluster, as in a demonstration, all else goes on."""
    names = ResolverNotice(ledger.outbox, clock=lambda: NOW)
    names.ask(Answers(names, resolves=False))
    for _ in range(2):
        await names.step()
    assert (names.sign, await told(ledger)) == ("", [])
    names.hear("no such name")
    await names.step()
    assert (names.sign, await told(ledger)) == ("", [notice_of("no such name")])


async def test_a_problem_that_is_over_before_the_next_look_calls_nobody(ledger: Ledger) -> None:
    names = ResolverNotice(ledger.outbox, clock=lambda: NOW)
    names.hear("no answer")
    names.hear("")
    await names.step()
    assert await told(ledger) == []


async def test_a_problem_is_told_once_the_ledger_is_back() -> None:
    outage = Outage()
    async with in_memory(NOW, outage) as ledger:
        names = ResolverNotice(ledger.outbox, clock=lambda: NOW)
        names.hear("no answer")
        outage.away = True
        with pytest.raises(LedgerUnavailable):
            await names.step()
        outage.away = False
        await names.step()
        assert await told(ledger) == [notice_of("no answer")]
