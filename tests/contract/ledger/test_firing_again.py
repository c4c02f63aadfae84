"""An alert that fires again after its end, with the beginning that it had: late, and never lost (A22)."""

from datetime import datetime, timedelta

from sqlalchemy import select, text

from kintsugi.ledger import Ledger
from kintsugi.ledger.tables import signals
from kintsugi.model.records import Reason, Signal, SignalSource, VerdictKind
from tests.contract.ledger.build import MINUTE, NOW, signal, verdict

WAIT = 10 * MINUTE
ENDED = NOW + 2 * MINUTE
AGAIN = NOW + 5 * MINUTE
"""When it is told to fire again."""


def firing(received: datetime, key: str = "a") -> Signal:
    """Make a webhook's delivery that says that it fires since the beginning."""
    return signal(key, received=received, labels={"alertname": "PodDown", "namespace": key})


def resolved(received: datetime, key: str = "a", ended: datetime = ENDED) -> Signal:
    """Make a webhook's delivery that says when it ended."""
    return signal(key, ended=ended, received=received)


async def fire_again(ledger: Ledger, key: str = "a") -> str:
    """Let an alert fire, be judged, resolve, and fire again; give the id of its signal."""
    (known,) = (await ledger.signals.accept([firing(NOW, key)], NOW)).ids
    await ledger.signals.settle({known: verdict(VerdictKind.NO_RULE, Reason.NO_RULE)}, NOW)
    await ledger.signals.accept([resolved(ENDED, key)], ENDED)
    again = await ledger.signals.accept([firing(AGAIN, key)], AGAIN)
    assert (again.repeated, again.ids) == (1, (known,))
    return known


async def test_a_signal_that_fires_again_is_open_and_due_ten_minutes_later(ledger: Ledger) -> None:
    """P1, A16: Alertmanager took it up with its old `startsAt`, as after minutes without Prometheus."""
    known = await fire_again(ledger)
    assert await ledger.episodes.reopen(AGAIN + WAIT - timedelta(seconds=1), WAIT) == 0
    assert await ledger.signals.firing() == ()

    late = AGAIN + WAIT
    assert await ledger.episodes.reopen(late, WAIT) == 1

    (due,) = await ledger.signals.due(late)
    assert due.id != known
    assert (due.key, due.began, due.received) == ("a", AGAIN, late)
    assert (due.labels, due.source) == ({"alertname": "PodDown", "namespace": "a"}, SignalSource.ALERTMANAGER)
    judged = {told.id: given for told, given in await ledger.signals.newest()}
    first = judged[known]
    assert first is not None
    assert first.kind is VerdictKind.NO_RULE, "the first verdict stands"
    assert await ledger.episodes.reopen(late + WAIT, WAIT) == 0


async def test_another_resolved_delivery_clears_it(ledger: Ledger) -> None:
    """A16, A21: it was a late duplicate; the end of its own Alertmanager follows, and says nothing new."""
    await fire_again(ledger)
    await ledger.signals.accept([resolved(AGAIN + MINUTE)], AGAIN + MINUTE)
    assert await ledger.episodes.reopen(AGAIN + 10 * WAIT, WAIT) == 0
    assert await ledger.signals.pending() == 0


async def test_a_poll_that_finds_it_firing_opens_it_and_nothing_opens_it_twice(ledger: Ledger) -> None:
    """A17."""
    await fire_again(ledger)
    polled = AGAIN + MINUTE
    assert (await ledger.signals.accept([signal("a", source=SignalSource.POLL, received=polled)], polled)).new == 1
    assert await ledger.episodes.reopen(AGAIN + 10 * WAIT, WAIT) == 0
    assert len(await ledger.signals.firing()) == 1


async def test_a_beginning_of_its_own_opens_it_at_once(ledger: Ledger) -> None:
    """A3."""
    await fire_again(ledger)
    anew = signal("a", began=AGAIN + MINUTE)
    assert (await ledger.signals.accept([anew], AGAIN + MINUTE)).new == 1
    assert await ledger.episodes.reopen(AGAIN + 10 * WAIT, WAIT) == 0


