"""All services are down: a run about all of them takes no longer than the critical path, or than Graham's bound with limits."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from kintsugi.model.records import IncidentState
from kintsugi.model.runbooks import Step
from kintsugi.runner.context import StepScope
from kintsugi.runner.interpreter import Interpreter
from tests.unit.pipeline.graphs import SHAPES
from tests.unit.pipeline.recovering import UNLIMITED, declared, recover
from tests.unit.virtual import play

CASES = [
    *((shape, 5) for shape in SHAPES),
    ("random", 20),
    *(pytest.param(shape, 50, marks=pytest.mark.long) for shape in SHAPES),
]


def account(shape: str, size: int, *, at_once: int = 0) -> tuple[bool, str]:
    """Recover services; return whether that took no longer than it may, and how long it took."""
    graph = declared(shape, size)
    limits = replace(UNLIMITED, max_concurrent_services=at_once) if at_once else UNLIMITED
    recovery = play(recover(graph, limits))
    assert recovery.run.state is IncidentState.RECOVERED, recovery.run.reason
    assert len(recovery.children) == size
    ends = {each.service: each.finished for each in recovery.children}
    early = [
        (each.service, need)
        for each in recovery.children
        for need in graph.needs[each.service]
        if _is_early(each.started, ends[need])
    ]
    assert early == []
    if at_once:
        assert recovery.most_at_once <= at_once
    text = f"{recovery.makespan}s; critical path {graph.critical_path}s, work {graph.work}s"
    return recovery.keeps_to(graph, at_once=at_once), text


def _is_early(started: datetime, upstream_ended: datetime | None) -> bool:
    return upstream_ended is None or started < upstream_ended


@pytest.mark.parametrize(("shape", "size"), CASES)
def test_without_limits_recovery_takes_no_longer_than_its_critical_path(shape: str, size: int) -> None:
    keeps, text = account(shape, size)
    assert keeps, text


@pytest.mark.parametrize(("shape", "size"), CASES)
def test_with_three_at_once_recovery_keeps_to_the_bound_of_list_scheduling(shape: str, size: int) -> None:
    """P7."""
    keeps, text = account(shape, size, at_once=3)
    assert keeps, text


@pytest.mark.parametrize("at_once", [0, 3])
@pytest.mark.parametrize("shape", ["fan"])
def test_a_runner_that_does_one_step_after_another_fails_the_check(
    shape: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a chain nothing may go together: there one after another is as fast as it gets."""
    monkeypatch.setattr(Interpreter, "_execute_parallel", one_after_another)
    keeps, text = account(shape, SEQUENTIAL, at_once=at_once)
    assert not keeps, text


SEQUENTIAL = 12
"""So many that one after another is longer than the bound of three at once, in each of the shapes."""


async def one_after_another(interpreter: Interpreter, steps: Sequence[Step], scope: StepScope) -> None:
    """Do steps that may go together in the order in which they are written: each comes after those that it needs."""
    await interpreter.execute_steps(steps, scope)
