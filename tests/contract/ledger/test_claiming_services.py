"""One run a service, decided on what is true at that moment, whoever else claims at the same time."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from kintsugi.decisions.guards import Limits
from kintsugi.errors import LedgerError, LedgerUnavailable, NotRecorded
from kintsugi.ledger import Decide, Ledger, RunRequest, RunRequestResult
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Reason, SignalSource, StepState, Verdict, VerdictKind
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    begin,
    hold,
    refuse_to_decide,
    run_request,
    signal,
    start,
    started,
    step,
    verdict,
)


async def test_a_claim_that_starts_writes_incident_run_locks_and_verdict_together(ledger: Ledger) -> None:
    """P2, P9."""
    told = signal()
    await ledger.signals.accept([told], NOW)
    requested = await ledger.run_requests.request_run(run_request(told), start, NOW)
    run = started(requested)
    assert requested.incident is not None
    assert await ledger.runs.open_runs() == (run,)
    assert await ledger.incidents.get(run.incident) == requested.incident
    assert requested.incident.state is IncidentState.RUNNING
    assert run.epoch == ledger.epoch
    assert run.parameters == {"replicas": 3}
    ((_, judged),) = await ledger.signals.of_incident(run.incident)
    assert judged == requested.verdict
    assert await ledger.signals.pending() == 0


async def test_two_claims_of_one_service_at_once_start_one_run(ledger: Ledger) -> None:
    """P2: the loser is attached."""
    told = [signal() for _ in range(8)]
    await ledger.signals.accept(told, NOW)
    claims = await asyncio.gather(*(ledger.run_requests.request_run(run_request(each), start, NOW) for each in told))
    kinds = sorted(each.verdict.kind for each in claims)
    assert kinds == [VerdictKind.ATTACHED] * 7 + [VerdictKind.STARTED]
    assert len(await ledger.runs.open_runs()) == 1
    assert len({each.run.id for each in claims if each.run is not None}) == 1
    assert len(await ledger.signals.of_incident(claims[0].verdict.incident)) == 8


async def test_claims_of_two_leaders_in_a_row_start_one_run(postgres: str) -> None:
    """P2, P4 across replicas: the later leader attaches to what the earlier one started."""
    async with Ledger.open(postgres, holder="kintsugi-0") as one, Ledger.open(postgres, holder="kintsugi-1") as other:
        await one.lead(NOW)
        run = await begin(one)
        await other.lead(NOW)
        told = signal()
        await one.signals.accept([told], NOW)
        assert (await other.run_requests.request_run(run_request(told), refuse_to_decide, NOW)).run == run


async def test_a_limit_counted_inside_the_claim_holds_for_a_hundred_claims_at_once(ledger: Ledger) -> None:
    """P7: a read-modify-write of a hundred concurrent callers loses none."""
    told = [signal(labels={"n": str(number)}) for number in range(100)]
    await ledger.signals.accept(told, NOW)

    def at_most_three(history: History) -> Verdict:
        if len(history.active) < 3:
            return verdict(VerdictKind.STARTED)
        return verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + MINUTE)

    wanted = [run_request(each, service=f"s-{number}") for number, each in enumerate(told)]
    claims = await asyncio.gather(*(patiently(ledger, each, at_most_three) for each in wanted))
    assert sum(each.verdict.kind is VerdictKind.STARTED for each in claims) == 3
    assert len(await ledger.runs.open_runs()) == 3
    assert await ledger.signals.pending() == 0


async def test_the_slots_of_each_namespace_and_of_the_cluster_hold_for_many_claims_at_once(ledger: Ledger) -> None:
    """P7: two in a namespace, five in all; who is refused is told which of the two limits it was."""
    limits = Limits(max_concurrent_services=5, max_concurrent_services_per_namespace=2)

    def claimed_in(namespace: str) -> Decide:
        def decide(history: History) -> Verdict:
            full = limits.slots(tuple(run.namespace for run in history.active)).refusal(namespace)
            refused = replace(verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + MINUTE), text=full)
            return refused if full else verdict(VerdictKind.STARTED)

        return decide

    async def refused(*places: str) -> set[str]:
        """Claim eight services in each of these namespaces, and return what the refused were told."""
        told = [(signal(), place) for place in places for _ in range(8)]
        await ledger.signals.accept([each for each, _ in told], NOW)
        wanted = [(run_request(each, service=each.id, namespace=place), claimed_in(place)) for each, place in told]
        claims = await asyncio.gather(*(patiently(ledger, one, decide) for one, decide in wanted))
        return {each.verdict.text for each in claims if each.verdict.kind is VerdictKind.REFUSED}

    limit = "the limit there is 2"
    assert await refused("shop", "bank") == {
        f"2 services of {each} are being recovered; {limit}" for each in ("shop", "bank")
    }
    assert await refused("post") == {"5 services are being recovered; the limit is 5"}
    assert sorted(run.namespace for run in await ledger.runs.open_runs()) == ["bank", "bank", "post", "shop", "shop"]


async def patiently(ledger: Ledger, wanted: RunRequest, decide: Decide) -> RunRequestResult:
    """Claim; whoever waits too long for the one connection of an SQLite file is told to come again."""
    while True:
        with suppress(LedgerUnavailable):
            return await ledger.run_requests.request_run(wanted, decide, NOW)


async def test_a_claim_repeated_gives_what_was_decided_the_first_time(ledger: Ledger) -> None:
    """D2: the answer to the COMMIT was lost, the caller asks again."""
    told = signal()
    await ledger.signals.accept([told], NOW)
    first = await ledger.run_requests.request_run(run_request(told), start, NOW)
    assert await ledger.run_requests.request_run(run_request(told), refuse_to_decide, NOW + MINUTE) == first


async def test_a_claim_for_a_signal_that_was_never_accepted_is_refused(ledger: Ledger) -> None:
    """P8: nothing is started for what is not on record."""
    with pytest.raises(NotRecorded):
        await ledger.run_requests.request_run(run_request(signal()), start, NOW)
    assert await ledger.runs.open_runs() == ()


async def test_a_person_may_claim_without_a_signal(ledger: Ledger) -> None:
    """`kintsugi recover`."""
    run = started(await ledger.run_requests.request_run(run_request(None), start, NOW))
    assert await ledger.runs.open_runs() == (run,)


async def test_a_signal_that_has_ended_starts_nothing(ledger: Ledger) -> None:
    """It was provisional, and ended before it was judged again."""
    told = signal("a")
    await ledger.signals.accept([told], NOW)
    await ledger.signals.settle({told.id: verdict(VerdictKind.REFUSED, Reason.COOLDOWN, NOW + MINUTE)}, NOW)
    await ledger.signals.accept([signal("a", ended=NOW + MINUTE)], NOW)
    requested = await ledger.run_requests.request_run(run_request(told), refuse_to_decide, NOW + MINUTE)
    assert (requested.verdict.kind, requested.verdict.reason) == (VerdictKind.OBSERVED, Reason.RESOLVED)
    assert await ledger.runs.open_runs() == ()


async def test_a_refusal_settles_the_signal_and_opens_nothing(ledger: Ledger) -> None:
    """P9: a provisional refusal comes up again when its time has come, a final one does not."""
    hit, final = signal(), signal()
    await ledger.signals.accept([hit, final], NOW)
    await ledger.run_requests.request_run(
        run_request(hit), lambda _: verdict(VerdictKind.REFUSED, Reason.COOLDOWN, NOW + MINUTE), NOW
    )
    await ledger.run_requests.request_run(run_request(final), lambda _: verdict(VerdictKind.OBSERVED, Reason.MODE), NOW)
    assert await ledger.incidents.newest() == ()
    assert await ledger.signals.due(NOW) == ()
    assert [each.id for each in await ledger.signals.due(NOW + MINUTE)] == [hit.id]


async def test_a_held_incident_is_reused_when_its_signal_is_judged_again(ledger: Ledger) -> None:
    """Cause first: held, not dropped."""
    told = signal()
    await ledger.signals.accept([told], NOW)
    held = await ledger.run_requests.request_run(run_request(told), hold, NOW)
    assert held.run is None
    assert held.incident is not None
    assert held.incident.state is IncidentState.HELD
    again = await ledger.run_requests.request_run(run_request(told), hold, NOW + MINUTE)
    assert again.incident == held.incident
    run = started(await ledger.run_requests.request_run(run_request(told), start, NOW + 2 * MINUTE))
    assert run.incident == held.incident.id
    assert (await ledger.incidents.get(run.incident)).state is IncidentState.RUNNING
    assert len(await ledger.incidents.newest()) == 1


async def test_a_claim_is_told_since_when_its_service_is_held_and_how_the_runs_of_its_upstreams_ended(
    ledger: Ledger,
) -> None:
    """Held incidents and failed upstreams outlive a restart; an end that says nothing of the remedy is passed over."""
    for at, (service, end) in enumerate(
        (("database", IncidentState.FAILED), ("database", IncidentState.CANCELLED), ("cache", IncidentState.RECOVERED))
    ):
        begun = await begin(ledger, service, now=NOW + at * MINUTE)
        await ledger.runs.move_run(begun.id, end, "so it ended", NOW + at * MINUTE)
    told = signal("the-key")
    await ledger.signals.accept([told], NOW)
    seen: list[History] = []

    def decide(history: History) -> Verdict:
        seen.append(history)
        return hold(history)

    waiting = replace(run_request(told), upstreams=("database", "cache", "queue"))
    await ledger.run_requests.request_run(waiting, decide, NOW + HOUR)
    await ledger.run_requests.request_run(waiting, decide, NOW + 2 * HOUR)
    assert [each.held_since for each in seen] == [None, NOW + HOUR]
    ends = {name: (run.state, run.finished) for name, run in seen[1].upstreams.items()}
    assert ends == {
        "database": (IncidentState.FAILED, NOW),
        "cache": (IncidentState.RECOVERED, NOW + 2 * MINUTE),
    }
    asked = await ledger.run_requests.history(waiting.service, waiting.namespace, NOW + HOUR, upstreams=["database"])
    assert (asked.held_since, set(asked.upstreams)) == (NOW + HOUR, {"database"})


async def test_another_signal_joins_a_held_incident(ledger: Ledger) -> None:
    """One incident a service."""
    first, second = signal(), signal()
    await ledger.signals.accept([first, second], NOW)
    held = await ledger.run_requests.request_run(run_request(first), hold, NOW)
    joined = await ledger.run_requests.request_run(run_request(second), refuse_to_decide, NOW)
    assert joined.verdict.kind is VerdictKind.ATTACHED
    assert joined.incident == held.incident


async def test_a_run_that_awaits_approval_starts_when_it_is_approved(ledger: Ledger) -> None:
    """The incident's waiting signals get the new verdict."""
    told = signal()
    await ledger.signals.accept([told], NOW)
    waiting = await ledger.run_requests.request_run(
        run_request(told), lambda _: verdict(VerdictKind.AWAITING_APPROVAL, Reason.APPROVAL), NOW
    )
    assert waiting.incident is not None
    assert [notice.kind for notice in await ledger.outbox.due_notices(NOW)] == [IncidentState.AWAITING_APPROVAL]
    run = started(await ledger.run_requests.start_held(waiting.incident.id, run_request(told), start, NOW + MINUTE))
    ((_, judged),) = await ledger.signals.of_incident(run.incident)
    assert judged is not None
    assert judged.kind is VerdictKind.STARTED


