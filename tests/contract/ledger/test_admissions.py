"""What the gate before every effect asks the ledger: pauses, the budget, the lead, and locks."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from kintsugi.errors import BudgetSpent, StaleEpoch, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.change_limits import Budget, PodBudget
from kintsugi.model.history import MadeChange
from kintsugi.model.records import (
    IncidentState,
    Pause,
    PauseScope,
    Phase,
    RunRecord,
    StepRecord,
    StepState,
    UndoRecord,
    VerdictKind,
)
from tests.contract.ledger.build import HOUR, MINUTE, NOW, accepted, begin, leading, request, step, write
from tests.harness.ledgers import save_step


async def test_a_pause_is_known_as_soon_as_it_is_said_and_no_longer_than_it_lasts(ledger: Ledger) -> None:
    """E29."""
    pause = Pause(id="p", scope=PauseScope.SERVICE, name="web", who="ann", why="look", since=NOW, until=NOW + MINUTE)
    await ledger.people.pause(pause)
    assert (await ledger.incidents.constraints("shop", NOW - HOUR, NOW)).pauses == (pause,)
    assert (await ledger.incidents.constraints("shop", NOW - HOUR, NOW + MINUTE)).pauses == ()


async def test_changes_are_counted_where_the_object_is_that_is_changed(ledger: Ledger) -> None:
    """P7: a run of one namespace that changes another spends the budget of that one."""
    run = await begin(ledger, namespace="shop")
    await write(ledger, step(run, "here#0"))
    await write(ledger, step(run, "there#0", namespace="bank"))
    await write(ledger, step(run, "there#1", namespace="bank"))
    assert len((await ledger.incidents.constraints("shop", NOW - HOUR, NOW)).disruptions.moments) == 1
    assert len((await ledger.incidents.constraints("bank", NOW - HOUR, NOW)).disruptions.moments) == 2
    assert len((await ledger.incidents.history("web", "bank", NOW)).disruptions) == 2


async def test_a_change_that_was_not_made_spends_nothing(ledger: Ledger) -> None:
    run = await begin(ledger)
    await write(ledger, step(run))
    await write(ledger, step(run, state=StepState.PLANNED), expect=StepState.INTENT)
    assert (await ledger.incidents.constraints("shop", NOW - HOUR, NOW)).disruptions.moments == ()
    assert not (await ledger.incidents.run(run.id)).changed


async def test_a_recent_change_is_told_with_its_way_back_and_its_rule(ledger: Ledger) -> None:
    """E21: only what is done, on the way forward, where the object is, and has not been taken back."""
    run = await begin(ledger, namespace="shop")
    back = UndoRecord(commands=({"command": "Cordon"},), texts=("kubectl uncordon one",))
    done = step(run, "here#0", StepState.DONE, text="kubectl cordon one", undo=back, finished=NOW + MINUTE)
    others = [
        replace(done, path="here#1", state=StepState.FAILED),
        replace(done, path="there#0", namespace="bank"),
        replace(done, path="back#0"),
        replace(done, path="back#0~0", phase=Phase.UNDO),
        replace(done, path="here#2", started=NOW - 2 * HOUR),
    ]
    for each in (done, *others):
        await write(ledger, each)
    failed = replace(done, path="here#0~0", phase=Phase.UNDO, state=StepState.FAILED)
    await write(ledger, failed)
    [told] = (await ledger.incidents.constraints("shop", NOW - HOUR, NOW, changes=True)).changes
    assert told == MadeChange(rule=run.rule, run=run.id, text=done.text, finished=NOW + MINUTE, undo=back)


async def committed(ledger: Ledger, intents: Iterable[StepRecord], budget: Budget) -> int:
    """Write intents of several runs at once; return how many the budget has let through."""
    writes = [save_step(ledger, each, expect=None, now=NOW, budget=budget) for each in intents]
    found = await asyncio.gather(*writes, return_exceptions=True)
    assert all(each is None or isinstance(each, BudgetSpent) for each in found), found
    return found.count(None)


async def test_the_last_change_of_a_budget_is_made_by_one_of_many_runs(ledger: Ledger) -> None:
    """P7: counted and written in one transaction."""
    runs = [await begin(ledger, f"service-{number}") for number in range(6)]
    assert await committed(ledger, map(step, runs), Budget(most=2, since=NOW - HOUR)) == 2
    assert len((await ledger.incidents.constraints("shop", NOW - HOUR, NOW)).disruptions.moments) == 2


async def test_runs_that_delete_pods_of_one_service_take_no_more_than_may_be_down(
    ledger: Ledger,
) -> None:
    """P7: what others have deleted is counted in the same transaction, whatever the watch has shown by then."""
    runs = [await begin(ledger, f"service-{number}") for number in range(6)]
    uids = [f"uid-{number}" for number in range(6)]
    pods = PodBudget(service="web", expected=6, desired_healthy=4, ready=frozenset(uids))
    intents = [step(run, facts={"uid": uid}) for run, uid in zip(runs, uids, strict=True)]
    assert await committed(ledger, intents, Budget(most=20, since=NOW - HOUR, pods=(pods,))) == 2
    assert len((await ledger.incidents.constraints("shop", NOW - HOUR, NOW)).disruptions.objects) == 2


async def test_a_pod_counts_as_deleted_while_that_may_be_and_not_when_it_surely_was_not(ledger: Ledger) -> None:
    run = await begin(ledger)
    for state in (StepState.INTENT, StepState.UNKNOWN, StepState.DONE, StepState.FAILED, StepState.SKIPPED):
        await write(ledger, step(run, f"{state}#0", state, facts={"uid": state}))
    found = (await ledger.incidents.disruptions(("shop", "bank"), NOW - HOUR))["shop"]
    assert found.objects == {StepState.INTENT, StepState.UNKNOWN, StepState.DONE}
    assert (await ledger.incidents.disruptions(("bank",), NOW - HOUR))["bank"].moments == ()


async def test_a_daemon_that_has_lost_the_lead_hears_it_before_an_effect(made: str) -> None:
    """P4, C4."""
    async with leading(made) as ledger:
        await ledger.incidents.constraints("shop", NOW - HOUR, NOW)
        held = ledger._store.epoch
        await ledger.lead(NOW)
        ledger._store.epoch = held
        with pytest.raises(StaleEpoch):
            await ledger.incidents.constraints("shop", NOW - HOUR, NOW)


async def test_a_run_without_a_slot_takes_none_and_has_one_again_only_where_nothing_refuses_it(ledger: Ledger) -> None:
    """P7: it is told who has a slot in the very transaction in which it goes on, and keeps its locks all the time."""
    web, _api = await begin(ledger, "web"), await begin(ledger, "api", namespace="bank")
    await ledger.incidents.move_run(web.id, IncidentState.HELD, "it has given its slot away", NOW)
    taken: list[tuple[str, ...]] = []

    def refused(places: tuple[str, ...]) -> str:
        taken.append(places)
        return "full"

    later = web.deadline + MINUTE
    assert await ledger.incidents.take_slot(web.id, refused, "it goes on", NOW, deadline=later) is None
    assert taken == [("bank",)]
    assert [lock.name for lock in await ledger.incidents.locks_of(web.id)] == ["service/web"]
    gone_on = await ledger.incidents.take_slot(web.id, lambda _: "", "it goes on", NOW, deadline=later)
    assert gone_on is not None
    assert (gone_on.state, gone_on.deadline) == (IncidentState.RUNNING, later)
    assert (await ledger.incidents.get(web.incident)).state is IncidentState.RUNNING
    again = await ledger.incidents.take_slot(web.id, lambda _: "full", "it goes on", NOW, deadline=later + MINUTE)
    assert again == gone_on == await ledger.incidents.run(web.id), "asked again after a lost answer it is as it is"


async def test_runs_that_want_their_slot_back_go_on_only_while_there_are_slots(ledger: Ledger) -> None:
    """P7."""
    runs = [await begin(ledger, f"service-{number}") for number in range(6)]
    for run in runs:
        await ledger.incidents.move_run(run.id, IncidentState.HELD, "it has given its slot away", NOW)

    async def take(run: RunRecord) -> bool:
        moved = await ledger.incidents.take_slot(
            run.id, lambda taken: "full" * (len(taken) >= 2), "", NOW, deadline=run.deadline
        )
        return moved is not None

    assert sum(await asyncio.gather(*map(take, runs))) == 2


async def test_locks_are_taken_all_or_none_and_by_one_run(ledger: Ledger) -> None:
    """P2: what another run holds is not taken, and nothing is taken beside it."""
    web, api = await begin(ledger, "web"), await begin(ledger, "api")
    assert await ledger.incidents.take_locks(web.id, "", ["service/cache", "shop/cache"], NOW) is None
    held = await ledger.incidents.take_locks(api.id, "", ["service/db", "service/cache"], NOW)
    assert held is not None
    assert (held.name, held.run) == ("service/cache", web.id)
    assert [lock.name for lock in await ledger.incidents.locks_of(api.id)] == ["service/api"]


async def test_a_run_that_has_a_lock_takes_it_again_and_a_claim_is_refused_meanwhile(ledger: Ledger) -> None:
    """P2: a step at another service keeps that one's own run from starting."""
    run = await begin(ledger, "web")
    for _ in range(2):
        assert await ledger.incidents.take_locks(run.id, "child", ["service/api", "service/web"], NOW) is None
    told = await accepted(ledger)
    requested = await request(ledger, told, service="api")
    assert requested.verdict.kind is VerdictKind.REFUSED
    assert run.id in requested.verdict.text


async def test_the_locks_of_a_child_are_given_back_and_the_run_keeps_its_own(ledger: Ledger) -> None:
    run = await begin(ledger, "web")
    await ledger.incidents.take_locks(run.id, "child", ["service/api"], NOW)
    await ledger.incidents.release_locks(run.id, ["service/api"])
    assert [lock.name for lock in await ledger.incidents.locks_of(run.id)] == ["service/web"]


async def test_a_run_that_is_over_takes_no_locks(ledger: Ledger) -> None:
    run = await begin(ledger, "web")
    await ledger.incidents.take_locks(run.id, "child", ["service/api"], NOW)
    await ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "well", NOW)
    assert await ledger.incidents.locks_of(run.id) == ()
    with pytest.raises(WrongState):
        await ledger.incidents.take_locks(run.id, "child", ["service/api"], NOW)
