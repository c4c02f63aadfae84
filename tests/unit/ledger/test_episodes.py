"""Which deliveries are one episode: the same whatever the order, for any history at all."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.ledger.signals.episodes import (
    MOST_BEGINNINGS,
    REOPEN_AFTER,
    TICK,
    Episode,
    continued,
    holding,
    over,
    refired,
    reopened,
    with_delivery,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Delivery = tuple[datetime, datetime | None]


def at(minutes: int) -> datetime:
    """Return a moment."""
    return NOW + timedelta(minutes=minutes)


def fold(deliveries: Iterable[Delivery]) -> list[Episode]:
    """Deliver them one after the other."""
    episodes: list[Episode] = []
    numbers = itertools.count()
    for began, ended in deliveries:
        episodes = list(with_delivery(episodes, began, ended, f"sig-{next(numbers)}"))
    return episodes


def spans(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Return beginnings and ends of the episodes."""
    return [(episode.began, episode.ended) for episode in fold(deliveries)]


moments = st.integers(0, 12).map(at)
anything = st.lists(st.tuples(moments, st.none() | moments), min_size=1, max_size=9)


@given(deliveries=anything, data=st.data())
def test_any_order_and_any_duplicates_give_the_same_episodes(deliveries: list[Delivery], data: st.DataObject) -> None:
    """A1, A2, A3, A16: even for histories that no clock could make."""
    extra = data.draw(st.lists(st.sampled_from(deliveries), max_size=4))
    shuffled = data.draw(st.permutations([*deliveries, *extra]))
    assert spans(shuffled) == spans(deliveries)


@given(deliveries=anything)
def test_episodes_have_their_own_ids_and_at_most_the_last_is_open(deliveries: list[Delivery]) -> None:
    """The unique indexes of the table hold for whatever is told."""
    episodes = fold(deliveries)
    assert len({episode.id for episode in episodes}) == len(episodes)
    assert len({episode.began for episode in episodes}) == len(episodes)
    assert [episode.began for episode in episodes] == sorted(episode.began for episode in episodes)
    assert all(episode.ended is not None for episode in episodes[:-1])


def test_several_episodes_of_one_delivery_have_an_id_each() -> None:
    """A16: one that comes late may split what was one, and be one itself."""
    history = [(at(0), at(0)), (at(0), at(2)), (at(2), None), (at(3), None)]
    assert [episode.id for episode in fold(history)] == ["sig-0", "sig-2"]
    assert [episode.id for episode in fold([*history, (at(1), at(3))])] == ["sig-0", "sig-4", "sig-2", "sig-4.1"]


@given(deliveries=anything, data=st.data())
def test_a_delivery_that_was_told_before_changes_nothing(deliveries: list[Delivery], data: st.DataObject) -> None:
    """A1: the very same sequence comes back, so that nothing is written."""
    episodes = fold(deliveries)
    began, ended = data.draw(st.sampled_from(deliveries))
    assert with_delivery(episodes, began, ended, "new") is episodes


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        pytest.param([(at(0), None)], [(at(0), None)], id="firing"),
        pytest.param([(at(0), at(5))], [(at(0), at(5))], id="only its end was told"),
        pytest.param([(at(0), None), (at(2), None)], [(at(0), None)], id="the beginning moved"),
        pytest.param([(at(0), None), (at(0), at(5)), (at(0), None)], [(at(0), at(5))], id="a late duplicate"),
        pytest.param([(at(0), at(5)), (at(6), None)], [(at(0), at(5)), (at(6), None)], id="a flap"),
        pytest.param(
            [(at(0), None), (at(6), None), (at(0), at(5))], [(at(0), at(5)), (at(6), None)], id="the end came late"
        ),
        pytest.param([(at(0), at(5)), (at(5), None)], [(at(0), at(5)), (at(5), None)], id="began as it ended"),
        pytest.param([(at(3), at(1))], [(at(3), at(3) + TICK)], id="two clocks: ended before it began"),
        pytest.param(
            [(at(0), at(1)), (at(1), None), (at(1), at(1))],
            [(at(0), at(1)), (at(1), at(1) + TICK)],
            id="began as another ended, and ended at once",
        ),
        pytest.param([(at(0), at(5)), (at(0), at(7))], [(at(0), at(5))], id="two peers tell two ends"),
    ],
)
def test_episodes_of_plain_histories(deliveries: list[Delivery], expected: list[Delivery]) -> None:
    """A3, A16: what a person expects of each."""
    assert spans(deliveries) == expected


