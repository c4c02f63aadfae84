"""`forEach`: the items as they were, each looked up afresh before its turn; the gone are passed over."""

import asyncio
from datetime import timedelta

import pytest

from kintsugi.errors import Forbidden
from kintsugi.model.records import IncidentState, StepState
from kubeobjects.kept import Pod
from tests.unit.executor.scripted_actor import Lost
from tests.unit.factories import pod
from tests.unit.runner.bench import RunBench, clock, driven

pytestmark = pytest.mark.looptime

RESTART = """\
- id: restart
  forEach: service.pods
  when: each.unhealthy
  run: kubectl delete pod ${each}
"""
BAD = (pod("web-1", ready=False), pod("web-2", ready=False), pod("web-3", ready=False))


def bad(steps: str) -> RunBench:
    """Make a run of which all three pods are bad, and each change takes ten seconds."""
    bench = RunBench(steps)
    bench.found = BAD
    bench.actor.takes = timedelta(seconds=10)
    return bench


async def test_only_items_for_which_it_is_wanted_have_their_turn_with_their_uid_as_the_precondition() -> None:
    """P4: the object that was judged is the one that is deleted, not another of its name."""
    bench = await driven(RESTART, heals="kubectl delete pod web-3")
    assert bench.deleted == ["web-2", "web-3"]
    assert "uid-web-2" in str(bench.step("restart[1]#0").command)


async def test_when_no_item_is_wanted_the_step_is_left_out_and_stops_nothing() -> None:
    bench = RunBench(RESTART + "- {id: after, run: kubectl get pods}")
    bench.found = (pod("web-1"),)
    await bench.drive(healed_at=30)
    assert bench.ended == (IncidentState.NO_ACTION, [])
    assert bench.step("restart").state is StepState.SKIPPED
    assert bench.has("after")


@pytest.mark.parametrize(
    ("left", "turns"),
    [
        ((BAD[2],), ["web-1", "web-3"]),
        ((BAD[0], pod("web-2"), BAD[2]), ["web-1", "web-3"]),
        ((BAD[0], pod("web-2", ready=False, uid="uid-of-another"), BAD[2]), ["web-1", "web-3"]),
    ],
    ids=["gone", "well", "another of the name"],
)
async def test_an_item_that_is_another_or_well_at_its_turn_is_passed_over(
    left: tuple[Pod, ...], turns: list[str]
) -> None:
    """P6: what was bad a minute ago may be another pod by now."""
    bench = bad(RESTART)
    bench.at(5, lambda: bench.observed.show(pods=left))
    await bench.drive(healed_at=40)
    assert bench.deleted == turns


@pytest.mark.parametrize(("at_once", "seconds"), [(1, 30), (2, 20), (3, 10), (10, 10)])
async def test_so_many_items_go_at_once(at_once: int, seconds: float) -> None:
    bench = bad(RESTART + f"  maxParallel: {at_once}\n- {{id: after, run: kubectl get pods}}")
    await bench.drive(healed_at=60)
    assert len(bench.effects) == 3
    assert bench.prober.looked[0][0] == seconds


async def test_the_expectation_is_waited_for_once_after_all_items() -> None:
    bench = RunBench(
        RESTART + "  expect: service.ready >= service.desired\n  within: 5m\n- {id: after, run: kubectl get pods}",
        heals="kubectl delete pod web-3",
        heals_after=timedelta(seconds=40),
    )
    await bench.drive()
    assert bench.step("restart").met is True
    assert bench.prober.looked[0][0] == 40


@pytest.mark.parametrize("at_once", [1, 2])
async def test_after_an_item_that_failed_for_good_no_further_item_is_begun(at_once: int) -> None:
    """A run that has failed makes no more changes: nothing goes on behind its back."""
    bench = bad(RESTART + f"  maxParallel: {at_once}")
    bench.actor.will("perform kubectl delete pod web-1 -n production", Forbidden("may not delete pods"))
    ended = await bench.drive()
    assert ended.state is IncidentState.FAILED
    assert clock() == (10 if at_once == 2 else 0), "what was begun has ended before the run is over"
    await asyncio.sleep(60)
    assert bench.effects == (["kubectl delete pod web-2 -n production"] if at_once == 2 else [])


async def test_an_item_of_which_nobody_can_tell_calls_a_person_whatever_became_of_the_others() -> None:
    """P3: the gravest end counts, not the first."""
    bench = bad(RESTART + "  maxParallel: 3")
    bench.actor.will("perform kubectl delete pod web-1 -n production", Forbidden("may not delete pods"))
    bench.actor.will("perform kubectl delete pod web-2 -n production", Lost(applied=True))
    bench.actor.will("probe", Forbidden("may not get pods"))
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR


async def test_looks_for_each_item_put_their_lists_together() -> None:
    steps = """\
    - {id: looks, forEach: service.pods, run: "kubectl get pods ${each}", expect: size(items) == 1}
    - {id: all, run: kubectl get pods, when: size(steps.looks.items) == 3}
    """
    bench = await driven(steps, healed_at=30, answers={"kubectl get": {"items": [{}]}})
    assert bench.step("looks").met is True
    assert bench.step("all").state is StepState.DONE


async def test_rows_are_the_same_items_when_their_list_is_evaluated_again() -> None:
    """Whatever the order in which an evaluation gives their fields."""
    fields = ("name", "namespace", "cpuMillicores", "memoryBytes", "cpuPercent", "memoryPercent")
    rows = [{**dict.fromkeys(fields, 1), "name": f"web-{number}", "namespace": "production"} for number in range(5)]
    steps = """\
    - {id: usage, run: kubectl top pods}
    - {id: looks, forEach: steps.usage.items, run: "kubectl get pod ${each.name}"}
    - {id: all, run: kubectl get pods, when: size(steps.looks.items) == 5}
    """
    answers = {"kubectl top": {"items": rows}, "kubectl get": {"items": [{}]}}
    bench = await driven(steps, healed_at=30, answers=answers)
    assert bench.step("all").state is StepState.DONE


async def test_steps_for_each_item_are_done_item_by_item() -> None:
    steps = """\
    - id: each_pod
      forEach: service.pods
      when: each.unhealthy
      steps:
        - {id: look, run: kubectl get pods}
        - {id: delete, run: "kubectl delete pod ${each}"}
    """
    bench = await driven(steps, heals="kubectl delete pod web-3")
    assert bench.deleted == ["web-2", "web-3"]
    assert bench.has("each_pod[1]/delete#0")
    assert bench.state is IncidentState.RECOVERED
