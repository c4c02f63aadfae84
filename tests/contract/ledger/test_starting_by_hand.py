"""A person's start is committed with its run: the approval that it is, who and why, and that it was started at all."""

from dataclasses import replace

import pytest

from kintsugi.ledger import Ledger, RunRequest
from kintsugi.model.manual import MANUAL, ManualStart, Override
from kintsugi.model.records import IncidentState, VerdictKind
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    begin,
    refuse_to_decide,
    run_request,
    start,
    started,
    step,
    verdict,
)

START = ManualStart(
    who="ana",
    why="the pods are old",
    overrides=(Override.COOLDOWN,),
    plan="digest-7",
    question="Renew the pods on web\nRestart it",
    expires=NOW + HOUR,
    key="wish-1",
)


def manual(start: ManualStart = START, *, service: str = "web") -> RunRequest:
    """Make the claim of a person."""
    return replace(run_request(service=service), rule=MANUAL, manual=start)


async def test_the_person_and_the_reason_are_kept_with_the_run_as_the_approval_of_its_plan(ledger: Ledger) -> None:
    """E28: mode approve asks nobody again, in any life of the daemon."""
    run = started(await ledger.run_requests.request_run(manual(), start, NOW))
    approvals, steps = await ledger.approvals.of_incident(run.incident), await ledger.runs.steps(run.id)
    given = [(each.who, each.plan, each.answered, each.path) for each in approvals]
    assert given == [("ana", "digest-7", NOW, "")]
    assert len(steps) == 1
    note = steps[0]
    assert note.name == "started by ana, overruling cooldown: the pods are old"
    assert note.result == {"who": "ana", "why": "the pods are old", "overrides": ["cooldown"], "plan": "digest-7"}
    assert (note.changes, note.path) == (False, "@started")
    assert await ledger.run_requests.overrides(run.id) == {Override.COOLDOWN}


async def test_a_start_by_hand_that_is_sent_twice_starts_one_run(ledger: Ledger) -> None:
    """D2, P2: while it goes on and when it is over; another wish is another start."""
    run = started(await ledger.run_requests.request_run(manual(), start, NOW))
    again = await ledger.run_requests.request_run(manual(), refuse_to_decide, NOW + MINUTE)
    assert started(again) == run
    await ledger.runs.move_run(run.id, IncidentState.RECOVERED, "it is well", NOW + 2 * MINUTE)
    over = await ledger.run_requests.request_run(manual(), refuse_to_decide, NOW + 3 * MINUTE)
    assert (started(over).id, over.incident is not None and over.incident.state) == (run.id, IncidentState.RECOVERED)
    other = started(
        await ledger.run_requests.request_run(manual(replace(START, key="wish-2")), start, NOW + 4 * MINUTE)
    )
    assert other.id != run.id
    assert started(await ledger.run_requests.request_run(manual(), refuse_to_decide, NOW + 5 * MINUTE)).id == run.id


async def test_a_wish_without_a_key_is_always_a_new_one(ledger: Ledger) -> None:
    run = started(await ledger.run_requests.request_run(manual(replace(START, key="")), start, NOW))
    second = await ledger.run_requests.request_run(manual(replace(START, key="")), refuse_to_decide, NOW)
    assert (second.verdict.kind, second.verdict.incident) == (VerdictKind.ATTACHED, run.incident)
    assert await ledger.run_requests.manual_start("web", "") is None


async def test_a_refused_start_by_hand_may_be_asked_for_again(ledger: Ledger) -> None:
    refused = await ledger.run_requests.request_run(manual(), lambda _: verdict(VerdictKind.REFUSED), NOW)
    assert (refused.run, await ledger.incidents.newest()) == (None, ())
    assert await ledger.run_requests.manual_start("web", "wish-1") is None
    run = started(await ledger.run_requests.request_run(manual(), start, NOW))
    known = await ledger.run_requests.manual_start("web", "wish-1")
    assert known is not None
    assert started(known) == run


async def test_a_run_under_way_is_never_doubled_by_a_person(ledger: Ledger) -> None:
    """P2."""
    run = await begin(ledger)
    assert await ledger.run_requests.overrides(run.id) == frozenset()
    requested = await ledger.run_requests.request_run(manual(), refuse_to_decide, NOW)
    assert (requested.verdict.kind, requested.verdict.incident) == (VerdictKind.ATTACHED, run.incident)


@pytest.mark.parametrize("secret", ["hunter2hunter2"])
async def test_a_reason_is_kept_without_secrets(ledger: Ledger, secret: str) -> None:
    said = replace(START, why=f"the password is password={secret}", question=f"Renew: password={secret}")
    run = started(await ledger.run_requests.request_run(manual(said), start, NOW))
    kept = repr((await ledger.runs.steps(run.id), await ledger.approvals.of_incident(run.incident), run))
    assert secret not in kept


async def test_the_step_that_was_begun_last_is_told_of_each_run(ledger: Ledger) -> None:
    """Bookkeeping is no step."""
    first, second = (
        await begin(ledger),
        started(await ledger.run_requests.request_run(manual(service="api"), start, NOW)),
    )

    await ledger.runs.save_step(step(first, "look"), expect=None, now=NOW)
    await ledger.runs.save_step(step(first, "restart#0"), expect=None, now=NOW)
    found = await ledger.runs.current_steps([first.id, second.id])
    assert {run: told.path for run, told in found.items()} == {first.id: "restart#0"}
    assert await ledger.runs.current_steps([]) == {}
