"""One run a service, decided on what is true at that moment, whoever else requests one at the same time."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from kintsugi.decisions.guards import Limits
from kintsugi.errors import LedgerError, LedgerUnavailable, NotRecorded, WrongState
from kintsugi.ledger import Decide, Ledger, RunRequestResult
from kintsugi.model.change_limits import LockHolder
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Reason, RunRecord, Signal, StepState, Verdict, VerdictKind
from kintsugi.model.services import STACK
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    Noted,
    accepted,
    begin,
    end,
    hold,
    incident_of,
    judged,
    refuse_to_decide,
    request,
    run_request,
    signal,
    start,
    started,
    step,
    verdict,
    write,
)


async def test_a_request_that_starts_writes_incident_run_locks_and_verdict_together(ledger: Ledger) -> None:
    """P2, P9."""
    requested = await request(ledger, await accepted(ledger))
    run = started(requested)
    assert incident_of(requested).state is IncidentState.RUNNING
    assert await ledger.incidents.open_runs() == (run,)
    assert await ledger.incidents.get(run.incident) == requested.incident
    assert (run.epoch, run.parameters) == (ledger.epoch, {"replicas": 3})
    assert [given for _, given in await ledger.signals.of_incident(run.incident)] == [requested.verdict]
    assert await ledger.signals.pending() == 0


async def test_requests_for_one_service_at_once_start_one_run(ledger: Ledger) -> None:
    """P2: the losers are attached."""
    told = [await accepted(ledger) for _ in range(8)]
    found = await asyncio.gather(*(request(ledger, each) for each in told))
    assert sorted(each.verdict.kind for each in found) == [VerdictKind.ATTACHED] * 7 + [VerdictKind.STARTED]
    assert len(await ledger.incidents.open_runs()) == len({each.run.id for each in found if each.run is not None}) == 1
    assert len(await ledger.signals.of_incident(found[0].verdict.incident)) == 8


async def test_requests_of_two_leaders_in_a_row_start_one_run(postgres: str) -> None:
    """P2, P4 across replicas: the later leader attaches to what the earlier one started."""
    async with Ledger.open(postgres, holder="kintsugi-0") as one, Ledger.open(postgres, holder="kintsugi-1") as other:
        await one.lead(NOW)
        run = await begin(one)
        await other.lead(NOW)
        assert (await request(other, await accepted(one), refuse_to_decide)).run == run


async def test_the_slots_of_each_namespace_and_of_the_cluster_hold_for_many_requests_at_once(ledger: Ledger) -> None:
    """P7: two in a namespace, five in all, counted in the transaction; the refused are told which of the limits it was."""
    limits = Limits(max_concurrent_services=5, max_concurrent_services_per_namespace=2)

    async def patiently(told: Signal, namespace: str) -> RunRequestResult:
        """Request; whoever waits too long for the one connection of an SQLite file is told to come again."""

        def decide(history: History) -> Verdict:
            full = limits.slots(tuple(run.namespace for run in history.active)).refusal(namespace)
            refused = replace(verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + MINUTE), text=full)
            return refused if full else start(history)

        while True:
            with suppress(LedgerUnavailable):
                return await request(ledger, told, decide, service=told.id, namespace=namespace)

    async def refused(*places: str) -> set[str]:
        """Request runs on many services in each of these namespaces, and return what the refused were told."""
        told = [(await accepted(ledger), place) for place in places for _ in range(20)]
        found = await asyncio.gather(*(patiently(*each) for each in told))
        return {each.verdict.text for each in found if each.verdict.kind is VerdictKind.REFUSED}

    there = {f"2 services of {each} are being recovered; the limit there is 2" for each in ("shop", "bank")}
    assert await refused("shop", "bank") == there
    assert await refused("post") == {"5 services are being recovered; the limit is 5"}
    assert sorted(run.namespace for run in await ledger.incidents.open_runs()) == [
        "bank",
        "bank",
        "post",
        "shop",
        "shop",
    ]
    assert await ledger.signals.pending() == 0


async def test_a_request_repeated_gives_what_was_decided_the_first_time(ledger: Ledger) -> None:
    """D2: the answer to the COMMIT was lost, the caller asks again."""
    told = await accepted(ledger)
    first = await request(ledger, told)
    assert await request(ledger, told, refuse_to_decide, NOW + MINUTE) == first


async def test_a_request_for_a_signal_that_was_never_accepted_or_by_a_decision_that_raises_keeps_nothing(
    ledger: Ledger,
) -> None:
    """P8: nothing is started for what is not on record, and a guard that cannot answer is no reason to act."""
    with pytest.raises(NotRecorded):
        await request(ledger, signal())

    def broken(_history: History) -> Verdict:
        raise LedgerError("a guard could not answer")

    with pytest.raises(LedgerError, match="could not answer"):
        await request(ledger, await accepted(ledger), broken)
    assert await ledger.signals.pending() == 1
    assert (await ledger.incidents.newest(), await ledger.incidents.open_runs()) == ((), ())


async def test_a_signal_that_has_ended_starts_nothing(ledger: Ledger) -> None:
    """It was provisional, and ended before it was judged again."""
    told = await accepted(ledger, "a")
    await ledger.signals.settle({told.id: verdict(VerdictKind.REFUSED, Reason.COOLDOWN, NOW + MINUTE)}, NOW)
    await ledger.signals.accept([signal("a", ended=NOW + MINUTE)], NOW)
    requested = await request(ledger, told, refuse_to_decide, NOW + MINUTE)
    assert (requested.verdict.kind, requested.verdict.reason) == (VerdictKind.OBSERVED, Reason.RESOLVED)
    assert await ledger.incidents.open_runs() == ()


async def test_a_refusal_settles_the_signal_and_opens_nothing(ledger: Ledger) -> None:
    """P9: a provisional refusal comes up again when its time has come, a final one does not."""
    hit, final = await accepted(ledger), await accepted(ledger)
    await request(ledger, hit, lambda _: verdict(VerdictKind.REFUSED, Reason.COOLDOWN, NOW + MINUTE))
    await request(ledger, final, lambda _: verdict(VerdictKind.OBSERVED, Reason.MODE))
    assert await ledger.incidents.newest() == ()
    assert await ledger.signals.due(NOW) == ()
    assert [each.id for each in await ledger.signals.due(NOW + MINUTE)] == [hit.id]


async def test_a_held_incident_is_one_for_all_signals_of_its_service_until_its_run_starts(ledger: Ledger) -> None:
    """Cause first: held, not dropped."""
    told = await accepted(ledger)
    requested = await request(ledger, told, hold)
    held = incident_of(requested)
    assert (requested.run, held.state) == (None, IncidentState.HELD)
    assert (await request(ledger, told, hold, NOW + MINUTE)).incident == held
    joined = await request(ledger, await accepted(ledger), refuse_to_decide)
    assert (joined.verdict.kind, joined.incident) == (VerdictKind.ATTACHED, held)
    run = started(await request(ledger, told, now=NOW + 2 * MINUTE))
    assert [(each.id, each.state) for each in await ledger.incidents.newest()] == [
        (run.incident, IncidentState.RUNNING)
    ]
    assert run.incident == held.id


async def test_a_request_is_told_since_when_its_service_is_held_and_how_the_runs_of_its_upstreams_ended(
    ledger: Ledger,
) -> None:
    """Held incidents and failed upstreams outlive a restart; an end that says nothing of the remedy is passed over."""
    for at, (service, state) in enumerate(
        (("database", IncidentState.FAILED), ("database", IncidentState.CANCELLED), ("cache", IncidentState.RECOVERED))
    ):
        await end(ledger, await begin(ledger, service, now=NOW + at * MINUTE), state, NOW + at * MINUTE)
    told, upstreams, noted = await accepted(ledger), ("database", "cache", "queue"), Noted(hold)
    for hours in (1, 2):
        await request(ledger, told, noted, NOW + hours * HOUR, upstreams=upstreams)
    assert [each.held_since for each in noted.histories] == [None, NOW + HOUR]
    ends = {name: (run.state, run.finished) for name, run in noted.histories[1].upstreams.items()}
    assert ends == {
        "database": (IncidentState.FAILED, NOW),
        "cache": (IncidentState.RECOVERED, NOW + 2 * MINUTE),
    }
    asked = await ledger.incidents.history("web", "shop", NOW + HOUR, upstreams=["database"])
    assert (asked.held_since, set(asked.upstreams)) == (NOW + HOUR, {"database"})


async def test_a_run_that_awaits_approval_starts_when_it_is_approved(ledger: Ledger) -> None:
    """The incident's waiting signals get the new verdict."""
    told = await accepted(ledger)
    asked = verdict(VerdictKind.AWAITING_APPROVAL, Reason.APPROVAL)
    waiting = incident_of(await request(ledger, told, lambda _: asked))
    assert [notice.kind for notice in await ledger.outbox.due_notices(NOW)] == [IncidentState.AWAITING_APPROVAL]
    run = started(await ledger.incidents.start_held(waiting.id, run_request(told), start, NOW + MINUTE))
    assert await judged(ledger, run.incident) is VerdictKind.STARTED


