"""What comes in is kept once, durably, as it came, and with the same result in any order; and until its verdict is final."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kintsugi.ledger import Ledger
from kintsugi.ledger.signals.deliveries import LONG_TEXT
from kintsugi.model.records import (
    HoldingSignals,
    IncidentState,
    Reason,
    Signal,
    SignalSource,
    Target,
    Verdict,
    VerdictKind,
)
from kintsugi.model.rules import RuleSource
from kintsugi.sources.alertmanager import decode
from tests.contract.ledger.build import (
    MINUTE,
    NOW,
    Crossings,
    accepted,
    begin,
    end,
    leading,
    request,
    signal,
    started,
    verdict,
)
from tests.harness.ledgers import newest_signals
from tests.unit.ledger.test_episodes import Delivery, anything
from tests.unit.sources.webhooks import alert, webhook

Timeline = list[tuple[datetime, datetime | None]]
POLL = SignalSource.POLL
NO_RULE = verdict(VerdictKind.NO_RULE, Reason.NO_RULE)


async def test_a_delivery_repeated_is_one_signal(ledger: Ledger) -> None:
    """A1, A2: HA peers, repeats and retries deliver the same episode again, also within one batch."""
    first = await ledger.signals.accept([signal("a"), signal("b"), signal("a")], NOW)
    again = await ledger.signals.accept([signal("a"), signal("a")], NOW + MINUTE)
    assert (first.new, first.repeated, first.resolved) == (2, 1, 0)
    assert (again.new, again.repeated, again.resolved) == (0, 2, 0)
    assert first.ids[0] == first.ids[2] != first.ids[1]
    assert again.ids == (first.ids[0],) * 2
    assert len(await ledger.signals.due(NOW)) == 2


@pytest.mark.parametrize(
    ("before", "after", "given", "began"),
    [
        ([signal("a")], 0, signal("a", began=NOW + MINUTE), NOW),
        ([signal("a"), signal("a", ended=NOW + MINUTE)], 0, signal("a", began=NOW + 2 * MINUTE), NOW + 2 * MINUTE),
        ([signal("a"), signal("a", ended=NOW + MINUTE)], 5, signal("a"), None),
        (
            [signal("a"), signal("a", ended=NOW + MINUTE)],
            2,
            signal("a", source=POLL, received=NOW + 1.5 * MINUTE),
            None,
        ),
        (
            [signal("a"), signal("a", ended=NOW + MINUTE)],
            10,
            signal("a", source=POLL, received=NOW + 10 * MINUTE),
            NOW + 10 * MINUTE,
        ),
    ],
    ids=["a beginning that moves", "a flap", "a late duplicate", "a poll that crossed with the end", "a later poll"],
)
async def test_a_delivery_opens_an_episode_where_it_is_another_than_the_one_before(
    ledger: Ledger, before: Sequence[Signal], after: float, given: Signal, began: datetime | None
) -> None:
    """
    A1, A3, A16, A17, A18, A21: by the beginning, and by when a poll was answered.

    Alertmanager moves startsAt after restarts, and resolves what it stops hearing of, to go on with the same startsAt. A
    captured or delayed body is delivered after the end.
    """
    known = await ledger.signals.accept(before, NOW)
    for _ in range(2):
        answer = await ledger.signals.accept([given], NOW + after * MINUTE)
    assert (answer.new, answer.repeated) == (0, 1), "twice is as once"
    assert [each.began for each in await ledger.signals.firing()] == ([began] if began is not None else [])
    assert (answer.ids[0] == known.ids[0]) == (began in (None, NOW))
    assert len(await ledger.signals.due(NOW + after * MINUTE)) == (began is not None)


async def test_an_alert_that_has_ended_has_a_verdict_at_once_and_keeps_one_that_was_given(ledger: Ledger) -> None:
    """A16, P9: nothing stays unjudged for ever, and a resolved alert that never fired starts nothing."""
    judged = await accepted(ledger, "judged")
    await ledger.signals.settle({judged.id: NO_RULE}, NOW)
    await accepted(ledger, "waits")
    assert await ledger.signals.pending() == 1
    ends = [signal(key, ended=NOW + MINUTE) for key in ("judged", "waits", "never fired")]
    assert (await ledger.signals.accept(ends, NOW)).resolved == 3
    assert await ledger.signals.pending() == 0
    found = {
        told.key: (told.ended, given and (given.kind, given.reason)) for told, given in await newest_signals(ledger)
    }
    resolved = (NOW + MINUTE, (VerdictKind.OBSERVED, Reason.RESOLVED))
    assert found == {
        "judged": (NOW + MINUTE, (VerdictKind.NO_RULE, Reason.NO_RULE)),
        "waits": resolved,
        "never fired": resolved,
    }


async def test_an_alert_is_evaluated_in_the_commit_that_accepts_it(made: str) -> None:
    """P9: one commit, and nothing is due."""
    crossings = Crossings()
    by_name = {"first": NO_RULE, "second": NO_RULE}
    told = [*map(signal, ("first", "matched", "second", "first")), signal("over", ended=NOW + MINUTE)]
    async with leading(made, failpoints=crossings) as ledger:
        crossings.passed.clear()
        answer = await ledger.signals.accept(told, NOW + MINUTE, lambda each: by_name.get(each.key))
        assert crossings.passed == [("commit", "accept", True), ("commit", "accept", False)]
        assert (answer.new, answer.repeated, answer.resolved) == (3, 1, 1)
        assert [(each.key, given) for each, given in answer.opened] == [
            ("first", NO_RULE),
            ("matched", None),
            ("second", NO_RULE),
        ]
        assert await ledger.signals.due(NOW + MINUTE) == (told[1],)
        found = {each.key: given and (given.kind, given.text) for each, given in await newest_signals(ledger)}
        no_rule = (NO_RULE.kind, NO_RULE.text)
        over = (VerdictKind.OBSERVED, "The signal ended before its evaluation.")
        assert found == {"first": no_rule, "matched": None, "second": no_rule, "over": over}
        again = await ledger.signals.accept(told[:3], NOW + MINUTE, refuse_to_evaluate)
        assert (again.repeated, again.opened) == (3, ())


def refuse_to_evaluate(known: Signal) -> Verdict | None:
    """Fail the test: nothing is new."""
    raise AssertionError(f"{known.id} is known")


async def test_an_alert_that_is_stored_as_it_came_is_evaluated_as_it_is_read(ledger: Ledger) -> None:
    """P9: all others are left to those who read them."""
    evaluated: list[Signal] = []
    told = [
        signal("moves", began=NOW + MINUTE),
        signal("moves", began=NOW),
        signal("k" * 1000),
        signal("secret", labels={"alertname": "A", "password": "a-long-secret"}),
        signal("cleaned", labels={"alertname": "A\0"}),
        signal("long", labels={"alertname": "A" * LONG_TEXT}),
        signal("ends"),
        signal("ends", ended=NOW + MINUTE),
    ]
    answer = await ledger.signals.accept(told, NOW, evaluated.append)
    read = {each.id: each for each in await ledger.signals.due(NOW)}
    assert [each.began for each in evaluated] == [NOW, NOW]
    assert [each for each, _ in answer.opened] == evaluated == [read[each.id] for each in evaluated]
    assert len(read) == 5


async def test_a_rule_holds_since_its_oldest_signal_that_holds_with_the_verdict_on_the_newest(ledger: Ledger) -> None:
    given = [signal("a"), signal("b", received=NOW + MINUTE), signal("c", received=NOW + 2 * MINUTE)]
    ids = (await ledger.signals.accept(given, NOW)).ids
    kinds = (VerdictKind.OBSERVED, VerdictKind.REFUSED, VerdictKind.ATTACHED)
    await ledger.signals.settle(dict(zip(ids, map(verdict, kinds), strict=True)), NOW)
    await ledger.signals.accept([signal("c", ended=NOW + 3 * MINUTE)], NOW)
    holding = await ledger.signals.holding(["web-down", "api-down"])
    assert holding == {"web-down": HoldingSignals(since=NOW, verdict=verdict(VerdictKind.REFUSED))}


async def test_ten_thousand_alerts_in_one_group_are_kept(ledger: Ledger) -> None:
    """A4: a storm; also more keys than one statement may carry parameters."""
    storm = [signal(f"storm-{number}") for number in range(10_000)]
    answer = await ledger.signals.accept(storm, NOW)
    assert (answer.new, len(set(answer.ids)), await ledger.signals.pending()) == (10_000,) * 3
    assert (await ledger.signals.accept(storm, NOW)).repeated == 10_000
    assert [each.id for each in await ledger.signals.firing()] == sorted(answer.ids)


async def test_many_callers_at_once_each_get_their_own_answer_also_where_one_goes_away(ledger: Ledger) -> None:
    """P1: callers are committed together and none gets another's answer; a webhook's connection may be cut meanwhile."""
    calls = [asyncio.create_task(ledger.signals.accept([signal(f"c-{n}"), signal("common")], NOW)) for n in range(200)]
    await asyncio.sleep(0)
    calls[7].cancel()
    answers = [
        each for each in await asyncio.gather(*calls, return_exceptions=True) if not isinstance(each, BaseException)
    ]
    assert len({answer.ids[0] for answer in answers}) == len(answers) == 199
    assert len({answer.ids[1] for answer in answers}) == 1
    assert sum(answer.repeated for answer in answers) in (198, 199)
    assert await ledger.signals.pending() in (200, 201)


async def test_two_replicas_never_open_the_same_episode_twice(postgres: str) -> None:
    """A1 across replicas: peers of Alertmanager deliver to different replicas at the same time."""
    async with Ledger.open(postgres, holder="kintsugi-0") as one, Ledger.open(postgres, holder="kintsugi-1") as other:
        deliveries = [
            replica.signals.accept([signal(f"k-{n}", began=NOW + shift * MINUTE) for n in range(50)], NOW)
            for shift, replica in enumerate((one, other) * 10)
        ]
        answers = await asyncio.gather(*deliveries)
        assert sum(answer.new for answer in answers) == len(await one.signals.firing()) == 50


async def _deliver(url: str, batches: Sequence[Sequence[Signal]]) -> tuple[Timeline, int]:
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        for batch in batches:
            await ledger.signals.accept(batch, NOW)
        episodes = sorted((told.began, told.ended) for told, _ in await newest_signals(ledger, limit=100))
        return episodes, len(await ledger.signals.firing())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=anything, data=st.data())
def test_any_multiset_and_order_of_deliveries_gives_the_same_episodes(
    deliveries: list[Delivery], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A1, A2, A3, A16: duplicated, permuted and cut into any batches."""
    told = [signal("k", began=began, ended=ended) for began, ended in deliveries]
    extra = data.draw(st.lists(st.sampled_from(told), max_size=4))
    shuffled = data.draw(st.permutations([*told, *extra]))
    cut = data.draw(st.integers(0, len(shuffled)))

    def fresh() -> str:
        folder: Path = tmp_path_factory.mktemp("order")
        return f"sqlite:///{folder}/ledger.db"

    in_order = asyncio.run(_deliver(fresh(), [[each] for each in told]))
    disordered = asyncio.run(_deliver(fresh(), [shuffled[:cut], shuffled[cut:]]))
    assert disordered == in_order