def test_when_one_episode_proves_to_be_two_the_earlier_keeps_its_id() -> None:
    """A16: the run that was started belongs to the earlier; the later is a signal of its own."""
    first, second = fold([(at(0), None), (at(6), None), (at(0), at(5))])
    assert (first.id, second.id) == ("sig-0", "sig-2")
    assert holding([first, second], at(6)) is second


def test_a_poll_opens_an_episode_again_only_well_after_its_end() -> None:
    """A17: a poll's answer may be older than an end that has just come in."""
    closed = fold([(at(0), at(5))])
    soon, late = at(5) + REOPEN_AFTER, at(5) + REOPEN_AFTER + timedelta(seconds=1)
    assert reopened(closed, soon, "new") is closed
    assert [(episode.id, episode.began) for episode in reopened(closed, late, "new")] == [
        ("sig-0", at(0)),
        ("new", late),
    ]
    still_open = fold([(at(0), None)])
    assert reopened(still_open, late, "new") is still_open


def test_an_episode_remembers_a_bounded_number_of_beginnings() -> None:
    """D10: a beginning that moves for ever grows no row for ever; the first one stays."""
    (episode,) = fold([(at(minute), None) for minute in range(300)])
    assert len(episode.seen) == MOST_BEGINNINGS
    assert episode.began == at(0)
    assert episode.seen[-1][0] == at(299)


WAIT = timedelta(minutes=10)
RECEIVED = at(60)
"""When the first delivery came in: after everything that it can speak of."""

LOOK = "look"
"""What the daemon does now and then, between two deliveries."""

History = Sequence[Delivery | str]


def live(history: History, *, since: datetime = RECEIVED) -> list[Episode]:
    """Hear deliveries and look for what has waited long enough, one after the other, four minutes apart."""
    episodes: Sequence[Episode] = []
    for number, event in enumerate(history):
        now = since + number * timedelta(minutes=4)
        if isinstance(event, str):
            episodes = continued(episodes, now - WAIT, f"sig-{number}")
            continue
        began, ended = event
        episodes = with_delivery(episodes, began, ended, f"sig-{number}")
        episodes = refired(episodes, began, now) if ended is None else over(episodes, now)
    return list(episodes)


lives = st.lists(st.tuples(moments, st.none() | moments) | st.just(LOOK), min_size=1, max_size=12)


@given(history=lives, began=moments)
def test_an_alert_that_is_told_to_fire_last_is_open_in_the_end(history: History, began: datetime) -> None:
    """P1: whatever came before, it is late at most and never lost."""
    episodes = continued(live([*history, (began, None)]), RECEIVED + timedelta(days=1), "sig-last")
    assert episodes[-1].ended is None


@given(history=lives, began=moments, ended=moments)
def test_after_a_resolved_delivery_nothing_is_provisional(history: History, began: datetime, ended: datetime) -> None:
    """A16: a late duplicate opens nothing when the end of its own Alertmanager follows."""
    before = live([*history, (began, ended)])
    assert all(episode.refired is None for episode in before)
    assert continued(before, RECEIVED + timedelta(days=1), "new") is before
    open_again = [episode for episode in before if episode.ended is None and episode.continues]
    assert all(len(episode.seen) > 1 for episode in open_again), "nothing but a beginning of its own keeps it open"


