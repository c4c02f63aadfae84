"""`keep`: of what a look gave only a list goes into the incident, and later steps see no more."""

import pytest

from kintsugi.errors import ProbeFailed
from kintsugi.model.records import IncidentState
from kintsugi.runner.journal import recalled
from kintsugi.runner.wait import MOST_KEPT
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime

STEPS = """
    - id: events
      run: kubectl get events -A --sort-by=.metadata.creationTimestamp
      keep: items.filter(e, e.type == "Warning").map(e, e.message)
      onFailure: continue
    - id: restart
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${each}
    - id: later
      expect: steps.events.answered && steps.events.kept.exists(m, m == "warning 204")
      onFailure: continue
"""


def event(number: int) -> dict[str, object]:
    """Make an Event, of which every other one is a warning."""
    kind = "Warning" if number % 2 == 0 else "Normal"
    return {"type": kind, "message": f"{kind.lower()} {number}", "note": "x" * 10_000}


async def test_the_last_of_what_a_step_keeps_goes_into_the_incident() -> None:
    made = RunBench(STEPS, heals="kubectl delete")
    made.prober.will("kubectl get events", lambda: {"items": [event(number) for number in range(206)]})
    record = await made.drive()
    assert record.state is IncidentState.RECOVERED
    kept = recalled(made.step("events").result)["kept"]
    assert kept == [f"warning {number}" for number in range(206 - 2 * MOST_KEPT, 206, 2)]
    assert recalled(made.step("events").result).keys() == {"kept"}
    assert made.step("later").met is True


async def test_a_look_without_an_answer_keeps_nothing_and_says_why() -> None:
    made = RunBench(STEPS, heals="kubectl delete")
    made.prober.will("kubectl get events", lambda: ProbeFailed("no answer within 30 s"))
    await made.drive()
    events = made.step("events")
    assert (events.met, events.error, recalled(events.result)) == (False, "no answer within 30 s", {})
    assert made.step("later").met is False


async def test_a_result_that_cannot_be_told_apart_is_not_kept_and_stops_no_step() -> None:
    made = RunBench(STEPS, heals="kubectl delete")
    made.prober.will("kubectl get events", lambda: {"items": [{"message": "it has no type"}]})
    record = await made.drive()
    assert record.state is IncidentState.RECOVERED
    assert recalled(made.step("events").result) == {}
