"""Every transition of a run or step is a compare and set; a final state ends everything at once."""

import asyncio
from dataclasses import replace

import pytest

from kintsugi.commands import encode, parse
from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, RunUpdate, StepRecord, StepState, UndoRecord
from tests.contract.ledger.build import MINUTE, NOW, accepted, begin, hold, incident_of, request, step, write
from tests.harness.ledgers import keep_evidence


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
    await write(ledger, intent)
    assert await ledger.incidents.steps(run.id) == (intent,)


async def test_steps_are_given_in_the_order_they_were_first_written(ledger: Ledger) -> None:
    """A person reads them from the top."""
    run = await begin(ledger)
    for path in ("z", "a", "m"):
        await write(ledger, step(run, path))
    await write(ledger, step(run, "z", StepState.DONE), expect=StepState.INTENT)
    assert [each.path for each in await ledger.incidents.steps(run.id)] == ["z", "a", "m"]


async def test_a_step_moves_only_from_the_state_that_was_expected(ledger: Ledger) -> None:
    """P3, P4: compare and set."""
    run = await begin(ledger)
    await write(ledger, step(run))
    with pytest.raises(WrongState, match="is intent, expected planned"):
        await write(ledger, step(run, state=StepState.DONE), expect=StepState.PLANNED)
    with pytest.raises(WrongState, match="expected not written"):
        await write(ledger, step(run, state=StepState.DONE))
    with pytest.raises(WrongState, match="is not written"):
        await write(ledger, step(run, "new"), expect=StepState.PLANNED)
    assert [each.state for each in await ledger.incidents.steps(run.id)] == [StepState.INTENT]


async def test_concurrent_updates_of_one_step_have_one_winner(ledger: Ledger) -> None:
    """P3: two takers of one unknown step never both try it."""
    run = await begin(ledger)
    await write(ledger, step(run, state=StepState.UNKNOWN))
    moves = [write(ledger, replace(step(run), why=f"taken by {n}"), expect=StepState.UNKNOWN) for n in range(20)]
    done = await asyncio.gather(*moves, return_exceptions=True)
    assert sum(answer is None for answer in done) == 1
    assert sum(isinstance(answer, WrongState) for answer in done) == 19


async def test_a_run_has_changed_something_from_its_first_intent_to_change(ledger: Ledger) -> None:
    """P8: not when the effect is known, but when it may happen."""
    run = await begin(ledger)
    await write(ledger, replace(step(run, "look"), changes=False))
    await write(ledger, step(run, "plan", StepState.PLANNED))
    assert not (await ledger.incidents.run(run.id)).changed
    await write(ledger, step(run, "plan"), expect=StepState.PLANNED)
    assert (await ledger.incidents.run(run.id)).changed


async def test_the_first_change_of_a_workload_or_its_pods_leaves_one_notice_of_the_run(ledger: Ledger) -> None:
    """It is committed with the intent; a change of anything else, and what follows, leaves none."""
    run = await begin(ledger)

    def intent(path: str, command: str) -> StepRecord:
        bound = parse(command)
        return step(run, path, command=encode(bound), text=command, why="web-1 was unhealthy")

    for path, command in (
        ("a#0", "kubectl cordon node-1"),
        ("b#0", "kubectl rollout restart deployment/web -n shop"),
        ("c#0", "kubectl delete pod web-1 -n shop"),
    ):
        await write(ledger, intent(path, command))
    text = "begins: kubectl rollout restart deployment/web -n shop\nbecause web-1 was unhealthy"
    found = [(each.incident, each.kind, each.text) for each in await ledger.outbox.due_notices(NOW)]
    assert found == [(run.incident, IncidentState.RUNNING, text)]


async def test_a_run_that_is_over_takes_results_but_no_new_intents(ledger: Ledger) -> None:
    """P8: what was under way when a run was cancelled is still written down."""
    run = await begin(ledger)
    await write(ledger, step(run, "under-way"))
    await ledger.incidents.move_run(run.id, IncidentState.CANCELLED, "resolved", NOW)
    with pytest.raises(WrongState, match="is over"):
        await write(ledger, step(run, "next"))
    await write(ledger, step(run, "under-way", StepState.DONE), expect=StepState.INTENT)


@pytest.mark.parametrize("state", [state for state in IncidentState if state.is_final])
async def test_a_final_state_finishes_the_run_and_frees_its_service(ledger: Ledger, state: IncidentState) -> None:
    """P7: locks are freed with the very transaction that ends the run."""
    run = await begin(ledger)
    over = await ledger.incidents.move_run(run.id, state, "that is all", NOW + MINUTE)
    incident = await ledger.incidents.get(run.incident)
    assert (over.state, over.finished) == (state, NOW + MINUTE)
    assert (incident.state, incident.reason, incident.closed) == (state, "that is all", NOW + MINUTE)
    assert await ledger.incidents.open_runs() == ()
    again = await begin(ledger)
    assert again.incident != run.incident


