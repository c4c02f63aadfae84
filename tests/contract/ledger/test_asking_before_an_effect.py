"""What the gate before every effect asks the ledger: pauses, the budget, the lead, and locks."""

import asyncio

import pytest

from kintsugi.errors import BudgetSpent, StaleEpoch, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.bounds import Budget
from kintsugi.model.records import IncidentState, Pause, PauseScope, StepState, VerdictKind
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, claim, signal, start, step


async def test_a_pause_is_known_as_soon_as_it_is_said_and_no_longer_than_it_lasts(ledger: Ledger) -> None:
    """E29."""
    pause = Pause(id="p", scope=PauseScope.SERVICE, name="web", who="ann", why="look", since=NOW, until=NOW + MINUTE)
    await ledger.pause(pause)
    assert (await ledger.stops("shop", NOW - HOUR, NOW)).pauses == (pause,)
    assert (await ledger.stops("shop", NOW - HOUR, NOW + MINUTE)).pauses == ()


async def test_changes_are_counted_where_the_object_is_that_is_changed(ledger: Ledger) -> None:
    """P7: a run of one namespace that changes another spends the budget of that one."""
    run = await begin(ledger, namespace="shop")
    await ledger.save_step(step(run, "here#0"), expect=None, now=NOW)
    await ledger.save_step(step(run, "there#0", namespace="bank"), expect=None, now=NOW)
    await ledger.save_step(step(run, "there#1", namespace="bank"), expect=None, now=NOW)
    assert len((await ledger.stops("shop", NOW - HOUR, NOW)).disruptions) == 1
    assert len((await ledger.stops("bank", NOW - HOUR, NOW)).disruptions) == 2
    assert len((await ledger.history("web", "bank", NOW)).disruptions) == 2


async def test_a_change_that_was_not_made_spends_nothing(ledger: Ledger) -> None:
    run = await begin(ledger)
    await ledger.save_step(step(run), expect=None, now=NOW)
    await ledger.save_step(step(run, state=StepState.PLANNED), expect=StepState.INTENT, now=NOW)
    assert (await ledger.stops("shop", NOW - HOUR, NOW)).disruptions == ()
    assert not (await ledger.run(run.id)).changed


async def test_of_many_runs_that_find_one_change_left_in_the_budget_one_makes_it(ledger: Ledger) -> None:
    """P7: counted and written in one transaction."""
    runs = [await begin(ledger, f"service-{number}") for number in range(6)]
    budget = Budget(most=2, since=NOW - HOUR)

    async def intend(number: int) -> bool:
        try:
            await ledger.save_step(step(runs[number]), expect=None, now=NOW, budget=budget)
        except BudgetSpent:
            return False
        return True

    assert sum(await asyncio.gather(*(intend(number) for number in range(6)))) == 2
    assert len((await ledger.stops("shop", NOW - HOUR, NOW)).disruptions) == 2


async def test_who_has_lost_the_lead_hears_it_before_an_effect(made: str) -> None:
    """P4, C4."""
    async with Ledger.open(made, holder="kintsugi-0") as ledger:
        await ledger.lead(NOW)
        await ledger.stops("shop", NOW - HOUR, NOW)
        held = ledger._store.epoch
        await ledger.lead(NOW)
        ledger._store.epoch = held
        with pytest.raises(StaleEpoch):
            await ledger.stops("shop", NOW - HOUR, NOW)


async def test_locks_are_taken_all_or_none_and_by_one_run(ledger: Ledger) -> None:
    """P2: what another run holds is not taken, and nothing is taken beside it."""
    web, api = await begin(ledger, "web"), await begin(ledger, "api")
    assert await ledger.take_locks(web.id, "", ["service/cache", "shop/cache"], NOW) is None
    held = await ledger.take_locks(api.id, "", ["service/db", "service/cache"], NOW)
    assert held is not None
    assert (held.name, held.run) == ("service/cache", web.id)
    assert [lock.name for lock in await ledger.locks_of(api.id)] == ["service/api"]


async def test_a_run_that_has_a_lock_takes_it_again_and_a_claim_is_refused_meanwhile(ledger: Ledger) -> None:
    """P2: a step at another service keeps that one's own run from starting."""
    run = await begin(ledger, "web")
    for _ in range(2):
        assert await ledger.take_locks(run.id, "child", ["service/api", "service/web"], NOW) is None
    told = signal()
    await ledger.accept([told], NOW)
    claimed = await ledger.claim(claim(told, service="api"), start, NOW)
    assert claimed.verdict.kind is VerdictKind.REFUSED
    assert run.id in claimed.verdict.text


async def test_the_locks_of_a_child_are_given_back_and_the_run_keeps_its_own(ledger: Ledger) -> None:
    run = await begin(ledger, "web")
    await ledger.take_locks(run.id, "child", ["service/api"], NOW)
    await ledger.release_locks(run.id, "child")
    assert [lock.name for lock in await ledger.locks_of(run.id)] == ["service/web"]


async def test_a_run_that_is_over_takes_no_locks(ledger: Ledger) -> None:
    run = await begin(ledger, "web")
    await ledger.take_locks(run.id, "child", ["service/api"], NOW)
    await ledger.move_run(run.id, IncidentState.RECOVERED, "well", NOW)
    assert await ledger.locks_of(run.id) == ()
    with pytest.raises(WrongState):
        await ledger.take_locks(run.id, "child", ["service/api"], NOW)