@pytest.mark.parametrize("status", ["firing", "resolved"])
@pytest.mark.parametrize("first", ["the watch", "the webhook"])
async def test_a_forged_fingerprint_neither_ends_nor_hides_what_the_watch_sees(
    ledger: Ledger, status: str, first: str
) -> None:
    """P9: an alert may give itself the key of what the watch has seen."""
    pod = Target(kind="Pod", namespace="production", name="web-1", uid="0b5c1f1e-0000-4000-8000-000000000001")
    rule = "unhealthy-pods"
    began = NOW if first == "the watch" else NOW + MINUTE / 2
    made = signal(f"{rule}/{pod.uid}", source=SignalSource.WATCH, began=began)
    seen = replace(made, kind=RuleSource.POD, rule=rule, target=pod)
    body = webhook(alert(fingerprint=seen.key, status=status, startsAt=NOW.isoformat()))
    deliveries = [[seen], list(decode(body, NOW + MINUTE).signals)]
    for each in deliveries if first == "the watch" else reversed(deliveries):
        await ledger.signals.accept(each, NOW + MINUTE)
    assert [each.key for each in await ledger.signals.firing(SignalSource.WATCH)] == [seen.key]
    assert len(await ledger.signals.firing()) == (1 if status == "resolved" else 2)


