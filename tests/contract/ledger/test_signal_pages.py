"""Signals by verdict and reason, and dead letters: read by people, a page at a time."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from kintsugi.errors import NotRecorded
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import EvaluatedSignal, SignalQuery
from kintsugi.model.records import DeadLetter, Reason, VerdictKind
from tests.contract.ledger.build import MINUTE, NOW, dead_letter, signal, verdict

SECOND = timedelta(seconds=1)
REFUSED = verdict(VerdictKind.REFUSED, Reason.COOLDOWN)
BUSY = verdict(VerdictKind.REFUSED, Reason.BUDGET)
UNKNOWN = verdict(VerdictKind.NO_RULE, Reason.NO_RULE)


async def fill(ledger: Ledger) -> list[str]:
    """Accept nine signals at five moments, judge all but the last; give their ids, newest first."""
    told = [signal(f"k{number}", received=NOW + number // 2 * SECOND) for number in range(9)]
    await ledger.signals.accept(told, NOW)
    given = [REFUSED, BUSY, UNKNOWN] * 3
    await ledger.signals.settle({each.id: judged for each, judged in zip(told[:-1], given, strict=False)}, NOW)
    return [each.id for each in reversed(told)]


def ids(page: Sequence[EvaluatedSignal]) -> list[str]:
    """Return the ids of a page."""
    return [each.signal.id for each in page]


async def test_all_signals_come_newest_first_page_after_page(ledger: Ledger) -> None:
    """P9: also those of one moment, none twice and none left out."""
    known = await fill(ledger)
    found: list[str] = []
    while page := await ledger.signals.list_signals(SignalQuery(limit=2, before=found[-1] if found else "")):
        assert len(page) <= 2
        found += ids(page)
    assert found == known


async def test_signals_are_found_by_verdict_and_by_reason(ledger: Ledger) -> None:
    """P9: what was refused, and why."""
    known = list(reversed(await fill(ledger)))
    refused = await ledger.signals.list_signals(SignalQuery(verdict=VerdictKind.REFUSED))
    assert ids(refused) == [known[number] for number in (7, 6, 4, 3, 1, 0)]
    assert {each.verdict.reason for each in refused if each.verdict} == {Reason.COOLDOWN, Reason.BUDGET}
    assert ids(await ledger.signals.list_signals(SignalQuery(reason=Reason.BUDGET))) == [
        known[7],
        known[4],
        known[1],
    ]
    both = SignalQuery(verdict=VerdictKind.REFUSED, reason=Reason.BUDGET, before=known[7], limit=1)
    assert ids(await ledger.signals.list_signals(both)) == [known[4]]
    assert await ledger.signals.list_signals(SignalQuery(verdict=VerdictKind.STARTED, reason=Reason.BUDGET)) == []


async def test_a_signal_that_fires_again_says_so(ledger: Ledger) -> None:
    """P1: provisional first, then a signal that names the one it continues."""
    await ledger.signals.accept([signal("a"), signal("a", ended=NOW + MINUTE)], NOW)
    again = NOW + 2 * MINUTE
    (known,) = (await ledger.signals.accept([signal("a", received=again)], again)).ids
    (noted,) = await ledger.signals.list_signals(SignalQuery())
    assert (noted.signal.id, noted.refired, noted.continues) == (known, again, "")
    await ledger.signals.reopen(again + MINUTE, MINUTE)
    opened, ended = await ledger.signals.list_signals(SignalQuery())
    assert (opened.continues, opened.refired, ended.refired) == (known, None, None)


async def test_a_page_after_a_signal_that_is_not_there_is_no_page(ledger: Ledger) -> None:
    with pytest.raises(NotRecorded, match="no signal sig-x"):
        await ledger.signals.list_signals(SignalQuery(before="sig-x"))
    with pytest.raises(NotRecorded, match="no dead letter dead-x"):
        await ledger.signals.dead_letters(limit=5, before="dead-x")


def letter(number: int, payload: bytes | None = None) -> DeadLetter:
    """Make a dead letter; two of them come at one moment."""
    return dead_letter(f"dead-{number:03}", at=NOW + number // 2 * SECOND, payload=payload)


async def test_dead_letters_are_listed_and_read_whole(ledger: Ledger) -> None:
    """A11: with NUL, and bytes that are no text, as they came."""
    payload = b"\x00\xff{"
    await ledger.signals.keep_dead_letters([letter(1), letter(2, payload), letter(3)])
    listed = await ledger.signals.dead_letters(limit=2)
    assert [(each.id, each.resendable) for each in listed] == [("dead-003", False), ("dead-002", True)]
    assert [each.id for each in await ledger.signals.dead_letters(limit=2, before="dead-002")] == ["dead-001"]
    assert (await ledger.signals.dead_letter("dead-002")).payload == payload


async def test_a_dead_letter_that_was_understood_is_one_no_more(ledger: Ledger) -> None:
    await ledger.signals.keep_dead_letters([letter(1), letter(2)])
    await ledger.signals.forget_dead_letter("dead-001")
    await ledger.signals.forget_dead_letter("dead-001")
    assert [each.id for each in await ledger.signals.dead_letters(limit=5)] == ["dead-002"]
    with pytest.raises(NotRecorded, match="no dead letter dead-001"):
        await ledger.signals.dead_letter("dead-001")


async def test_a_dead_letter_that_comes_again_takes_the_place_of_the_first(ledger: Ledger) -> None:
    """A7: a group that is cut short is told with every repeat of it."""
    await ledger.signals.keep_dead_letters([letter(1)])
    await ledger.signals.keep_dead_letters([letter(1, b"{}"), letter(1, b"[]")])
    (kept,) = await ledger.signals.dead_letters(limit=5)
    assert (await ledger.signals.dead_letter(kept.id)).payload == b"[]"
