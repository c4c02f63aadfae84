"""What comes in is kept once, durably, and with the same result in any order."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kintsugi.ledger import Ledger
from kintsugi.model.records import Reason, Signal, SignalSource, VerdictKind
from tests.contract.ledger.build import MINUTE, NOW, signal, verdict

Timeline = list[tuple[datetime, datetime | None]]


async def test_a_delivery_repeated_is_one_signal(ledger: Ledger) -> None:
    """A1, A2: HA peers, repeats and retries deliver the same episode again."""
    first = await ledger.signals.accept([signal("a")], NOW)
    again = await ledger.signals.accept([signal("a"), signal("a")], NOW + MINUTE)
    assert (first.new, first.repeated, first.resolved) == (1, 0, 0)
    assert (again.new, again.repeated, again.resolved) == (0, 2, 0)
    assert again.ids == first.ids * 2
    assert len(await ledger.signals.due(NOW)) == 1


async def test_a_delivery_repeated_within_one_batch_is_one_signal(ledger: Ledger) -> None:
    """A1."""
    accepted = await ledger.signals.accept([signal("a"), signal("b"), signal("a")], NOW)
    assert (accepted.new, accepted.repeated) == (2, 1)
    assert accepted.ids[0] == accepted.ids[2] != accepted.ids[1]


async def test_a_flap_is_a_new_episode(ledger: Ledger) -> None:
    """A3: the same fingerprint with a later startsAt, after it was resolved."""
    await ledger.signals.accept([signal("a"), signal("a", ended=NOW + MINUTE)], NOW)
    again = await ledger.signals.accept([signal("a", began=NOW + 2 * MINUTE)], NOW)
    assert again.new == 1
    (firing,) = await ledger.signals.firing()
    assert firing.began == NOW + 2 * MINUTE


async def test_a_beginning_that_moves_while_it_fires_is_the_same_episode(ledger: Ledger) -> None:
    """A1: Alertmanager moves startsAt after restarts."""
    first = await ledger.signals.accept([signal("a")], NOW)
    moved = await ledger.signals.accept([signal("a", began=NOW + MINUTE)], NOW)
    assert moved.ids == first.ids
    assert moved.repeated == 1


async def test_a_late_duplicate_of_a_resolved_episode_starts_nothing_at_once(ledger: Ledger) -> None:
    """A16, A21: a captured or delayed body is delivered after the resolve."""
    await ledger.signals.accept([signal("a"), signal("a", ended=NOW + MINUTE)], NOW)
    late = await ledger.signals.accept([signal("a")], NOW + 5 * MINUTE)
    assert late.repeated == 1
    assert await ledger.signals.firing() == ()
    assert await ledger.signals.due(NOW + 5 * MINUTE) == ()


async def test_a_resolved_alert_that_never_fired_is_recorded_and_starts_nothing(ledger: Ledger) -> None:
    """A16, P9: it has its verdict at once."""
    accepted = await ledger.signals.accept([signal("a", ended=NOW + MINUTE)], NOW)
    assert accepted.resolved == 1
    assert await ledger.signals.pending() == 0
    ((_, judged),) = await ledger.signals.newest()
    assert judged is not None
    assert (judged.kind, judged.reason) == (VerdictKind.OBSERVED, Reason.RESOLVED)


async def test_a_signal_that_ends_before_it_was_judged_is_settled(ledger: Ledger) -> None:
    """P9: nothing stays unjudged for ever."""
    await ledger.signals.accept([signal("a")], NOW)
    assert await ledger.signals.pending() == 1
    ended = await ledger.signals.accept([signal("a", ended=NOW + MINUTE)], NOW)
    assert ended.resolved == 1
    assert await ledger.signals.pending() == 0


async def test_an_end_keeps_the_verdict_that_was_given(ledger: Ledger) -> None:
    """P9."""
    (known,) = (await ledger.signals.accept([signal("a")], NOW)).ids
    await ledger.signals.settle({known: verdict(VerdictKind.NO_RULE, Reason.NO_RULE)}, NOW)
    await ledger.signals.accept([signal("a", ended=NOW + MINUTE)], NOW)
    ((told, judged),) = await ledger.signals.newest()
    assert told.ended == NOW + MINUTE
    assert judged is not None
    assert judged.kind is VerdictKind.NO_RULE


async def test_the_last_verdict_of_a_rule_is_that_of_its_newest_signal_that_holds(ledger: Ledger) -> None:
    given = [signal("a"), signal("b", received=NOW + MINUTE), signal("c", received=NOW + 2 * MINUTE)]
    ids = (await ledger.signals.accept(given, NOW)).ids
    kinds = (VerdictKind.OBSERVED, VerdictKind.REFUSED, VerdictKind.ATTACHED)
    await ledger.signals.settle(dict(zip(ids, map(verdict, kinds), strict=True)), NOW)
    await ledger.signals.accept([signal("c", ended=NOW + 3 * MINUTE)], NOW)
    assert await ledger.signals.last_verdicts(["web-down", "api-down"]) == {"web-down": "it is refused"}


async def test_a_poll_opens_again_what_alertmanager_took_up_with_its_old_beginning(ledger: Ledger) -> None:
    """A17, A18: Alertmanager resolves what it stops hearing of, and goes on with the same startsAt."""
    await ledger.signals.accept([signal("a"), signal("a", ended=NOW + MINUTE)], NOW)
    polled = NOW + 10 * MINUTE
    poll = [signal("a", source=SignalSource.POLL, received=polled)]
    assert (await ledger.signals.accept(poll, polled)).new == 1
    (firing,) = await ledger.signals.firing(SignalSource.POLL)
    assert firing.began == polled
    again = await ledger.signals.accept(
        [signal("a", source=SignalSource.POLL, received=polled + MINUTE)], polled + MINUTE
    )
    assert (again.new, again.ids) == (0, (firing.id,))


async def test_a_poll_that_crossed_with_a_resolve_opens_nothing(ledger: Ledger) -> None:
    """A16: the poll's answer may be older than the resolve that came in meanwhile."""
    await ledger.signals.accept([signal("a"), signal("a", ended=NOW + MINUTE)], NOW)
    poll = [signal("a", source=SignalSource.POLL, received=NOW + MINUTE + MINUTE / 2)]
    assert (await ledger.signals.accept(poll, NOW + 2 * MINUTE)).new == 0
    assert await ledger.signals.firing() == ()


