"""One run a service, decided on what is true at that moment, whoever else claims at the same time."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from kintsugi.errors import LedgerError, LedgerUnavailable, NotRecorded
from kintsugi.ledger import Claim, Claimed, Ledger
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Reason, SignalSource, StepState, Verdict, VerdictKind
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    begin,
    claim,
    hold,
    refuse_to_decide,
    signal,
    start,
    started,
    step,
    verdict,
)


async def test_a_claim_that_starts_writes_incident_run_locks_and_verdict_together(ledger: Ledger) -> None:
    """P2, P9."""
    told = signal()
    await ledger.accept([told], NOW)
    claimed = await ledger.claim(claim(told), start, NOW)
    run = started(claimed)
    assert claimed.incident is not None
    assert await ledger.open_runs() == (run,)
    assert await ledger.incident(run.incident) == claimed.incident
    assert claimed.incident.state is IncidentState.RUNNING
    assert run.epoch == ledger.epoch
    assert run.parameters == {"replicas": 3}
    ((_, judged),) = await ledger.signals_of(run.incident)
    assert judged == claimed.verdict
    assert await ledger.unjudged() == 0


async def test_two_claims_of_one_service_at_once_start_one_run(ledger: Ledger) -> None:
    """P2: the loser is attached."""
    told = [signal() for _ in range(8)]
    await ledger.accept(told, NOW)
    claims = await asyncio.gather(*(ledger.claim(claim(each), start, NOW) for each in told))
    kinds = sorted(each.verdict.kind for each in claims)
    assert kinds == [VerdictKind.ATTACHED] * 7 + [VerdictKind.STARTED]
    assert len(await ledger.open_runs()) == 1
    assert len({each.run.id for each in claims if each.run is not None}) == 1
    assert len(await ledger.signals_of(claims[0].verdict.incident)) == 8


async def test_claims_of_two_leaders_in_a_row_start_one_run(postgres: str) -> None:
    """P2, P4 across replicas: the later leader attaches to what the earlier one started."""
    async with Ledger.open(postgres, holder="kintsugi-0") as one, Ledger.open(postgres, holder="kintsugi-1") as other:
        await one.lead(NOW)
        run = await begin(one)
        await other.lead(NOW)
        told = signal()
        await one.accept([told], NOW)
        assert (await other.claim(claim(told), refuse_to_decide, NOW)).run == run


@pytest.mark.timeout(60)
async def test_a_limit_counted_inside_the_claim_holds_for_a_hundred_claims_at_once(ledger: Ledger) -> None:
    """P7: a read-modify-write of a hundred concurrent callers loses none."""
    told = [signal(labels={"n": str(number)}) for number in range(100)]
    await ledger.accept(told, NOW)

    def at_most_three(history: History) -> Verdict:
        if len(history.active) < 3:
            return verdict(VerdictKind.STARTED)
        return verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + MINUTE)

    async def patiently(wanted: Claim) -> Claimed:
        while True:  # whoever waits too long for the one connection of an SQLite file is told to come again
            with suppress(LedgerUnavailable):
                return await ledger.claim(wanted, at_most_three, NOW)

    wanted = [claim(each, service=f"s-{number}") for number, each in enumerate(told)]
    claims = await asyncio.gather(*map(patiently, wanted))
    assert sum(each.verdict.kind is VerdictKind.STARTED for each in claims) == 3
    assert len(await ledger.open_runs()) == 3
    assert await ledger.unjudged() == 0


async def test_a_claim_repeated_gives_what_was_decided_the_first_time(ledger: Ledger) -> None:
    """D2: the answer to the COMMIT was lost, the caller asks again."""
    told = signal()
    await ledger.accept([told], NOW)
    first = await ledger.claim(claim(told), start, NOW)
    assert await ledger.claim(claim(told), refuse_to_decide, NOW + MINUTE) == first


async def test_a_claim_for_a_signal_that_was_never_accepted_is_refused(ledger: Ledger) -> None:
    """P8: nothing is started for what is not on record."""
    with pytest.raises(NotRecorded):
        await ledger.claim(claim(signal()), start, NOW)
    assert await ledger.open_runs() == ()


async def test_a_person_may_claim_without_a_signal(ledger: Ledger) -> None:
    """`kintsugi recover`."""
    run = started(await ledger.claim(claim(None), start, NOW))
    assert await ledger.open_runs() == (run,)


async def test_a_signal_that_has_ended_starts_nothing(ledger: Ledger) -> None:
    """It was provisional, and ended before it was judged again."""
    told = signal("a")
    await ledger.accept([told], NOW)
    await ledger.settle({told.id: verdict(VerdictKind.REFUSED, Reason.COOLDOWN, NOW + MINUTE)}, NOW)
    await ledger.accept([signal("a", ended=NOW + MINUTE)], NOW)
    claimed = await ledger.claim(claim(told), refuse_to_decide, NOW + MINUTE)
    assert (claimed.verdict.kind, claimed.verdict.reason) == (VerdictKind.OBSERVED, Reason.RESOLVED)
    assert await ledger.open_runs() == ()


async def test_a_refusal_settles_the_signal_and_opens_nothing(ledger: Ledger) -> None:
    """P9: a provisional refusal comes up again when its time has come, a final one does not."""
    passing, final = signal(), signal()
    await ledger.accept([passing, final], NOW)
    await ledger.claim(claim(passing), lambda _: verdict(VerdictKind.REFUSED, Reason.COOLDOWN, NOW + MINUTE), NOW)
    await ledger.claim(claim(final), lambda _: verdict(VerdictKind.OBSERVED, Reason.MODE), NOW)
    assert await ledger.incidents() == ()
    assert await ledger.due_signals(NOW) == ()
    assert [each.id for each in await ledger.due_signals(NOW + MINUTE)] == [passing.id]


async def test_a_held_incident_is_reused_when_its_signal_is_judged_again(ledger: Ledger) -> None:
    """Cause first: held, not dropped."""
    told = signal()
    await ledger.accept([told], NOW)
    held = await ledger.claim(claim(told), hold, NOW)
    assert held.run is None
    assert held.incident is not None
    assert held.incident.state is IncidentState.HELD
    again = await ledger.claim(claim(told), hold, NOW + MINUTE)
    assert again.incident == held.incident
    run = started(await ledger.claim(claim(told), start, NOW + 2 * MINUTE))
    assert run.incident == held.incident.id
    assert (await ledger.incident(run.incident)).state is IncidentState.RUNNING
    assert len(await ledger.incidents()) == 1


async def test_another_signal_joins_a_held_incident(ledger: Ledger) -> None:
    """One incident a service."""
    first, second = signal(), signal()
    await ledger.accept([first, second], NOW)
    held = await ledger.claim(claim(first), hold, NOW)
    joined = await ledger.claim(claim(second), refuse_to_decide, NOW)
    assert joined.verdict.kind is VerdictKind.ATTACHED
    assert joined.incident == held.incident


async def test_what_awaits_approval_starts_when_it_is_approved(ledger: Ledger) -> None:
    """The incident's waiting signals get the new verdict."""
    told = signal()
    await ledger.accept([told], NOW)
    waiting = await ledger.claim(claim(told), lambda _: verdict(VerdictKind.AWAITING_APPROVAL, Reason.APPROVAL), NOW)
    assert waiting.incident is not None
    assert [notice.kind for notice in await ledger.due_notices(NOW)] == [IncidentState.AWAITING_APPROVAL]
    run = started(await ledger.start_held(waiting.incident.id, claim(told), start, NOW + MINUTE))
    ((_, judged),) = await ledger.signals_of(run.incident)
    assert judged is not None
    assert judged.kind is VerdictKind.STARTED


