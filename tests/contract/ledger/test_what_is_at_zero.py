"""What the ledger knows of workloads at 0: how many replicas they had, and which run has stopped them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from kintsugi.ledger import Ledger
from kintsugi.ledger.retention import RetentionTerms
from kintsugi.model.history import History
from kintsugi.model.known import ScaledToZero, SeenReplicas
from kintsugi.model.records import IncidentState, Phase, StepRecord, StepState, Verdict
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, run_request, signal, start, step

UID = "uid-api"
STOP = {
    "command": "Scale",
    "objects": [{"resource": "deployments.apps", "name": "api"}],
    "namespace": "production",
    "replicas": 0,
}


async def test_the_last_seen_replicas_of_each_workload_are_known(ledger: Ledger) -> None:
    seen = SeenReplicas(workload=UID, replicas=3, since=NOW)
    other = replace(seen, workload="uid-web")
    await ledger.replicas.note_replicas([seen, other])
    await ledger.replicas.note_replicas([replace(seen, replicas=5, until=NOW + HOUR)])
    assert await ledger.replicas.seen_replicas(UID) == replace(seen, replicas=5, until=NOW + HOUR)
    assert await ledger.replicas.seen_replicas("uid-web") == other
    assert await ledger.replicas.seen_replicas("uid-none") is None


async def stopping(ledger: Ledger, **more: Any) -> StepRecord:
    """Write the intent of a run to scale the workload to 0, an hour after the run's beginning."""
    run = await begin(ledger, "database")
    intent = replace(step(run, "stop#0", command=STOP, facts={"uid": UID}), **more)
    await ledger.runs.save_step(intent, expect=None, now=NOW + HOUR)
    return intent


async def test_the_run_that_has_scaled_a_workload_to_zero_is_known_from_the_intent_on_and_after_it(
    ledger: Ledger,
) -> None:
    intent = await stopping(ledger)
    expected = ScaledToZero(workload=UID, run=intent.run, moment=NOW + HOUR)
    assert await ledger.replicas.scaled_to_zero(UID) == expected
    await ledger.runs.save_step(replace(intent, state=StepState.DONE), expect=StepState.INTENT, now=NOW + 2 * HOUR)
    await ledger.runs.move_run(intent.run, IncidentState.NEEDS_OPERATOR, "a person looks", NOW + 3 * HOUR)
    assert await ledger.replicas.scaled_to_zero(UID) == expected


async def test_a_change_that_was_not_made_or_is_an_undo_has_stopped_no_workload(ledger: Ledger) -> None:
    intent = await stopping(ledger)
    await ledger.runs.save_step(replace(intent, state=StepState.SKIPPED), expect=StepState.INTENT, now=NOW + HOUR)
    assert await ledger.replicas.scaled_to_zero(UID) is None
    await ledger.runs.move_run(intent.run, IncidentState.RECOVERED, "well", NOW)
    for more in ({"phase": Phase.UNDO}, {"facts": {"uid": UID, "already": True}}, {"command": {**STOP, "replicas": 2}}):
        made = await stopping(ledger, **more)
        assert await ledger.replicas.scaled_to_zero(UID) is None, more
        await ledger.runs.move_run(made.run, IncidentState.RECOVERED, "well", NOW)


async def test_a_claim_that_would_start_it_is_told_of_that_run(ledger: Ledger) -> None:
    """In its own transaction (P7)."""
    intent = await stopping(ledger)
    told, heard = signal(), list[History]()
    await ledger.signals.accept([told], NOW)

    def decide(history: History) -> Verdict:
        heard.append(history)
        return start(history)

    await ledger.run_requests.request_run(replace(run_request(told, service="api"), starts=UID), decide, NOW)
    (history,) = heard
    assert history.scaled_to_zero == await ledger.replicas.scaled_to_zero(UID)
    shown = await ledger.run_requests.history("api", "shop", NOW, starts=UID)
    assert shown.scaled_to_zero is not None
    assert shown.scaled_to_zero.run == intent.run
    assert (await ledger.run_requests.history("api", "shop", NOW)).scaled_to_zero is None


async def test_seen_replicas_stay_as_long_as_the_workload_is_there(ledger: Ledger) -> None:
    """D10: another workload of that name has another uid."""
    await stopping(ledger)
    await ledger.replicas.note_replicas([SeenReplicas(workload=UID, replicas=3, since=NOW)])
    later = NOW + timedelta(days=400)
    for there in (None, {UID}):
        await ledger.retention.prune(later - MINUTE, later, kept=RetentionTerms(workloads=there))
        assert await ledger.replicas.seen_replicas(UID) is not None
        assert await ledger.replicas.scaled_to_zero(UID) is not None
    await ledger.retention.prune(later - MINUTE, later, kept=RetentionTerms(workloads=()))
    assert await ledger.replicas.seen_replicas(UID) is None
    assert await ledger.replicas.scaled_to_zero(UID) is None