async def test_an_empty_delivery_writes_nothing(ledger: Ledger) -> None:
    """An empty group is no transaction."""
    assert (await ledger.signals.accept([], NOW)).ids == ()


async def test_ten_thousand_alerts_in_one_group_are_kept(ledger: Ledger) -> None:
    """A4: a storm; also more keys than one statement may carry parameters."""
    storm = [signal(f"storm-{number}") for number in range(10_000)]
    accepted = await ledger.signals.accept(storm, NOW)
    assert accepted.new == 10_000
    assert len(set(accepted.ids)) == 10_000
    assert await ledger.signals.pending() == 10_000
    assert (await ledger.signals.accept(storm, NOW)).repeated == 10_000


async def test_many_callers_at_once_each_get_their_own_answer(ledger: Ledger) -> None:
    """P1: callers are committed together and none gets another's answer."""
    answers = await asyncio.gather(
        *(ledger.signals.accept([signal(f"c-{n}"), signal("common")], NOW) for n in range(200))
    )
    assert sum(answer.new for answer in answers) == 201
    assert sum(answer.repeated for answer in answers) == 199
    assert len({answer.ids[0] for answer in answers}) == 200
    assert len({answer.ids[1] for answer in answers}) == 1


async def test_a_caller_that_goes_away_does_not_disturb_the_others(ledger: Ledger) -> None:
    """P1: a webhook's connection may be cut while its commit is under way."""
    calls = [asyncio.create_task(ledger.signals.accept([signal(f"d-{n}")], NOW)) for n in range(20)]
    await asyncio.sleep(0)
    calls[7].cancel()
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in done) == 19
    assert await ledger.signals.pending() in (19, 20)


async def test_two_replicas_never_open_the_same_episode_twice(postgres: str) -> None:
    """A1 across replicas: peers of Alertmanager deliver to different replicas at the same time."""
    async with Ledger.open(postgres, holder="kintsugi-0") as one, Ledger.open(postgres, holder="kintsugi-1") as other:
        deliveries = [
            replica.signals.accept([signal(f"k-{n}", began=NOW + shift * MINUTE) for n in range(50)], NOW)
            for shift, replica in enumerate((one, other) * 10)
        ]
        answers = await asyncio.gather(*deliveries)
        assert sum(answer.new for answer in answers) == 50
        assert len(await one.signals.firing()) == 50


def histories() -> st.SearchStrategy[list[Signal]]:
    """Draw what really happened to one key: episodes one after the other, beginnings that move, ends told or not."""

    def deliveries(gaps: Sequence[tuple[int, int, bool]]) -> list[Signal]:
        told, clock = [], NOW
        for last, (length, pause, moves) in zip(range(len(gaps), 0, -1), gaps, strict=True):
            end = clock + length * MINUTE
            told.append(signal("k", began=clock))
            if moves:
                told.append(signal("k", began=clock + length * MINUTE / 2))
            if last > 1 or pause % 2:
                told.append(signal("k", began=clock, ended=end))
            clock = end + pause * MINUTE
        return told

    gap = st.tuples(st.integers(1, 5), st.integers(1, 4), st.booleans())
    return st.lists(gap, min_size=1, max_size=4).map(deliveries)


async def _episodes(ledger: Ledger) -> Timeline:
    return sorted((told.began, told.ended) for told, _ in await ledger.signals.newest(limit=100))


async def _deliver(url: str, batches: Sequence[Sequence[Signal]]) -> tuple[Timeline, int]:
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        for batch in batches:
            await ledger.signals.accept(batch, NOW)
        return await _episodes(ledger), len(await ledger.signals.firing())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=histories(), data=st.data())
def test_any_multiset_and_order_of_deliveries_gives_the_same_episodes(
    told: list[Signal], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A1, A2, A3, A16: duplicated, permuted and cut into any batches."""
    extra = data.draw(st.lists(st.sampled_from(told), max_size=4))
    shuffled = data.draw(st.permutations([*told, *extra]))
    cut = data.draw(st.integers(0, len(shuffled)))

    def fresh() -> str:
        folder: Path = tmp_path_factory.mktemp("order")
        return f"sqlite:///{folder}/ledger.db"

    in_order = asyncio.run(_deliver(fresh(), [[each] for each in told]))
    disordered = asyncio.run(_deliver(fresh(), [shuffled[:cut], shuffled[cut:]]))
    assert disordered == in_order