async def test_a_held_incident_is_started_once(ledger: Ledger) -> None:
    """P2: the signal and the incident may both be looked at again at the same time."""
    told = signal()
    await ledger.accept([told], NOW)
    held = await ledger.claim(claim(told), hold, NOW)
    assert held.incident is not None
    incident = held.incident.id
    both = await asyncio.gather(
        ledger.start_held(incident, claim(told), start, NOW + MINUTE),
        ledger.claim(claim(told), start, NOW + MINUTE),
        ledger.start_held(incident, claim(told), start, NOW + MINUTE),
    )
    assert len(await ledger.open_runs()) == 1
    assert len({each.run.id for each in both if each.run is not None}) == 1


async def test_a_lock_held_by_another_run_keeps_a_run_from_starting(ledger: Ledger) -> None:
    """P7: even when the decision did not look at the locks."""
    first, second = signal(), signal()
    await ledger.accept([first, second], NOW)
    shared = ("statefulset/db",)
    run = started(await ledger.claim(claim(first, service="a", locks=shared), start, NOW))
    refused = await ledger.claim(claim(second, service="b", locks=shared), start, NOW)
    assert (refused.verdict.kind, refused.verdict.reason) == (VerdictKind.REFUSED, Reason.LOCKED)
    assert run.id in refused.verdict.text
    assert refused.verdict.until is not None
    await ledger.move_run(run.id, IncidentState.RECOVERED, "well again", NOW)
    started(await ledger.claim(claim(second, service="b", locks=shared), start, NOW + MINUTE))