async def test_a_run_moves_with_its_incident_and_keeps_what_is_not_named(ledger: Ledger) -> None:
    """Deadlines move for holds and questions only."""
    run = await begin(ledger)
    move, updates = ledger.incidents.move_write, RunUpdate(steps_finished_at=NOW + MINUTE)
    (ended,) = await ledger.commit(move(run.id, IncidentState.VERIFYING, "watching", NOW, updates=updates))
    assert (ended.steps_finished_at, ended.deadline) == (NOW + MINUTE, run.deadline)
    deadline = run.deadline + MINUTE
    (later,) = await ledger.commit(move(run.id, IncidentState.VERIFYING, "watching", NOW, deadline=deadline))
    assert (later.steps_finished_at, later.deadline) == (NOW + MINUTE, run.deadline + MINUTE)
    assert (await ledger.incidents.get(run.incident)).state is IncidentState.VERIFYING
    assert await ledger.incidents.run(run.id) == later


async def test_a_run_that_is_over_stays_as_it_ended(ledger: Ledger) -> None:
    """Moved to the same end again it is given back; to another it is refused."""
    run = await begin(ledger)
    over = await ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "well", NOW)
    assert await ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "well", NOW + MINUTE) == over
    with pytest.raises(WrongState, match="is over"):
        await ledger.incidents.move_run(run.id, IncidentState.RUNNING, "again", NOW + MINUTE)
    assert len(await ledger.outbox.due_notices(NOW + MINUTE)) == 1


async def test_a_held_incident_that_its_upstream_healed_is_closed_without_a_run(ledger: Ledger) -> None:
    """Cause first: most held incidents end like this."""
    held = incident_of(await request(ledger, await accepted(ledger), hold))
    closed = await ledger.incidents.move_incident(held.id, IncidentState.RECOVERED, "its upstream serves", NOW)
    assert closed.closed == NOW
    with pytest.raises(WrongState):
        await ledger.incidents.move_incident(held.id, IncidentState.HELD, "again", NOW)


async def test_an_incident_with_a_run_is_moved_by_its_run_only(ledger: Ledger) -> None:
    """Two states of one thing would be two truths."""
    run = await begin(ledger)
    with pytest.raises(WrongState):
        await ledger.incidents.move_incident(run.incident, IncidentState.CANCELLED, "no", NOW)


async def test_a_row_that_is_not_there_is_not_found(ledger: Ledger) -> None:
    """The HTTP face turns it into 404."""
    with pytest.raises(NotRecorded, match="there is no run run-x"):
        await ledger.incidents.run("run-x")
    with pytest.raises(NotRecorded, match="there is no incident inc-x"):
        await ledger.incidents.get("inc-x")
    with pytest.raises(NotRecorded):
        await ledger.incidents.move_run("run-x", IncidentState.RECOVERED, "well", NOW)


async def test_evidence_is_kept_in_order_once_and_bounded(ledger: Ledger) -> None:
    """The beginning and the end of a long log survive."""
    run = await begin(ledger)
    long = "first line\n" + "x" * 300_000 + "\nlast line"
    for _ in range(2):
        await keep_evidence(ledger, run.id, "delete#0", "logs", long, NOW)
    await keep_evidence(ledger, run.id, "delete#0", "describe", "Name: web-0", NOW)
    logs, describe = await ledger.incidents.evidence_of(run.id)
    assert logs.text.startswith("first line")
    assert logs.text.endswith("last line")
    assert "characters left out" in logs.text
    assert len(logs.text) < 257 * 1024
    assert (describe.kind, describe.text) == ("describe", "Name: web-0")


async def test_incidents_are_listed_newest_first_and_by_service(ledger: Ledger) -> None:
    """What `kintsugi incidents` shows."""
    web = await begin(ledger, "web")
    await ledger.incidents.move_run(web.id, IncidentState.RECOVERED, "well", NOW)
    await begin(ledger, "api", now=NOW + MINUTE)
    assert [each.service for each in await ledger.incidents.newest()] == ["api", "web"]
    assert [each.service for each in await ledger.incidents.newest(open_only=True)] == ["api"]
    assert [each.service for each in await ledger.incidents.newest(service="web")] == ["web"]
    assert [each.service for each in await ledger.incidents.newest(limit=1)] == ["api"]
    assert await ledger.incidents.runs_of(web.incident) == (await ledger.incidents.run(web.id),)
