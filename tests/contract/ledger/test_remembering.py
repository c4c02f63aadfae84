"""Conditions, good revisions, documents and dead letters, across restarts."""

from dataclasses import replace

from kintsugi.ledger import Ledger
from kintsugi.model.known import GoodCount, GoodRevision
from kintsugi.model.records import DeadLetter, IncidentState, PendingMatch, Reason, SignalSource, Target, VerdictKind
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, run_request, signal, start, started, verdict


def condition(uid: str, *, signalled: bool = False) -> PendingMatch:
    """Make a condition on a pod."""
    target = Target(kind="Pod", namespace="shop", name=f"web-{uid}", uid=uid)
    return PendingMatch(rule="pod-not-ready", target=target, since=NOW, signalled=signalled)


async def test_a_condition_is_kept_across_a_restart(url: str) -> None:
    """`for:` counts from the first yes."""
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        await ledger.lead(NOW)
        await ledger.pending_matches.save_conditions([condition("a"), condition("b")], ())
        await ledger.pending_matches.save_conditions([condition("a", signalled=True)], [("pod-not-ready", "b")])
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        assert await ledger.pending_matches.conditions() == (condition("a", signalled=True),)


async def test_many_conditions_begin_and_end_in_one_call(ledger: Ledger) -> None:
    """A node goes: a thousand pods at once."""
    conditions = [condition(str(number)) for number in range(1200)]
    await ledger.pending_matches.save_conditions(conditions, ())
    assert len(await ledger.pending_matches.conditions()) == 1200
    await ledger.pending_matches.save_conditions((), [(each.rule, each.target.uid) for each in conditions])
    assert await ledger.pending_matches.conditions() == ()


async def test_a_good_revision_keeps_its_first_and_moves_its_last_time(ledger: Ledger) -> None:
    """`rollout undo` goes to the last revision known to be good."""
    old = GoodRevision(workload="uid-1", template="abc", number=3, first_good=NOW, last_good=NOW)
    new = GoodRevision(workload="uid-1", template="def", number=4, first_good=NOW + HOUR, last_good=NOW + HOUR)
    await ledger.revisions.note_good([old, new])
    later = replace(old, number=5, first_good=NOW + 2 * HOUR, last_good=NOW + 2 * HOUR)
    await ledger.revisions.note_good([later])
    await ledger.revisions.note_good([old])
    assert await ledger.revisions.good_revisions("uid-1") == (replace(later, first_good=NOW), new)
    assert await ledger.revisions.good_revisions("uid-2") == ()


async def test_an_adopted_revision_stays_adopted_until_it_is_seen_good_itself_and_is_never_adopted_then(
    ledger: Ledger,
) -> None:
    adopted = GoodRevision(workload="u", template="abc", number=3, first_good=NOW, last_good=NOW, adopted=True)
    later = replace(adopted, last_good=NOW + HOUR)
    await ledger.revisions.note_good([adopted])
    await ledger.revisions.note_good([later])
    assert await ledger.revisions.good_revisions("u") == (later,)
    seen = replace(later, last_good=NOW + 2 * HOUR, adopted=False)
    await ledger.revisions.note_good([seen])
    last = NOW + 3 * HOUR
    await ledger.revisions.note_good([replace(later, last_good=last)])
    assert await ledger.revisions.good_revisions("u") == (replace(seen, last_good=last),)


async def test_the_last_value_of_each_count_is_known(ledger: Ledger) -> None:
    """What a recovery is measured by, also by another life than the one that counted."""
    keys = GoodCount(service="cache", name="keys", value=1000, moment=NOW)
    others = [replace(keys, name="rows"), replace(keys, service="other")]
    await ledger.revisions.note_counts([keys, *others])
    await ledger.revisions.note_counts([replace(keys, value=2**40, moment=NOW + HOUR)])
    known = {(each.service, each.name): each for each in await ledger.revisions.good_counts()}
    assert known["cache", "keys"] == replace(keys, value=2**40, moment=NOW + HOUR)
    assert [known["cache", "rows"], known["other", "keys"]] == others


async def test_the_documents_of_a_run_can_be_read_after_a_reload(ledger: Ledger) -> None:
    """C17: a run keeps to what it was started with."""
    for _ in range(2):
        await ledger.catalogs.keep_catalog("digest-1", {"web.yaml": "service: web", "db.yaml": "service: db"})
    await ledger.catalogs.keep_catalog("digest-2", {"web.yaml": "service: other"})
    assert await ledger.catalogs.catalog_texts("digest-1") == {"web.yaml": "service: web", "db.yaml": "service: db"}
    assert await ledger.catalogs.catalog_texts("digest-3") == {}