async def test_a_held_incident_is_started_once(ledger: Ledger) -> None:
    """P2: the signal and the incident may both be looked at again at the same time."""
    told = await accepted(ledger)
    held = incident_of(await request(ledger, told, hold))
    found = await asyncio.gather(
        ledger.incidents.start_held(held.id, run_request(told), start, NOW + MINUTE),
        request(ledger, told, now=NOW + MINUTE),
        ledger.incidents.start_held(held.id, run_request(told), start, NOW + MINUTE),
    )
    assert len(await ledger.incidents.open_runs()) == len({each.run.id for each in found if each.run is not None}) == 1


async def test_a_lock_held_by_another_run_keeps_a_run_from_starting(ledger: Ledger) -> None:
    """P7: even when the decision did not look at the locks."""
    first, second = await accepted(ledger), await accepted(ledger)
    shared = ("statefulset/db",)
    run = started(await request(ledger, first, service="a", locks=shared))
    refused = (await request(ledger, second, service="b", locks=shared)).verdict
    assert (refused.kind, refused.reason) == (VerdictKind.REFUSED, Reason.LOCKED)
    assert run.id in refused.text
    assert refused.until is not None
    await end(ledger, run, IncidentState.RECOVERED)
    started(await request(ledger, second, now=NOW + MINUTE, service="b", locks=shared))


