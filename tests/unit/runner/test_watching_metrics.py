"""A step that watches metrics: left out and said where no Prometheus is known; without a sample it is not met."""

from collections.abc import Mapping

import pytest

from kintsugi.model.records import IncidentState, RunRecord, StepState
from tests.unit.runner.bench import RunBench, clock

pytestmark = pytest.mark.looptime

STEPS = """
    - id: restart
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${each}
    - id: metrics
      name: Watch the metrics
      when: prometheus.url != ""
      run: promtool query instant ${prometheus.url} 'sum(rate(errors[2m]))'
      expect: value < 0.01
      within: 5m
"""
URL = "http://prometheus.monitoring:9090"


def bench(prometheus: str, **answer: object) -> RunBench:
    """Make a run whose service is well after its change; a Prometheus answers what is given."""
    made = RunBench(STEPS, heals="kubectl delete")
    made.prometheus = prometheus
    made.prober.will("promtool query instant", lambda: {"samples": [], "warnings": [], **answer})
    return made


async def carried(made: RunBench) -> tuple[RunRecord, Mapping[str, object]]:
    """Carry the run to its end, and give it with the step's state and whether it was met."""
    record = await made.drive()
    step = made.step("metrics")
    return record, {"state": step.state, "met": step.met}


async def test_without_a_prometheus_the_step_is_left_out_and_the_end_says_so() -> None:
    made = bench("")
    record, step = await carried(made)
    assert record.state is IncidentState.RECOVERED
    assert step == {"state": StepState.SKIPPED, "met": False}
    assert record.reason.endswith("not watched: Watch the metrics")
    assert not made.prober.looked


async def test_with_a_prometheus_nothing_is_said_to_be_unwatched() -> None:
    made = bench(URL, samples=[{"labels": {}, "text": "0", "value": 0.0}], value=0.0)
    record, step = await carried(made)
    assert (record.state, step["met"]) == (IncidentState.RECOVERED, True)
    assert "not watched" not in record.reason
    assert {text for _, text in made.prober.looked} == {f"promtool query instant {URL} 'sum(rate(errors[2m]))'"}


async def test_no_sample_is_not_success() -> None:
    """P6."""
    made = bench(URL)
    record, step = await carried(made)
    assert step["met"] is False
    assert clock() >= 300, "it is looked for as long as the step says"
    assert "not watched" not in record.reason