async def test_a_held_incident_is_started_once(ledger: Ledger) -> None:
    """P2: the signal and the incident may both be looked at again at the same time."""
    told = signal()
    await ledger.signals.accept([told], NOW)
    held = await ledger.run_requests.request_run(run_request(told), hold, NOW)
    assert held.incident is not None
    incident = held.incident.id
    both = await asyncio.gather(
        ledger.run_requests.start_held(incident, run_request(told), start, NOW + MINUTE),
        ledger.run_requests.request_run(run_request(told), start, NOW + MINUTE),
        ledger.run_requests.start_held(incident, run_request(told), start, NOW + MINUTE),
    )
    assert len(await ledger.runs.open_runs()) == 1
    assert len({each.run.id for each in both if each.run is not None}) == 1


async def test_a_lock_held_by_another_run_keeps_a_run_from_starting(ledger: Ledger) -> None:
    """P7: even when the decision did not look at the locks."""
    first, second = signal(), signal()
    await ledger.signals.accept([first, second], NOW)
    shared = ("statefulset/db",)
    run = started(await ledger.run_requests.request_run(run_request(first, service="a", locks=shared), start, NOW))
    refused = await ledger.run_requests.request_run(run_request(second, service="b", locks=shared), start, NOW)
    assert (refused.verdict.kind, refused.verdict.reason) == (VerdictKind.REFUSED, Reason.LOCKED)
    assert run.id in refused.verdict.text
    assert refused.verdict.until is not None
    await ledger.runs.move_run(run.id, IncidentState.RECOVERED, "well again", NOW)
    started(await ledger.run_requests.request_run(run_request(second, service="b", locks=shared), start, NOW + MINUTE))