async def test_dead_letters_are_bounded_to_the_newest(ledger: Ledger) -> None:
    """A11, D10: a flood of nonsense fills no disk."""
    letters = [
        DeadLetter(
            id=f"dead-{number:05d}",
            source=SignalSource.ALERTMANAGER,
            received=NOW + number * MINUTE,
            reason="labels: expected a mapping",
            excerpt="{}",
        )
        for number in range(1500)
    ]
    for first in range(0, 1500, 500):
        await ledger.signals.keep_dead_letters(letters[first : first + 500])
    await ledger.signals.keep_dead_letters(letters[-1:])
    kept = await ledger.dead_letters.newest(limit=2000)
    assert kept == tuple(reversed(letters[500:]))


async def test_a_provisional_verdict_is_due_when_it_ends_and_a_final_one_never(ledger: Ledger) -> None:
    """P9: judged again, unless it has ended meanwhile."""
    held, gone, final, fresh = (signal(key, received=NOW + n * MINUTE) for n, key in enumerate(("h", "g", "f", "n")))
    await ledger.signals.accept([held, gone, final, fresh], NOW)
    again = verdict(VerdictKind.REFUSED, Reason.COOLDOWN, NOW + MINUTE)
    await ledger.signals.settle({held.id: again, gone.id: again, final.id: verdict(VerdictKind.NO_RULE)}, NOW)
    await ledger.signals.accept([signal("g", ended=NOW + MINUTE)], NOW)
    assert await ledger.signals.pending() == 1
    assert [each.id for each in await ledger.signals.due(NOW)] == [fresh.id]
    assert [each.id for each in await ledger.signals.due(NOW + MINUTE)] == [held.id, fresh.id]
    assert [each.id for each in await ledger.signals.due(NOW + MINUTE, limit=1)] == [held.id]


async def test_signals_of_some_rules_that_were_refused_for_a_reason_that_ends_soon_can_be_made_due(
    ledger: Ledger,
) -> None:
    """Those of other rules and reasons, and those that end later, stay as they are."""
    verdicts = {
        "soon": verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + MINUTE),
        "late": verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + 2 * MINUTE),
        "other": verdict(VerdictKind.REFUSED, Reason.COOLDOWN, NOW + MINUTE),
        "foreign": replace(verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + MINUTE), rule="another"),
        "ended": verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + MINUTE),
    }
    signals = {key: signal(key) for key in verdicts}
    await ledger.signals.accept(list(signals.values()), NOW)
    await ledger.signals.settle({signals[key].id: each for key, each in verdicts.items()}, NOW)
    await ledger.signals.accept([signal("ended", ended=NOW)], NOW)
    assert await ledger.signals.refusals(Reason.BUDGET) == (("another", NOW + MINUTE), ("web-down", NOW + 2 * MINUTE))
    rules = {verdicts["soon"].rule}
    assert await ledger.signals.make_due(rules, Reason.BUDGET, NOW, until=NOW + MINUTE) == 1
    assert [each.id for each in await ledger.signals.due(NOW)] == [signals["soon"].id]
    assert await ledger.signals.make_due(rules, Reason.BUDGET, NOW, until=NOW + MINUTE) == 0


async def test_a_signal_that_still_fires_after_its_incident_closed_is_due_again(ledger: Ledger) -> None:
    """A2, P9: the guards decide whether anything starts; what a person took over is left to them."""
    runs = [await begin(ledger, service) for service in ("web", "db", "api")]
    assert await ledger.signals.rearm(NOW) == 0
    for run, state in zip(runs[:2], (IncidentState.INEFFECTIVE, IncidentState.NEEDS_OPERATOR), strict=True):
        await ledger.runs.move_run(run.id, state, "over", NOW)
    assert await ledger.signals.rearm(NOW + MINUTE) == 1
    (again,) = await ledger.signals.due(NOW + MINUTE)
    run = started(await ledger.run_requests.request_run(run_request(again, service="web"), start, NOW + MINUTE))
    assert run.incident != runs[0].incident
    assert await ledger.signals.due(NOW + MINUTE) == ()


async def test_a_final_verdict_is_never_replaced(ledger: Ledger) -> None:
    """P9: a late judgement of an old copy changes nothing."""
    told = signal()
    await ledger.signals.accept([told], NOW)
    await ledger.signals.settle({told.id: verdict(VerdictKind.NO_RULE, Reason.NO_RULE)}, NOW)
    await ledger.signals.settle({told.id: verdict(VerdictKind.REFUSED, Reason.COOLDOWN)}, NOW)
    ((_, judged),) = await ledger.signals.newest()
    assert judged is not None
    assert judged.kind is VerdictKind.NO_RULE


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