async def test_a_signal_that_is_open_again_is_repeated_and_resolved_like_any_other(ledger: Ledger) -> None:
    """A2, A16: by the `startsAt` that it never changed."""
    await fire_again(ledger)
    late = AGAIN + WAIT
    await ledger.episodes.reopen(late, WAIT)
    (opened,) = await ledger.signals.firing()
    repeated = await ledger.signals.accept([firing(late + MINUTE)], late + MINUTE)
    assert (repeated.repeated, repeated.ids) == (1, (opened.id,))
    ended = late + 2 * MINUTE
    assert (await ledger.signals.accept([resolved(ended, ended=ended)], ended)).resolved == 1
    assert await ledger.signals.firing() == ()
    assert await ledger.signals.pending() == 0


async def test_a_signal_that_fires_again_ends_by_its_old_end_told_once_more(ledger: Ledger) -> None:
    """A16: with groups that are told every half an hour the end of a late duplicate comes after those ten minutes."""
    await fire_again(ledger)
    await ledger.episodes.reopen(AGAIN + WAIT, WAIT)
    await ledger.signals.accept([resolved(AGAIN + 2 * WAIT)], AGAIN + 2 * WAIT)
    assert await ledger.signals.firing() == ()


async def test_a_signal_that_fires_again_is_remembered_across_a_restart(made: str) -> None:
    """P1: the note is committed with the delivery, before that is answered."""
    async with Ledger.open(made, holder="kintsugi-0") as ledger:
        await ledger.lead(NOW)
        await fire_again(ledger)
    async with Ledger.open(made, holder="kintsugi-0") as ledger:
        await ledger.lead(AGAIN + 9 * WAIT)
        assert await ledger.episodes.reopen(AGAIN + 9 * WAIT, WAIT) == 1


async def test_a_watched_condition_is_never_provisional(ledger: Ledger) -> None:
    """Its source is asked again itself."""
    source = SignalSource.WATCH
    await ledger.signals.accept([signal("w", source=source), signal("w", ended=ENDED, source=source)], NOW)
    await ledger.signals.accept([signal("w", source=source)], AGAIN)
    assert await ledger.episodes.reopen(AGAIN + 9 * WAIT, WAIT) == 0


async def test_a_storm_that_fires_again_is_opened_a_bounded_number_at_a_time(ledger: Ledger) -> None:
    """A4: the longest waiting first."""
    keys = [f"k-{number}" for number in range(7)]
    for number, key in enumerate(keys):
        await ledger.signals.accept([resolved(ENDED, key)], ENDED)
        at = AGAIN + number * MINUTE
        await ledger.signals.accept([firing(at, key)], at)
    late = AGAIN + WAIT + 5 * MINUTE
    assert [await ledger.episodes.reopen(late, WAIT, limit=4) for _ in range(3)] == [4, 2, 0]
    assert [each.key for each in await ledger.signals.due(late)] != []
    assert {each.key for each in await ledger.signals.firing()} == set(keys[:6])


async def test_the_question_what_has_waited_long_enough_reads_an_index(ledger: Ledger) -> None:
    """It is asked all the time, and costs what waits and not what has been."""
    waiting = (
        select(signals.c.key).where(signals.c.refired <= text("'2026-03-01'")).order_by(signals.c.refired).limit(9)
    )
    async with ledger._store.engines.reader.connect() as connection:
        if ledger._store.engines.on_postgres:
            await connection.execute(text("SET enable_seqscan = off"))
            explain = "EXPLAIN "
        else:
            explain = "EXPLAIN QUERY PLAN "
        asked = str(waiting.compile(connection.engine, compile_kwargs={"literal_binds": True}))
        plan = "\n".join(str(row) for row in await connection.execute(text(explain + asked)))
    assert "ix_signals_refired" in plan, plan
