"""Group commit: who waits together is committed together, and each gets its own answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from kintsugi.errors import LedgerError, LedgerUnavailable
from kintsugi.ledger import in_pieces
from kintsugi.ledger.signals import deliveries as inbox
from kintsugi.ledger.signals import signals as ledger_signals
from kintsugi.ledger.signals.deliveries import DeliveryOutcome, DeliveryResult, Evaluate, write_deliveries
from kintsugi.ledger.signals.group_committer import MOST_TEXT, MOST_TOGETHER, MOST_WAITING, GroupCommitter
from kintsugi.ledger.store.texts import dump_labels_and_annotations
from kintsugi.model.records import Signal, SignalSource
from kintsugi.model.rules import RuleSource
from tests.harness import ledgers
from tests.harness.ledgers import newest_signals

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def signals(prefix: str, number: int = 1, text: int = 0) -> list[Signal]:
    """Make deliveries, each with an annotation of so many characters."""
    return [
        Signal(
            id=f"{prefix}-{each}",
            source=SignalSource.ALERTMANAGER,
            kind=RuleSource.ALERT,
            key=f"{prefix}-{each}",
            annotations={"runbook": "x" * text} if text else {},
            began=NOW,
            received=NOW,
        )
        for each in range(number)
    ]


class Commits:
    """What commits: waits until it may, notes the groups, and fails where it is told to."""

    def __init__(self, *, waits: bool = False, down: bool = False, poison: str = "") -> None:
        self.groups: list[list[str]] = []
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        if not waits:
            self.open.set()
        self.down = down
        self.poison = poison

    async def __call__(self, group: Sequence[Signal], now: datetime, evaluate: Evaluate | None) -> list[DeliveryResult]:
        """Commit a group."""
        names = [signal.id for signal in group]
        self.groups.append(names)
        self.begun.set()
        await self.open.wait()
        if self.down:
            raise LedgerUnavailable("the disk is full")
        if self.poison in names:
            raise LedgerError(f"{self.poison} was refused")
        return [DeliveryResult(DeliveryOutcome.NEW, name) for name in names]


async def test_callers_that_arrive_during_a_commit_share_the_next() -> None:
    """P1: one fsync for all who wait, and nobody is answered before it."""
    commits = Commits(waits=True)
    intake = GroupCommitter(commits)
    calls = [asyncio.create_task(intake.accept(signals(f"c{number}", 2), NOW)) for number in range(5)]
    await commits.begun.wait()
    late = [asyncio.create_task(intake.accept(signals(f"late{number}"), NOW)) for number in range(3)]
    await asyncio.sleep(0)
    assert not any(call.done() for call in calls)
    commits.open.set()
    answers = await asyncio.gather(*calls, *late)
    assert [[each.id for each in answer] for answer in answers] == [
        *([f"c{number}-0", f"c{number}-1"] for number in range(5)),
        *([f"late{number}-0"] for number in range(3)),
    ]
    assert len(commits.groups) == 2
    assert commits.groups[1] == ["late0-0", "late1-0", "late2-0"]


async def test_callers_who_evaluate_differently_are_committed_apart() -> None:
    """P9: a signal is evaluated as its caller does."""
    commits = Commits()
    intake = GroupCommitter(commits)
    evaluations: list[Evaluate | None] = [None, None, lambda _: None, None]
    calls = [intake.accept(signals(f"c{number}"), NOW, evaluate) for number, evaluate in enumerate(evaluations)]
    answers = await asyncio.gather(*calls)
    assert [[each.id for each in answer] for answer in answers] == [["c0-0"], ["c1-0"], ["c2-0"], ["c3-0"]]
    assert commits.groups == [["c0-0", "c1-0"], ["c2-0"], ["c3-0"]]


async def test_a_database_that_is_down_is_told_to_everybody_in_the_group() -> None:
    """A5: each sender comes back."""
    commits = Commits(down=True)
    intake = GroupCommitter(commits)
    answers = await asyncio.gather(*(intake.accept(signals(f"c{n}"), NOW) for n in range(4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LedgerUnavailable] * 4
    commits.down = False
    assert await intake.accept(signals("after"), NOW) == [DeliveryResult(DeliveryOutcome.NEW, "after-0")]


async def test_a_callers_refused_rows_do_not_cost_the_others_theirs() -> None:
    """A12: the group falls apart into its callers."""
    intake = GroupCommitter(Commits(poison="c2-0"))
    answers = await asyncio.gather(*(intake.accept(signals(f"c{n}"), NOW) for n in range(4)), return_exceptions=True)
    assert [isinstance(answer, LedgerError) for answer in answers] == [False, False, True, False]


async def test_a_group_is_bounded_but_one_caller_is_never_cut() -> None:
    """A4: a request never waits long behind the intake; a big webhook is one transaction."""
    commits = Commits()
    intake = GroupCommitter(commits)
    sizes = (1, MOST_TOGETHER - 1, 2, 3 * MOST_TOGETHER)
    await asyncio.gather(*(intake.accept(signals(f"c{size}", size), NOW) for size in sizes))
    assert [len(group) for group in commits.groups] == [MOST_TOGETHER, 2, 3 * MOST_TOGETHER]


async def test_a_group_is_bounded_by_its_texts_too() -> None:
    """A4: what strangers have written is masked while others wait."""
    commits = Commits()
    intake = GroupCommitter(commits)
    await asyncio.gather(*(intake.accept(signals(f"c{n}", 1, MOST_TEXT // 2), NOW) for n in range(4)))
    assert [len(group) for group in commits.groups] == [1, 1, 1, 1]
    commits.groups.clear()
    await asyncio.gather(*(intake.accept(signals(f"d{n}", 1, MOST_TEXT // 3), NOW) for n in range(4)))
    assert [len(group) for group in commits.groups] == [2, 2]


@pytest.mark.parametrize(("text", "sizes"), [(0, [1000, 1000, 500]), (1 << 18, [3] * 833 + [1]), (2 << 20, [1] * 2500)])
def test_a_delivery_is_handed_over_in_pieces_of_so_many_signals_and_so_much_text(text: int, sizes: list[int]) -> None:
    annotations = {"runbook": "x" * text}  # one for all of them, which have 5 GB of text
    delivered = [replace(each, annotations=annotations) for each in signals("c", 2500)]
    pieces = list(in_pieces(delivered))
    assert [len(piece) for piece in pieces] == sizes
    assert [each for piece in pieces for each in piece] == delivered


async def test_long_labels_are_masked_before_the_transaction_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile delivery is masked for seconds, and the database ends a transaction that idles."""
    order: list[str] = []

    def dump(labels: Mapping[str, str], annotations: Mapping[str, str]) -> tuple[str, str, bool]:
        order.append(f"masks {sum(map(len, annotations.values()))}")
        return dump_labels_and_annotations(labels, annotations)

    def write(*arguments: Any) -> list[DeliveryResult]:
        order.append("begins")
        return write_deliveries(*arguments)

    monkeypatch.setattr(inbox, "dump_labels_and_annotations", dump)
    monkeypatch.setattr(ledger_signals, "write_deliveries", write)
    async with ledgers.in_memory(NOW) as ledger:
        await ledger.signals.accept([*signals("long", 1, 50_000), *signals("short", 1, 10)], NOW)
        kept = {each.id: each.annotations for each, _ in await newest_signals(ledger, limit=10)}
    assert order == ["masks 50000", "begins", "masks 10"]
    assert kept == {"long-0": {"runbook": "x" * 50_000}, "short-0": {"runbook": "x" * 10}}


async def test_a_full_intake_refuses_at_once() -> None:
    """A4, A5: bounded memory; 503 rather than a queue without end."""
    commits = Commits(waits=True)
    intake = GroupCommitter(commits)
    first = asyncio.create_task(intake.accept(signals("first"), NOW))
    await commits.begun.wait()
    waiting = asyncio.create_task(intake.accept(signals("waiting", MOST_WAITING), NOW))
    await asyncio.sleep(0)
    with pytest.raises(LedgerUnavailable, match="intake is full"):
        await intake.accept(signals("more"), NOW)
    commits.open.set()
    await asyncio.gather(first, waiting)
    await intake.accept(signals("later"), NOW)


async def test_closing_waits_for_those_who_wait() -> None:
    """P1: a shutdown answers everybody."""
    commits = Commits(waits=True)
    intake = GroupCommitter(commits)
    call = asyncio.create_task(intake.accept(signals("c"), NOW))
    await commits.begun.wait()
    commits.open.set()
    await intake.close()
    assert await call == [DeliveryResult(DeliveryOutcome.NEW, "c-0")]