async def test_a_decision_that_raises_keeps_nothing(ledger: Ledger) -> None:
    """P8: a guard that cannot answer is no reason to act."""
    told = signal()
    await ledger.signals.accept([told], NOW)

    def broken(_history: History) -> Verdict:
        raise LedgerError("a guard could not answer")

    with pytest.raises(LedgerError, match="could not answer"):
        await ledger.run_requests.request_run(run_request(told), broken, NOW)
    assert await ledger.signals.pending() == 1
    assert await ledger.incidents.newest() == ()


async def test_the_history_tells_what_the_guards_count(ledger: Ledger) -> None:
    """P7: across restarts, because it is read from the ledger."""
    done = await begin(ledger, "web", now=NOW - 2 * HOUR)
    await ledger.runs.save_step(step(done), expect=None, now=NOW)
    await ledger.runs.save_step(step(done, "look", StepState.PLANNED), expect=None, now=NOW)
    await ledger.runs.move_run(done.id, IncidentState.INEFFECTIVE, "still bad", NOW - HOUR)
    ancient = await begin(ledger, "old", now=NOW - 9 * HOUR)
    await ledger.runs.move_run(ancient.id, IncidentState.FAILED, "no", NOW - 8 * HOUR)
    active = await begin(ledger, "api", namespace="other")
    seen: list[History] = []

    def look(history: History) -> Verdict:
        seen.append(history)
        return verdict(VerdictKind.OBSERVED, Reason.MODE)

    for service in ("web", "old"):
        await ledger.run_requests.request_run(run_request(None, service=service), look, NOW)
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
        await ledger.runs.save_step(made, expect=None, now=NOW)
    seen: list[History] = []

    def look(history: History) -> Verdict:
        seen.append(history)
        return verdict(VerdictKind.OBSERVED, Reason.MODE)

    await ledger.run_requests.request_run(run_request(None, service="x", namespace="shop"), look, NOW)
    await ledger.run_requests.request_run(run_request(None, service="x", namespace="other"), look, NOW)
    assert [history.disruptions for history in seen] == [(NOW - 30 * MINUTE,), ()]


async def test_signals_of_other_sources_are_told_apart(ledger: Ledger) -> None:
    """The poll asks for what it may resolve."""
    await ledger.signals.accept([signal("a"), signal("b", source=SignalSource.WATCH)], NOW)
    assert [each.key for each in await ledger.signals.firing(SignalSource.WATCH)] == ["b"]
    assert len(await ledger.signals.firing()) == 2
