"""A secret is in no byte of the ledger, on both databases, whichever way it came; what is carried out again stays whole (E4)."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select

from kintsugi.ledger import Ledger
from kintsugi.ledger.tables import metadata
from kintsugi.mask import MASK
from kintsugi.model.records import (
    DeadLetter,
    IncidentState,
    KeptDiagnosis,
    Occasion,
    Pause,
    PauseScope,
    SignalSource,
    StepState,
    UndoRecord,
)
from kintsugi.telemetry import SECRETS
from tests.contract.ledger.build import MINUTE, NOW, diagnosis, run_request, signal, start, started, step

KNOWN = "canary-that-was-loaded"
PLACED = "canary of a place"
SHAPED = "canary-of-a-shape"
SAID = f"it said password={SHAPED} and {KNOWN} at http://ana:{SHAPED}@web/"
DEPLOYMENT = {
    "kind": "Deployment",
    "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": PLACED}},
    "spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "PLAIN", "value": PLACED}]}]}}},
}


async def content(ledger: Ledger) -> str:
    """Read every value of every table as it is stored."""
    found: list[str] = []
    async with ledger._store.engines.reader.connect() as connection:
        for table in metadata.sorted_tables:
            found += [str(tuple(row)) for row in await connection.execute(select(table))]
    return "\n".join(found)


async def test_no_canary_is_in_any_table_whichever_way_it_came(ledger: Ledger) -> None:
    SECRETS.register(KNOWN)
    annotations = {"summary": SAID, "password": PLACED}
    told = replace(signal(), labels={"alertname": "A", "url": SAID, "token": PLACED}, annotations=annotations)
    await ledger.signals.accept([told], NOW)
    run = started(await ledger.run_requests.request_run(run_request(told), start, NOW))
    looked = step(
        run,
        "look",
        StepState.DONE,
        text=f"curl http://ana:{SHAPED}@web/",
        error=SAID,
        why=SAID,
        result={"item": DEPLOYMENT, "lines": [SAID], "headers": {"Set-Cookie": PLACED}, "json": {"password": PLACED}},
        facts={"items": [{"kind": "", "key": repr(SAID), "value": SAID}], "former": {"note": SAID}},
        undo=UndoRecord(note=SAID, texts=(SAID,)),
    )
    await ledger.runs.save_step(looked, expect=None, now=NOW)
    await ledger.runs.save_step(looked, expect=None, now=NOW)  # recognised as the same, although it is stored masked
    await ledger.evidence.keep(run.id, "look", "logs", SAID, NOW)
    found = diagnosis(f"web: {SAID}", text=SAID)
    await ledger.diagnoses.keep(KeptDiagnosis(incident=run.incident, occasion=Occasion.OPENED, diagnosis=found))
    await ledger.signals.keep_dead_letters(
        [DeadLetter(id="dead-1", source=SignalSource.POLL, received=NOW, reason=SAID, excerpt=SAID)]
    )
    await ledger.pauses.pause(Pause(id="pause-1", scope=PauseScope.GLOBAL, who="ana", why=SAID, since=NOW))
    await ledger.outbox.put_daemon_notice(SAID, NOW)
    await ledger.outbox.put_daemon_notice(SAID, NOW + MINUTE)
    await ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, SAID, NOW)
    stored = await content(ledger)
    for canary in (KNOWN, PLACED, SHAPED):
        assert canary not in stored
    assert stored.count(MASK) >= 20
    ours = [each for each in await ledger.outbox.due_notices(NOW + timedelta(hours=1)) if each.incident is None]
    assert len(ours) == 1, "the same words were said twice, since they are stored otherwise"


async def test_a_command_that_may_be_carried_out_again_is_stored_as_it_is(ledger: Ledger) -> None:
    """P8: a command that was masked would do something else; `effect` keeps secrets out of it."""
    run = started(await ledger.run_requests.request_run(run_request(), start, NOW))
    command = {"command": "Patch", "patch": '{"spec":{"template":{"password":"x"}}}'}
    facts = {"uid": "token=not-one", "then": [command], "mark": "token=neither"}
    made = step(run, "do#0", StepState.DONE, command=command, facts=facts, undo=UndoRecord(commands=(command,)))
    await ledger.runs.save_step(made, expect=None, now=NOW)
    (found,) = await ledger.runs.steps(run.id)
    assert (found.command, found.facts, found.undo) == (command, facts, UndoRecord(commands=(command,)))
