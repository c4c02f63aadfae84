"""Drills stand beside recoveries: neither keeps the other from beginning, and what is known of them is never forgotten."""

from dataclasses import replace
from datetime import datetime

import pytest

from kintsugi.errors import WrongState
from kintsugi.ledger import Ledger, RunRequest
from kintsugi.model.drills import DrillMemory
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, RunKind, VerdictKind
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    Noted,
    begin,
    refuse_to_decide,
    run_request,
    start,
    started,
    step,
    verdict,
    write,
)


def drill(*, slot: datetime | None = None) -> RunRequest:
    """Make the claim of a drill."""
    return replace(run_request(locks=()), rule="drill", runbook="database-drill", kind=RunKind.DRILL, slot=slot)


async def test_a_recovery_begins_while_a_drill_runs_and_a_drill_is_told_of_a_recovery(ledger: Ledger) -> None:
    """P2: one open incident and run of each kind."""
    drilling = started(await ledger.incidents.request_run(drill(), start, NOW))
    recovery = await begin(ledger)
    assert {run.id: run.kind for run in await ledger.incidents.open_runs()} == {
        drilling.id: RunKind.DRILL,
        recovery.id: RunKind.RECOVERY,
    }
    noted = Noted(lambda _: verdict(VerdictKind.REFUSED))
    await ledger.incidents.move_run(drilling.id, IncidentState.CANCELLED, "it gave way", NOW)
    await ledger.incidents.request_run(drill(), noted, NOW)
    assert [history.incident for history in noted.histories] == [recovery.incident]


async def test_a_second_drill_of_a_service_is_not_begun(ledger: Ledger) -> None:
    """P2."""
    first = started(await ledger.incidents.request_run(drill(), start, NOW))
    again = await ledger.incidents.request_run(drill(), refuse_to_decide, NOW)
    assert (again.verdict.kind, again.verdict.incident) == (VerdictKind.ATTACHED, first.incident)


async def test_no_guard_counts_a_drill(ledger: Ledger) -> None:
    """P7: it disrupts nothing, and says nothing about whether a recovery helps."""
    run = started(await ledger.incidents.request_run(drill(), start, NOW))
    await write(ledger, step(run))
    assert await ledger.incidents.history("web", "shop", NOW) == History()
    await ledger.incidents.move_run(run.id, IncidentState.FAILED, "it did not pass", NOW)
    assert await ledger.incidents.history("web", "shop", NOW + MINUTE) == History()


async def test_a_drill_that_passed_is_remembered_and_cannot_be_rolled_back(ledger: Ledger) -> None:
    """The age of the last good drill must survive a restart, and the incidents' own age."""
    for end, state in ((NOW, IncidentState.PASSED), (NOW + HOUR, IncidentState.FAILED)):
        run = started(await ledger.incidents.request_run(drill(), start, end))
        await ledger.incidents.move_run(run.id, state, "it is over", end)
        with pytest.raises(WrongState, match="was a drill"):
            await ledger.incidents.reopen_run(run.id, "rollback asked for by ana", end, who="ana")
    assert await ledger.good_state.drills() == {"web": DrillMemory(service="web", passed=NOW)}
    (notice,) = await ledger.outbox.due_notices(NOW + HOUR)
    assert notice.kind is IncidentState.FAILED


async def test_the_moment_of_a_schedule_moves_with_the_drill_that_it_starts(ledger: Ledger) -> None:
    """Neither lost nor done twice: both are one transaction, and a refusal leaves the moment due."""
    await ledger.good_state.begin_schedule("web", "0 4 * * *", NOW)
    await ledger.incidents.request_run(drill(slot=NOW + HOUR), lambda _: verdict(VerdictKind.REFUSED), NOW + HOUR)
    assert (await ledger.good_state.drills())["web"].slot == NOW
    started(await ledger.incidents.request_run(drill(slot=NOW + HOUR), start, NOW + HOUR))
    await ledger.good_state.begin_schedule("web", "0 4 * * *", NOW + 2 * HOUR)
    assert (await ledger.good_state.drills())["web"] == DrillMemory(
        service="web", schedule="0 4 * * *", slot=NOW + HOUR
    )
    await ledger.good_state.begin_schedule("web", "0 5 * * *", NOW + 2 * HOUR)
    assert (await ledger.good_state.drills())["web"] == DrillMemory(
        service="web", schedule="0 5 * * *", slot=NOW + 2 * HOUR
    )
