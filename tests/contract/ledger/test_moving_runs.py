"""Every transition of a run or step is a compare and set; a final state ends everything at once."""

import asyncio
from dataclasses import replace

import pytest

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, StepState, UndoRecord
from tests.contract.ledger.build import MINUTE, NOW, begin, claim, hold, signal, step


async def test_a_step_is_read_back_as_it_was_written(ledger: Ledger) -> None:
    """P8: who, what, why and how to undo it, types included."""
    run = await begin(ledger)
    intent = replace(
        step(run),
        name="delete the pods",
        command={"verb": "delete", "uid": "u-1"},
        text="kubectl delete pod web-0",
        why="not ready for 3m",
        facts={"seen": NOW, "age": 3 * MINUTE, "raw": b"\x00\xff", "big": 2**70, "items": [1, "two", None]},
        undo=UndoRecord(commands=({"verb": "scale", "to": 3},), texts=("kubectl scale …",), note="by its successor"),
        deadline=NOW + MINUTE,
    )
    await ledger.save_step(intent, expect=None, now=NOW)
    assert await ledger.steps(run.id) == (intent,)


async def test_steps_are_given_in_the_order_they_were_first_written(ledger: Ledger) -> None:
    """A person reads them from the top."""
    run = await begin(ledger)
    for path in ("z", "a", "m"):
        await ledger.save_step(step(run, path), expect=None, now=NOW)
    await ledger.save_step(step(run, "z", StepState.DONE), expect=StepState.INTENT, now=NOW)
    assert [each.path for each in await ledger.steps(run.id)] == ["z", "a", "m"]


async def test_a_step_moves_only_from_the_state_that_was_expected(ledger: Ledger) -> None:
    """P3, P4: compare and set."""
    run = await begin(ledger)
    await ledger.save_step(step(run), expect=None, now=NOW)
    with pytest.raises(WrongState, match="is intent, expected planned"):
        await ledger.save_step(step(run, state=StepState.DONE), expect=StepState.PLANNED, now=NOW)
    with pytest.raises(WrongState, match="expected not written"):
        await ledger.save_step(step(run, state=StepState.DONE), expect=None, now=NOW)
    with pytest.raises(WrongState, match="is not written"):
        await ledger.save_step(step(run, "new"), expect=StepState.PLANNED, now=NOW)
    assert [each.state for each in await ledger.steps(run.id)] == [StepState.INTENT]


async def test_of_many_who_move_the_same_step_one_succeeds(ledger: Ledger) -> None:
    """P3: two takers of one unknown step never both try it."""
    run = await begin(ledger)
    await ledger.save_step(step(run, state=StepState.UNKNOWN), expect=None, now=NOW)
    moves = [
        ledger.save_step(replace(step(run), why=f"taken by {n}"), expect=StepState.UNKNOWN, now=NOW) for n in range(20)
    ]
    done = await asyncio.gather(*moves, return_exceptions=True)
    assert sum(answer is None for answer in done) == 1
    assert sum(isinstance(answer, WrongState) for answer in done) == 19


async def test_the_same_transition_repeated_is_done_once(ledger: Ledger) -> None:
    """D2: the answer to the COMMIT was lost."""
    run = await begin(ledger)
    for _ in range(2):
        await ledger.save_step(step(run), expect=None, now=NOW)
    for _ in range(2):
        await ledger.save_step(step(run, state=StepState.DONE), expect=StepState.INTENT, now=NOW)
    assert [each.state for each in await ledger.steps(run.id)] == [StepState.DONE]


async def test_a_run_has_changed_something_from_its_first_intent_to_change(ledger: Ledger) -> None:
    """P8: not when the effect is known, but when it may happen."""
    run = await begin(ledger)
    await ledger.save_step(replace(step(run, "look"), changes=False), expect=None, now=NOW)
    await ledger.save_step(step(run, "plan", StepState.PLANNED), expect=None, now=NOW)
    assert not (await ledger.run(run.id)).changed
    await ledger.save_step(step(run, "plan"), expect=StepState.PLANNED, now=NOW)
    assert (await ledger.run(run.id)).changed


async def test_a_run_that_is_over_takes_results_but_no_new_intents(ledger: Ledger) -> None:
    """P8: what was under way when a run was cancelled is still written down."""
    run = await begin(ledger)
    await ledger.save_step(step(run, "under-way"), expect=None, now=NOW)
    await ledger.move_run(run.id, IncidentState.CANCELLED, "resolved", NOW)
    with pytest.raises(WrongState, match="is over"):
        await ledger.save_step(step(run, "next"), expect=None, now=NOW)
    await ledger.save_step(step(run, "under-way", StepState.DONE), expect=StepState.INTENT, now=NOW)


