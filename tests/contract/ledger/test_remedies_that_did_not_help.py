"""What earlier runs of a service have tried is read back, as far as they changed anything and none of them helped."""

from dataclasses import replace
from datetime import datetime

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, Pause, PauseScope, StepState
from kintsugi.model.remedies import RemedyKind
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, step

CANARY, MOVE = RemedyKind.RESTART_CANARY, RemedyKind.MOVE_PODS


async def run(
    ledger: Ledger, hours: int, state: IncidentState, remedy: str, *, service: str = "web", changes: bool = True
) -> None:
    """Let a run that began so long ago find out what helps, do it, and end so."""
    began = NOW - hours * HOUR
    made = await begin(ledger, service, now=began)
    looked = step(
        made,
        "diagnosis",
        StepState.DONE,
        text="kintsugi diagnose deployment/web",
        verb="kintsugi diagnose",
        result={"remedy": remedy},
    )
    await ledger.runs.save_step(replace(looked, changes=False), expect=None, now=began)
    if changes:
        evicted = step(made, "canary/one#0", StepState.DONE, text="kubectl evict-pod web-1")
        await ledger.runs.save_step(evicted, expect=None, now=began)
    await ledger.runs.move_run(made.id, state, "it is over", began + MINUTE)


async def tried(ledger: Ledger, since: datetime = NOW - 24 * HOUR) -> frozenset[RemedyKind]:
    """Return what did not help the web service."""
    return await ledger.remedies.failed_remedies("web", since)


async def test_the_remedies_of_runs_that_did_not_help_are_known(ledger: Ledger) -> None:
    await run(ledger, 3, IncidentState.NEEDS_OPERATOR, CANARY)
    await run(ledger, 2, IncidentState.INEFFECTIVE, MOVE)
    await run(ledger, 1, IncidentState.FAILED, "a-word-of-a-later-version")
    assert await tried(ledger) == {CANARY, MOVE}
    assert await tried(ledger, NOW - 2 * HOUR) == {MOVE}


async def test_remedies_before_a_run_that_helped_are_another_trouble_s(ledger: Ledger) -> None:
    await run(ledger, 3, IncidentState.NEEDS_OPERATOR, CANARY)
    await run(ledger, 2, IncidentState.RECOVERED, MOVE)
    assert await tried(ledger) == frozenset()


async def test_a_remedy_that_was_tried_before_a_person_resumed_the_service_may_be_tried_again(ledger: Ledger) -> None:
    await run(ledger, 3, IncidentState.NEEDS_OPERATOR, CANARY)
    await run(ledger, 2, IncidentState.NEEDS_OPERATOR, MOVE)
    (left,) = (await ledger.runs.handed_over(NOW - 24 * HOUR)).values()
    ended = Pause(id=left.incident, scope=PauseScope.SERVICE, name="web", who="ann", why="repaired", since=NOW)
    await ledger.pauses.end_rest(ended, ())
    assert await tried(ledger) == frozenset()


@pytest.mark.parametrize("service", ["web", "api"])
async def test_a_run_that_changed_nothing_and_one_of_another_service_have_tried_nothing(
    ledger: Ledger, service: str
) -> None:
    await run(ledger, 2, IncidentState.NEEDS_OPERATOR, CANARY, service=service, changes=service != "web")
    assert await tried(ledger) == frozenset()
