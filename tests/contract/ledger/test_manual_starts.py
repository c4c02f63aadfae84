"""A person's start is committed with its run: the approval that it is, who and why, and that it was started at all."""

from dataclasses import replace

from kintsugi.ledger import Decide, Ledger, RunRequestResult
from kintsugi.model.manual import MANUAL, ManualStart, Override
from kintsugi.model.records import IncidentState, VerdictKind
from tests.contract.ledger.build import (
    HOUR,
    NOW,
    begin,
    end,
    refuse_to_decide,
    request,
    start,
    started,
    step,
    verdict,
    write,
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


async def by_hand(
    ledger: Ledger, wish: ManualStart = START, decide: Decide = start, *, service: str = "web"
) -> RunRequestResult:
    """Request a run as a person does."""
    return await request(ledger, decide=decide, service=service, rule=MANUAL, manual=wish)


async def test_the_person_and_the_reason_are_kept_with_the_run_as_the_approval_of_its_plan(ledger: Ledger) -> None:
    """E28: mode approve asks nobody again, in any life of the daemon."""
    run = started(await by_hand(ledger))
    questions, (note,) = await ledger.people.questions_of(run.incident), await ledger.incidents.steps(run.id)
    assert [(each.who, each.plan, each.answered, each.path) for each in questions] == [("ana", "digest-7", NOW, "")]
    assert note.name == "started by ana, overruling cooldown: the pods are old"
    assert note.result == {"who": "ana", "why": "the pods are old", "overrides": ["cooldown"], "plan": "digest-7"}
    assert (note.changes, note.path) == (False, "@started")
    assert await ledger.incidents.overrides(run.id) == {Override.COOLDOWN}


async def test_a_start_by_hand_that_is_sent_twice_starts_one_run(ledger: Ledger) -> None:
    """D2, P2: while it goes on and when it is over; another wish is another start."""
    run = started(await by_hand(ledger))
    assert started(await by_hand(ledger, decide=refuse_to_decide)) == run
    await end(ledger, run, IncidentState.RECOVERED)
    over = await by_hand(ledger, decide=refuse_to_decide)
    assert (started(over).id, over.incident is not None and over.incident.state) == (run.id, IncidentState.RECOVERED)
    assert started(await by_hand(ledger, replace(START, key="wish-2"))).id != run.id
    assert started(await by_hand(ledger, decide=refuse_to_decide)).id == run.id


async def test_a_wish_without_a_key_is_always_a_new_one_and_never_doubles_a_run(ledger: Ledger) -> None:
    """P2."""
    run = started(await by_hand(ledger, replace(START, key="")))
    second = await by_hand(ledger, replace(START, key=""), refuse_to_decide)
    assert (second.verdict.kind, second.verdict.incident) == (VerdictKind.ATTACHED, run.incident)
    assert await ledger.incidents.manual_start("web", "") is None
    recovery = await begin(ledger, "api")
    assert await ledger.incidents.overrides(recovery.id) == frozenset()
    joined = await by_hand(ledger, decide=refuse_to_decide, service="api")
    assert (joined.verdict.kind, joined.verdict.incident) == (VerdictKind.ATTACHED, recovery.incident)


async def test_a_refused_start_by_hand_may_be_asked_for_again(ledger: Ledger) -> None:
    refused = await by_hand(ledger, decide=lambda _: verdict(VerdictKind.REFUSED))
    assert (refused.run, await ledger.incidents.newest()) == (None, ())
    assert await ledger.incidents.manual_start("web", "wish-1") is None
    run = started(await by_hand(ledger))
    known = await ledger.incidents.manual_start("web", "wish-1")
    assert known is not None
    assert started(known) == run


async def test_a_reason_is_kept_without_secrets(ledger: Ledger) -> None:
    said = replace(START, why="the password is password=hunter2hunter2", question="Renew: password=hunter2hunter2")
    run = started(await by_hand(ledger, said))
    kept = repr((await ledger.incidents.steps(run.id), await ledger.people.questions_of(run.incident), run))
    assert "hunter2hunter2" not in kept


async def test_the_step_that_was_begun_last_is_told_of_each_run(ledger: Ledger) -> None:
    """Bookkeeping is no step."""
    first, second = await begin(ledger), started(await by_hand(ledger, service="api"))
    await write(ledger, step(first, "look"), step(first, "restart#0"))
    found = await ledger.incidents.current_steps([first.id, second.id])
    assert {run: told.path for run, told in found.items()} == {first.id: "restart#0"}
    assert await ledger.incidents.current_steps([]) == {}
