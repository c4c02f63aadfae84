"""Who takes the lead fills in what the open runs of an earlier version have told by sentences and notes, on both databases."""

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, RunRecord, StepRecord, StepState
from kintsugi.model.run_update import RunUpdate, SeenWorkload
from tests.contract.ledger.build import MINUTE, NOW, begin

WORKLOAD = {"template": "a", "revision": 3, "desired": 5, "ready": 4}


def note(run: RunRecord, path: str, **result: object) -> StepRecord:
    """Return a note as the version before wrote it."""
    return StepRecord(run=run.id, path=path, state=StepState.DONE, started=NOW, finished=NOW, result=result, met=True)


@pytest.mark.parametrize(
    ("reason", "updates"),
    [
        ("stopped at a/b[0]: not met: x", RunUpdate(stopped_at="a/b[0]")),
        ("stopped: the deadline came before the steps were done", RunUpdate(stopped_at="")),
        ("stopped at : the deadline came before the steps were done", RunUpdate(stopped_at="")),
        ("rollback asked for by ada: the night shift", RunUpdate(rollback_requested_by="ada: the night shift")),
        ("waits for a person: mend on api, kintsugi approve inc-1", RunUpdate(awaits_person=True)),
        ("every step was done", RunUpdate()),
        ("the restore is left as it is for a person: stopped at a: b", RunUpdate()),
    ],
)
async def test_a_reason_is_read_once(ledger: Ledger, reason: str, updates: RunUpdate) -> None:
    run = await begin(ledger)
    await ledger.runs.move_run(run.id, IncidentState.VERIFYING, reason, NOW)
    for _ in range(2):
        await ledger.lead(NOW + MINUTE)
        found = await ledger.runs.get(run.id)
        assert {name: getattr(found, name) for name in updates.given} == updates.given
        assert (found.stopped_at, found.rollback_requested_by, found.awaits_person) == (
            updates.stopped_at,
            updates.rollback_requested_by or "",
            bool(updates.awaits_person),
        )


async def test_notes_are_read_and_what_is_known_already_stays(ledger: Ledger) -> None:
    run = await begin(ledger)
    await ledger.runs.update_run(
        run.id, RunUpdate(workload_left=SeenWorkload(template="b", revision=4, desired=5, ready=5))
    )
    for path in ("@found", "@left"):
        await ledger.runs.save_step(note(run, path, **WORKLOAD), expect=None, now=NOW)
    await ledger.runs.save_step(note(run, "@taken-up", since=NOW), expect=None, now=NOW)
    await ledger.runs.save_step(note(run, "@asked", why="rollback asked for by ada"), expect=None, now=NOW)
    await ledger.lead(NOW + MINUTE)
    found = await ledger.runs.get(run.id)
    assert found.workload_found == SeenWorkload(template="a", revision=3, desired=5, ready=4)
    assert found.workload_left is not None
    assert found.workload_left.template == "b"
    assert (found.taken_up, found.rollback_requested_by, found.stopped_at) == (NOW, "ada", None)


async def test_a_run_that_is_over_is_left_as_it_is(ledger: Ledger) -> None:
    run = await begin(ledger)
    await ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, "stopped at a: b", NOW)
    await ledger.lead(NOW + MINUTE)
    assert (await ledger.runs.get(run.id)).stopped_at is None


@pytest.mark.parametrize(
    ("told", "verb"),
    [
        ("kubectl rollout undo deployment/web -n shop", "kubectl rollout undo"),
        ("nc -z web.shop 80", "nc -z"),
        ("mend on api: recovered", ""),
        ("", ""),
    ],
)
async def test_the_verb_of_a_step_is_read_from_its_command(ledger: Ledger, told: str, verb: str) -> None:
    run = await begin(ledger)
    step = StepRecord(run=run.id, path="a", state=StepState.DONE, text=told, started=NOW, finished=NOW)
    await ledger.runs.save_step(step, expect=None, now=NOW)
    await ledger.lead(NOW + MINUTE)
    assert [each.verb for each in await ledger.runs.steps(run.id)] == [verb]