@pytest.mark.parametrize("state", [state for state in IncidentState if state.is_final])
async def test_a_final_state_finishes_the_run_and_frees_its_service(ledger: Ledger, state: IncidentState) -> None:
    """P7: locks are freed with the very transaction that ends the run."""
    run = await begin(ledger)
    over = await ledger.move_run(run.id, state, "that is all", NOW + MINUTE)
    incident = await ledger.incident(run.incident)
    assert (over.state, over.finished) == (state, NOW + MINUTE)
    assert (incident.state, incident.reason, incident.closed) == (state, "that is all", NOW + MINUTE)
    assert await ledger.open_runs() == ()
    again = await begin(ledger)
    assert again.incident != run.incident


async def test_a_run_moves_with_its_incident_and_keeps_what_is_not_named(ledger: Ledger) -> None:
    """Deadlines move for holds and approvals only."""
    run = await begin(ledger)
    walked = await ledger.move_run(run.id, IncidentState.VERIFYING, "watching", NOW, walked=NOW + MINUTE)
    assert (walked.walked, walked.deadline) == (NOW + MINUTE, run.deadline)
    later = await ledger.move_run(run.id, IncidentState.VERIFYING, "watching", NOW, deadline=run.deadline + MINUTE)
    assert (later.walked, later.deadline) == (NOW + MINUTE, run.deadline + MINUTE)
    assert (await ledger.incident(run.incident)).state is IncidentState.VERIFYING
    assert await ledger.run(run.id) == later


async def test_a_run_that_is_over_stays_as_it_ended(ledger: Ledger) -> None:
    """Moved to the same end again it is given back; to another it is refused."""
    run = await begin(ledger)
    over = await ledger.move_run(run.id, IncidentState.RECOVERED, "well", NOW)
    assert await ledger.move_run(run.id, IncidentState.RECOVERED, "well", NOW + MINUTE) == over
    with pytest.raises(WrongState, match="is over"):
        await ledger.move_run(run.id, IncidentState.RUNNING, "again", NOW + MINUTE)
    assert len(await ledger.due_notices(NOW + MINUTE)) == 1


async def test_a_held_incident_that_its_upstream_healed_is_closed_without_a_run(ledger: Ledger) -> None:
    """Cause first: most held incidents end like this."""
    told = signal()
    await ledger.accept([told], NOW)
    held = await ledger.claim(claim(told), hold, NOW)
    assert held.incident is not None
    closed = await ledger.move_incident(held.incident.id, IncidentState.RECOVERED, "its upstream serves", NOW)
    assert closed.closed == NOW
    with pytest.raises(WrongState):
        await ledger.move_incident(held.incident.id, IncidentState.HELD, "again", NOW)


async def test_an_incident_with_a_run_is_moved_by_its_run_only(ledger: Ledger) -> None:
    """Two states of one thing would be two truths."""
    run = await begin(ledger)
    with pytest.raises(WrongState):
        await ledger.move_incident(run.incident, IncidentState.CANCELLED, "no", NOW)


async def test_what_is_not_there_is_said_so(ledger: Ledger) -> None:
    """The HTTP face turns it into 404."""
    with pytest.raises(NotRecorded, match="there is no run run-x"):
        await ledger.run("run-x")
    with pytest.raises(NotRecorded, match="there is no incident inc-x"):
        await ledger.incident("inc-x")
    with pytest.raises(NotRecorded):
        await ledger.move_run("run-x", IncidentState.RECOVERED, "well", NOW)


async def test_evidence_is_kept_in_order_once_and_bounded(ledger: Ledger) -> None:
    """The beginning and the end of a long log survive."""
    run = await begin(ledger)
    long = "first line\n" + "x" * 300_000 + "\nlast line"
    for _ in range(2):
        await ledger.keep_evidence(run.id, "delete#0", "logs", long, NOW)
    await ledger.keep_evidence(run.id, "delete#0", "describe", "Name: web-0", NOW)
    logs, describe = await ledger.evidence(run.id)
    assert logs.text.startswith("first line")
    assert logs.text.endswith("last line")
    assert "characters left out" in logs.text
    assert len(logs.text) < 257 * 1024
    assert (describe.kind, describe.text) == ("describe", "Name: web-0")


async def test_incidents_are_listed_newest_first_and_by_service(ledger: Ledger) -> None:
    """What `kintsugi incidents` shows."""
    web = await begin(ledger, "web")
    await ledger.move_run(web.id, IncidentState.RECOVERED, "well", NOW)
    await begin(ledger, "api", now=NOW + MINUTE)
    assert [each.service for each in await ledger.incidents()] == ["api", "web"]
    assert [each.service for each in await ledger.incidents(open_only=True)] == ["api"]
    assert [each.service for each in await ledger.incidents(service="web")] == ["web"]
    assert [each.service for each in await ledger.incidents(limit=1)] == ["api"]
    assert await ledger.runs_of(web.incident) == (await ledger.run(web.id),)
