"""An alert that fires again after its end, with the beginning that it had: late, and never lost (A22)."""

from datetime import datetime, timedelta

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import Reason, Signal, SignalSource, VerdictKind
from tests.contract.ledger.build import MINUTE, NOW, accepted, leading, signal, verdict
from tests.harness.ledgers import newest_signals

WAIT = 10 * MINUTE
ENDED = NOW + 2 * MINUTE
AGAIN = NOW + 5 * MINUTE
"""When it is told to fire again."""
LATE = AGAIN + 10 * WAIT


def firing(received: datetime, key: str = "a") -> Signal:
    """Make a webhook's delivery that says that it fires since the beginning."""
    return signal(key, received=received, labels={"alertname": "PodDown", "namespace": key})


def resolved(received: datetime, key: str = "a", ended: datetime = ENDED) -> Signal:
    """Make a webhook's delivery that says when it ended."""
    return signal(key, ended=ended, received=received)


async def fire_again(ledger: Ledger) -> str:
    """Let an alert fire, be judged, resolve, and fire again; give the id of its signal."""
    (known,) = (await ledger.signals.accept([firing(NOW)], NOW)).ids
    await ledger.signals.settle({known: verdict(VerdictKind.NO_RULE, Reason.NO_RULE)}, NOW)
    await ledger.signals.accept([resolved(ENDED)], ENDED)
    again = await ledger.signals.accept([firing(AGAIN)], AGAIN)
    assert (again.repeated, again.ids) == (1, (known,))
    return known


async def test_a_signal_that_fires_again_is_open_and_due_ten_minutes_later(ledger: Ledger) -> None:
    """P1, A16: Alertmanager took it up with its old `startsAt`, as after minutes without Prometheus."""
    known = await fire_again(ledger)
    assert await ledger.signals.reopen(AGAIN + WAIT - timedelta(seconds=1), WAIT) == 0
    assert await ledger.signals.firing() == ()
    late = AGAIN + WAIT
    assert await ledger.signals.reopen(late, WAIT) == 1
    (due,) = await ledger.signals.due(late)
    assert due.id != known
    assert (due.key, due.began, due.received) == ("a", AGAIN, late)
    assert (due.labels, due.source) == ({"alertname": "PodDown", "namespace": "a"}, SignalSource.ALERTMANAGER)
    first = {told.id: given for told, given in await newest_signals(ledger)}[known]
    assert first is not None
    assert first.kind is VerdictKind.NO_RULE, "the first verdict stands"
    assert await ledger.signals.reopen(late + WAIT, WAIT) == 0


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        (resolved(AGAIN + MINUTE), 0),
        (signal("a", source=SignalSource.POLL, received=AGAIN + MINUTE), 1),
        (signal("a", began=AGAIN + MINUTE), 1),
    ],
    ids=["its end once more", "a poll that finds it", "a beginning of its own"],
)
async def test_what_is_heard_of_it_before_decides_whether_it_is_open(
    ledger: Ledger, given: Signal, opened: int
) -> None:
    """A3, A16, A17, A21: the end of a late duplicate follows, and says nothing new; nothing opens it twice."""
    await fire_again(ledger)
    assert (await ledger.signals.accept([given], AGAIN + MINUTE)).new == opened
    assert await ledger.signals.reopen(LATE, WAIT) == 0
    assert len(await ledger.signals.firing()) == await ledger.signals.pending() == opened


async def test_a_signal_that_is_open_again_is_repeated_and_resolved_like_any_other(ledger: Ledger) -> None:
    """A2, A16: by the `startsAt` that it never changed."""
    await fire_again(ledger)
    late = AGAIN + WAIT
    await ledger.signals.reopen(late, WAIT)
    (opened,) = await ledger.signals.firing()
    repeated = await ledger.signals.accept([firing(late + MINUTE)], late + MINUTE)
    assert (repeated.repeated, repeated.ids) == (1, (opened.id,))
    ended = late + 2 * MINUTE
    assert (await ledger.signals.accept([resolved(ended, ended=ended)], ended)).resolved == 1
    assert (await ledger.signals.firing(), await ledger.signals.pending()) == ((), 0)


async def test_a_signal_that_fires_again_is_remembered_across_a_restart(made: str) -> None:
    """P1: the note is committed with the delivery, before that is answered."""
    async with leading(made) as ledger:
        await fire_again(ledger)
    async with Ledger.open(made, holder="kintsugi-0") as ledger:
        await ledger.lead(LATE)
        assert await ledger.signals.reopen(LATE, WAIT) == 1


async def test_a_watched_condition_is_never_provisional(ledger: Ledger) -> None:
    """Its source is asked again itself."""
    source = SignalSource.WATCH
    await ledger.signals.accept([signal("w", source=source), signal("w", ended=ENDED, source=source)], NOW)
    await ledger.signals.accept([signal("w", source=source)], AGAIN)
    assert await ledger.signals.reopen(LATE, WAIT) == 0


async def test_a_storm_that_fires_again_is_opened_a_bounded_number_at_a_time(ledger: Ledger) -> None:
    """A4: the longest waiting first."""
    keys = [f"k-{number}" for number in range(7)]
    for number, key in enumerate(keys):
        await ledger.signals.accept([resolved(ENDED, key)], ENDED)
        await accepted(ledger, key, received=AGAIN + number * MINUTE)
    late = AGAIN + WAIT + 5 * MINUTE
    assert [await ledger.signals.reopen(late, WAIT, limit=4) for _ in range(3)] == [4, 2, 0]
    assert {each.key for each in await ledger.signals.firing()} == set(keys[:6])
