"""A run that has changed nothing ends for an upstream that explains what started it; what started it is held then."""

import pytest

from kintsugi.model.records import IncidentState
from tests.unit.runner.bench import SCALE, RunBench

pytestmark = pytest.mark.looptime

LOOK = "- {id: look, run: kubectl get pods -l app=web}\n"
DOWN = "cart is not serving (0 of 2 ready)"


async def test_a_run_that_has_changed_nothing_is_cancelled_while_its_upstream_is_down() -> None:
    """One cause is one notice: nobody is told of a run that was cancelled."""
    bench = RunBench(LOOK)
    bench.observed.down = DOWN
    ended = await bench.drive()
    assert (ended.state, ended.reason) == (
        IncidentState.CANCELLED,
        f"upstream: {DOWN}; nothing was changed, and the trigger waits for the upstream",
    )
    assert bench.actor.calls == []


async def test_a_run_that_has_changed_something_is_judged_by_what_it_did() -> None:
    bench = RunBench(f"- {{id: scale, run: {SCALE}}}\n", heals="kubectl scale")
    bench.observed.down = DOWN
    assert (await bench.drive()).state is IncidentState.RECOVERED