async def test_a_decision_that_raises_keeps_nothing(ledger: Ledger) -> None:
    """P8: a guard that cannot answer is no reason to act."""
    told = signal()
    await ledger.accept([told], NOW)

    def broken(_history: History) -> Verdict:
        raise LedgerError("a guard could not answer")

    with pytest.raises(LedgerError, match="could not answer"):
        await ledger.claim(claim(told), broken, NOW)
    assert await ledger.unjudged() == 1
    assert await ledger.incidents() == ()


async def test_the_history_tells_what_the_guards_count(ledger: Ledger) -> None:
    """P7: across restarts, because it is read from the ledger."""
    done = await begin(ledger, "web", now=NOW - 2 * HOUR)
    await ledger.save_step(step(done), expect=None, now=NOW)
    await ledger.save_step(step(done, "look", StepState.PLANNED), expect=None, now=NOW)
    await ledger.move_run(done.id, IncidentState.INEFFECTIVE, "still bad", NOW - HOUR)
    ancient = await begin(ledger, "old", now=NOW - 9 * HOUR)
    await ledger.move_run(ancient.id, IncidentState.FAILED, "no", NOW - 8 * HOUR)
    active = await begin(ledger, "api", namespace="other")
    seen: list[History] = []

    def look(history: History) -> Verdict:
        seen.append(history)
        return verdict(VerdictKind.OBSERVED, Reason.MODE)

    for service in ("web", "old"):
        await ledger.claim(claim(None, service=service), look, NOW)
    of_web, of_old = seen
    assert [run.service for run in of_web.active] == ["api"]
    assert [(run.service, run.state, run.changes) for run in of_web.recent] == [("web", IncidentState.INEFFECTIVE, 1)]
    assert [run.service for run in of_old.recent] == ["old", "web"]
    assert of_web.disruptions == (NOW,)
    assert of_web.locks == {"service/api": active.id}


async def test_a_disruption_counts_for_its_namespace_and_its_hour(ledger: Ledger) -> None:
    """P7: the budget is a namespace's, and slides."""
    run = await begin(ledger, "web", namespace="shop")
    for minutes in (90, 30):
        made = replace(step(run, f"delete#{minutes}"), started=NOW - minutes * MINUTE)
        await ledger.save_step(made, expect=None, now=NOW)
    seen: list[History] = []

    def look(history: History) -> Verdict:
        seen.append(history)
        return verdict(VerdictKind.OBSERVED, Reason.MODE)

    await ledger.claim(claim(None, service="x", namespace="shop"), look, NOW)
    await ledger.claim(claim(None, service="x", namespace="other"), look, NOW)
    assert [history.disruptions for history in seen] == [(NOW - 30 * MINUTE,), ()]


async def test_signals_of_other_sources_are_told_apart(ledger: Ledger) -> None:
    """The poll asks for what it may resolve."""
    await ledger.accept([signal("a"), signal("b", source=SignalSource.WATCH)], NOW)
    assert [each.key for each in await ledger.firing(SignalSource.WATCH)] == ["b"]
    assert len(await ledger.firing()) == 2
