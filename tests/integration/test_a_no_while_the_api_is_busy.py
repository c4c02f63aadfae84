"""An effect that the API puts off is not made once somebody has said no, or the daemon stops (C3, B8, E29)."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, StepRecord, StepState
from kubesim.apiserver.api_faults import Fault, FaultKind
from kubesim.apiserver.audit import Request
from tests.integration.crash_stage import CrashStage
from tests.integration.crash_story import CRASH_LOOP, broken, made

pytestmark = pytest.mark.long

TOO_MANY_REQUESTS = 429

BUSY = Fault(kind=FaultKind.TOO_MANY, verb="delete", path="*/pods/*", times=None)


@asynccontextmanager
async def put_off(folder: Path) -> AsyncIterator[tuple[CrashStage, Ledger]]:
    """Have a daemon whose deletion of a crash-looping pod the API has refused for now, and goes on to refuse."""
    async with CRASH_LOOP.stage(CRASH_LOOP.daemon(folder)) as stage:
        stage.cluster.api_faults.order(BUSY)
        stage.start()
        async with stage.ledger() as ledger:
            await broken(CRASH_LOOP, stage, ledger)

            async def is_refused() -> bool:
                return bool(refused(stage))

            await stage.until(is_refused)
            yield stage, ledger


def refused(stage: CrashStage) -> list[Request]:
    """Return the deletions that the API has refused for now."""
    return [each for each in stage.cluster.requests if each.method == "DELETE" and each.status == TOO_MANY_REQUESTS]


async def deletions(ledger: Ledger) -> list[StepRecord]:
    """Return what the ledger says of the deletions of all runs."""
    runs = [run for each in await ledger.incidents.newest(limit=10) for run in await ledger.runs.of_incident(each.id)]
    return [step for run in runs for step in await ledger.runs.steps(run.id) if step.changes]


async def freeze(stage: CrashStage) -> None:
    """Freeze everything, as a person does."""
    said = {"scope": "global", "why": "hands off", "freeze": True}
    status, answer = await asyncio.to_thread(stage.daemon.post, "/api/v1/pauses", said)
    assert status == 201, answer


async def stop(stage: CrashStage) -> None:
    """Stop the daemon as Kubernetes does, and wait for its end."""
    stage.daemon.signal(signal.SIGTERM)
    await stage.ended()


@pytest.mark.parametrize("no", [freeze, stop], ids=["a freeze", "a stop"])
async def test_a_change_that_the_api_has_put_off_is_not_made_after_a_no(
    tmp_path: Path, no: Callable[[CrashStage], Awaitable[None]]
) -> None:
    async with put_off(tmp_path / "story") as (stage, ledger):
        await no(stage)
        asked = len(refused(stage))

        async def is_over() -> bool:
            return not stage.is_alive() or not await ledger.runs.open_runs()

        await stage.until(is_over)
        stage.cluster.api_faults.clear()
        assert made(stage) == [], stage.state()
        assert len(refused(stage)) - asked <= 1, "what was on its way when the no came may have been refused once more"

        steps = await deletions(ledger)
        if no is stop:  # it may have come before the refusal was written down: the next process looks at the pod again
            assert {each.state for each in steps} <= {StepState.PLANNED, StepState.INTENT}, steps
        else:
            assert {each.state for each in steps} <= {StepState.PLANNED, StepState.SKIPPED}, steps
            assert all(each.error for each in steps), steps
            (incident,) = await ledger.incidents.newest(limit=1)
            assert incident.state is IncidentState.CANCELLED
            assert "frozen by tester: hands off" in incident.reason