@given(history=lives, since=st.integers(-30, 60).map(at))
def test_a_signal_that_fires_again_keeps_the_promises_of_the_table(history: History, since: datetime) -> None:
    """The unique indexes hold, and nothing is provisional while the key is open: with a clock that is behind, too."""
    for length in range(1, len(history) + 1):
        episodes = live(history[:length], since=since)
        assert len({episode.id for episode in episodes}) == len(episodes)
        assert len({episode.began for episode in episodes}) == len(episodes)
        opened = [episode for episode in episodes if episode.ended is None]
        assert opened in ([], episodes[-1:])
        assert not opened or all(episode.refired is None for episode in episodes)
        assert all(open_.began >= (each.horizon or open_.began) for open_ in opened for each in episodes)


@given(deliveries=anything)
def test_until_somebody_looks_a_firing_after_the_end_changes_no_episode(deliveries: list[Delivery]) -> None:
    """A1, A3, A16: the order of deliveries still does not count."""
    assert [(episode.began, episode.ended) for episode in live(deliveries)] == spans(deliveries)


FIRES, ENDS, EARLIER = (at(0), None), (at(0), at(5)), (at(-1), None)


@pytest.mark.parametrize(
    ("history", "opens"),
    [
        pytest.param([FIRES, ENDS, FIRES, LOOK], False, id="too soon"),
        pytest.param([FIRES, ENDS, FIRES, LOOK, LOOK, LOOK], True, id="nothing more came"),
        pytest.param([FIRES, ENDS, FIRES, ENDS, LOOK, LOOK, LOOK], False, id="a late duplicate, and its end"),
        pytest.param([FIRES, ENDS, FIRES, (at(0), at(9)), LOOK, LOOK, LOOK], False, id="it resolved"),
        pytest.param([FIRES, ENDS, FIRES, FIRES, FIRES, LOOK], True, id="repeats do not put it off"),
        pytest.param([FIRES, ENDS, FIRES, (at(0), at(9)), FIRES, LOOK], False, id="anew after its second end"),
        pytest.param([ENDS, FIRES, LOOK, LOOK, LOOK], True, id="its end came first"),
        pytest.param([FIRES, ENDS, FIRES, LOOK, LOOK, LOOK, ENDS], False, id="its end came very late"),
        pytest.param([FIRES, ENDS, FIRES, LOOK, LOOK, LOOK, (at(0), at(90))], False, id="it went on, and ended"),
        pytest.param([FIRES, ENDS, FIRES, LOOK, LOOK, LOOK, (at(80), None), ENDS], True, id="it began once more"),
        pytest.param([FIRES, ENDS, FIRES, EARLIER, LOOK, LOOK], True, id="an earlier beginning does not put it off"),
        pytest.param([FIRES, ENDS, FIRES, LOOK, LOOK, LOOK, EARLIER, ENDS], False, id="nor is it forgotten what it is"),
    ],
)
def test_a_firing_delivery_after_the_end_opens_it_again_ten_minutes_later(history: History, opens: bool) -> None:
    """A3, A17: looks and deliveries are four minutes apart."""
    episodes = live(history)
    assert (episodes[-1].ended is None) is opens


def test_an_alert_that_fires_again_is_an_episode_of_its_own_that_names_the_one_before() -> None:
    episodes = live([FIRES, ENDS, FIRES, LOOK, LOOK, LOOK])
    assert len(episodes) == 2
    first, second = episodes
    assert (first.id, first.ended, first.refired) == ("sig-0", at(5), None)
    assert (second.began, second.continues) == (RECEIVED + timedelta(minutes=8), "sig-0")
    assert refired([first, second], at(0), RECEIVED + timedelta(hours=1)) == [first, second]


def test_with_a_clock_that_is_behind_it_is_opened_again_where_the_last_end_is() -> None:
    """An episode never begins within another, or the next delivery would end it."""
    episodes = live([FIRES, ENDS, FIRES, LOOK, LOOK, LOOK], since=at(-30))
    assert (episodes[-1].began, episodes[-1].ended) == (at(5), None)