async def test_a_provisional_verdict_is_due_when_it_ends_and_a_final_one_is_never_replaced(ledger: Ledger) -> None:
    """P9: judged again, unless it has ended meanwhile; a late judgement of an old copy changes nothing."""
    held, gone, final, fresh = (signal(key, received=NOW + n * MINUTE) for n, key in enumerate(("h", "g", "f", "n")))
    await ledger.signals.accept([held, gone, final, fresh], NOW)
    again = verdict(VerdictKind.REFUSED, Reason.COOLDOWN, NOW + MINUTE)
    await ledger.signals.settle({held.id: again, gone.id: again, final.id: NO_RULE}, NOW)
    await ledger.signals.settle({final.id: again}, NOW)
    await ledger.signals.accept([signal("g", ended=NOW + MINUTE)], NOW)
    assert await ledger.signals.pending() == 1
    assert [each.id for each in await ledger.signals.due(NOW)] == [fresh.id]
    assert [each.id for each in await ledger.signals.due(NOW + MINUTE)] == [held.id, fresh.id]
    assert [each.id for each in await ledger.signals.due(NOW + MINUTE, limit=1)] == [held.id]


async def test_signals_of_some_rules_that_were_refused_for_a_reason_that_ends_soon_can_be_made_due(
    ledger: Ledger,
) -> None:
    """Those of other rules and reasons, and those that end later, stay as they are."""
    soon = verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + MINUTE)
    verdicts = {
        "soon": soon,
        "late": replace(soon, until=NOW + 2 * MINUTE),
        "other": replace(soon, reason=Reason.COOLDOWN),
        "foreign": replace(soon, rule="another"),
        "ended": soon,
    }
    signals = {key: signal(key) for key in verdicts}
    await ledger.signals.accept(list(signals.values()), NOW)
    await ledger.signals.settle({signals[key].id: each for key, each in verdicts.items()}, NOW)
    await ledger.signals.accept([signal("ended", ended=NOW)], NOW)
    assert await ledger.signals.refusals(Reason.BUDGET) == (("another", NOW + MINUTE), ("web-down", NOW + 2 * MINUTE))
    for made in (1, 0):
        assert await ledger.signals.make_due({"web-down"}, Reason.BUDGET, NOW, until=NOW + MINUTE) == made
        assert [each.id for each in await ledger.signals.due(NOW)] == [signals["soon"].id]