async def test_the_history_tells_what_the_guards_count(ledger: Ledger) -> None:
    """P7: across restarts, because it is read from the ledger."""
    done = await begin(ledger, "web", now=NOW - 2 * HOUR)
    await write(ledger, step(done), step(done, "look", StepState.PLANNED))
    await end(ledger, done, IncidentState.INEFFECTIVE, NOW - HOUR)
    ancient = await begin(ledger, "old", now=NOW - 9 * HOUR)
    await end(ledger, ancient, IncidentState.FAILED, NOW - 8 * HOUR)
    active = await begin(ledger, "api", namespace="other")
    noted = Noted(lambda _: verdict(VerdictKind.OBSERVED, Reason.MODE))
    for service in ("web", "old"):
        await request(ledger, decide=noted, service=service)
    of_web, of_old = noted.histories
    assert [run.service for run in of_web.active] == ["api"]
    assert [(run.service, run.state, run.changes) for run in of_web.recent] == [("web", IncidentState.INEFFECTIVE, 1)]
    assert [run.service for run in of_old.recent] == ["old", "web"]
    assert of_web.disruptions == (NOW,)
    assert of_web.locks == {"service/api": LockHolder(run=active.id, service="api", deadline=active.deadline)}


async def test_a_disruption_counts_for_its_namespace_and_its_hour(ledger: Ledger) -> None:
    """P7: the budget is a namespace's, and slides."""
    run = await begin(ledger)
    await write(ledger, *(step(run, f"delete#{each}", started=NOW - each * MINUTE) for each in (90, 30)))
    noted = Noted(lambda _: verdict(VerdictKind.OBSERVED, Reason.MODE))
    for namespace in ("shop", "other"):
        await request(ledger, decide=noted, service="x", namespace=namespace)
    assert [history.disruptions for history in noted.histories] == [(NOW - 30 * MINUTE,), ()]


async def child(
    ledger: Ledger, parent: RunRecord, decide: Decide = start, *, step: str = "data/web", service: str = "web"
) -> RunRequestResult:
    """Request a run in the name of a step of another run."""
    return await request(ledger, decide=decide, service=service, parent=parent.id, parent_step=step)


async def test_a_step_of_a_run_about_all_services_starts_one_run_however_often_it_asks(ledger: Ledger) -> None:
    """P2: the answer to the first request may have been lost; and the run may be over when it is asked for again."""
    parent = await begin(ledger, STACK, namespace="")
    web, api = started(await child(ledger, parent)), started(await child(ledger, parent, step="api", service="api"))
    assert (web.parent, web.parent_step) == (parent.id, "data/web")
    assert (await child(ledger, parent, refuse_to_decide)).run == web
    open_ones = await ledger.incidents.open_children_of(parent.id)
    assert await ledger.incidents.children_of(parent.id) == open_ones
    assert {each.id for each in open_ones} == {web.id, api.id}
    over = await end(ledger, web, IncidentState.RECOVERED)
    assert (await child(ledger, parent, refuse_to_decide)).run == over
    assert {each.id: each for each in await ledger.incidents.children_of(parent.id)} == {web.id: over, api.id: api}
    assert await ledger.incidents.open_children_of(parent.id) == (api,)
    assert await ledger.incidents.children_of(web.id) == ()


async def test_a_child_takes_over_the_incident_of_its_service_that_is_held(ledger: Ledger) -> None:
    """P9: the signals that were held get the child's verdict."""
    parent = await begin(ledger, STACK, namespace="")
    held = incident_of(await request(ledger, await accepted(ledger), hold))
    assert started(await child(ledger, parent)).incident == held.id
    assert (await ledger.incidents.get(held.id)).state is IncidentState.RUNNING
    assert await judged(ledger, held.id) is VerdictKind.STARTED


async def test_a_child_joins_the_run_that_its_service_has_under_way(ledger: Ledger) -> None:
    """P2."""
    parent, own = await begin(ledger, STACK, namespace=""), await begin(ledger)
    joined = await child(ledger, parent, refuse_to_decide)
    assert (joined.verdict.kind, joined.run) == (VerdictKind.ATTACHED, own)
    assert await ledger.incidents.children_of(parent.id) == ()


async def test_a_run_about_all_services_has_nothing_to_take_back(ledger: Ledger) -> None:
    parent = await begin(ledger, STACK, namespace="")
    await end(ledger, parent, IncidentState.RECOVERED)
    with pytest.raises(WrongState, match="roll back the runs that it started"):
        await ledger.incidents.reopen_run(parent.id, "asked for", NOW, who="ana")