async def test_a_signal_that_still_fires_after_its_incident_closed_is_due_again(ledger: Ledger) -> None:
    """A2, P9: the guards decide whether anything starts; what a person took over is left to them."""
    runs = [await begin(ledger, service) for service in ("web", "db", "api")]
    assert await ledger.signals.rearm(NOW) == 0
    for run, state in zip(runs[:2], (IncidentState.INEFFECTIVE, IncidentState.NEEDS_OPERATOR), strict=True):
        await end(ledger, run, state)
    assert await ledger.signals.rearm(NOW + MINUTE) == 1
    (again,) = await ledger.signals.due(NOW + MINUTE)
    assert started(await request(ledger, again, now=NOW + MINUTE)).incident != runs[0].incident
    assert await ledger.signals.due(NOW + MINUTE) == ()


async def test_a_signal_is_read_back_as_it_was_delivered(ledger: Ledger) -> None:
    """Labels, annotations, target and times."""
    told = replace(
        signal("a", received=NOW + MINUTE),
        rule="pod-not-ready",
        annotations={"summary": "it is down", "größe": "über 9"},
        target=Target(kind="Pod", namespace="shop", name="web-0", uid="u-1"),
    )
    await ledger.signals.accept([told], NOW)
    assert await ledger.signals.due(NOW) == (told,)


@pytest.mark.parametrize("length", [512, 513, 100_000])
async def test_a_very_long_key_is_still_one_signal(ledger: Ledger, length: int) -> None:
    """A14: an index takes no key of any length, and two long keys must not become one."""
    keys = ["ö" * length, "ö" * (length - 1) + "x"]
    first = await ledger.signals.accept([signal(key) for key in keys], NOW)
    again = await ledger.signals.accept([signal(key) for key in keys], NOW)
    assert (first.new, again.new, again.ids) == (2, 0, first.ids)
