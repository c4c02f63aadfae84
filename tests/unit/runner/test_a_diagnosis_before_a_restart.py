"""The shipped generic runbook restarts pods only with a diagnosis, and of those that fail a probe one first."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from kintsugi.commands.registry import definition_of
from kintsugi.errors import KubeError
from kintsugi.model.command import Command
from kintsugi.model.records import IncidentState
from tests.unit.factories import pod
from tests.unit.runner.bench import RunBench, diagnosed, generic

pytestmark = pytest.mark.looptime


def failing(remedy: str, *, kind: str = "Pod", name: str = "", answered_after: int = 0) -> RunBench:
    """Make a run on a service without a ready pod; the API server answers a diagnosis only after so many times."""
    times = iter(range(1000))

    def answer() -> dict[str, object]:
        if next(times) < answered_after:
            raise KubeError("GET deployment/web: not answered within 30 s")
        return diagnosed(remedy, kind=kind, name=name)

    bench = generic(*(pod(f"web-{n}", ready=False) for n in (1, 2, 3)), diagnosis=answer)
    bench.prober.will("kubectl get pods", lambda: {"items": [{"metadata": {"uid": f"uid-web-{n}"}} for n in (1, 2, 3)]})
    return bench


@pytest.mark.parametrize(
    ("remedy", "kind", "verb"),
    [
        ("restart-canary", "Pod", "evict-pod"),
        ("recreate-one", "Pod", "delete"),
        ("move-pods", "Node", "cordon"),
        ("grow-claim-asked", "PersistentVolumeClaim", "patch"),
    ],
)
async def test_a_diagnosed_object_is_named_by_its_uid_so_that_a_later_one_of_its_name_is_left_alone(
    remedy: str, kind: str, verb: str
) -> None:
    bench = failing(remedy, kind=kind, name="web-1")
    bench.ledger.answers_after = timedelta(seconds=5)
    planned: list[Command] = []

    def keep(command: Command) -> Mapping[str, object]:
        planned.append(command)
        return {}

    bench.actor.facts_of = keep
    await bench.drive()
    definition = definition_of(planned[0])
    assert definition.spec is not None
    assert definition.spec.verb == f"kubectl {verb}"
    assert [each.uid for each in definition.objects(planned[0])] == ["uid-web-1"]


async def test_a_run_without_a_diagnosis_restarts_nothing_and_says_what_was_not_answered() -> None:
    bench = failing("restart", answered_after=1000)
    run = await bench.drive()
    assert (run.state, bench.effects) == (IncidentState.NEEDS_OPERATOR, [])
    assert "Without a diagnosis nothing is changed: GET deployment/web: not answered" in run.reason, run.reason


async def test_a_diagnosis_that_a_busy_api_server_did_not_answer_at_first_is_asked_for_again() -> None:
    bench = failing("restart", answered_after=60)
    await bench.drive()
    assert bench.effects[0] == "kubectl delete pod web-1 -n production"


async def test_no_second_pod_that_fails_a_probe_is_recreated_before_the_first_one_is_ready_again() -> None:
    bench = failing("recreate-one", name="web-1")
    run = await bench.drive()
    assert run.state is IncidentState.NEEDS_OPERATOR
    assert bench.effects == ["kubectl delete pod web-1 -n production"]
    assert "Recreate one pod" in run.reason, run.reason


async def test_the_other_pods_that_fail_a_probe_are_recreated_once_the_successor_of_the_first_is_ready() -> None:
    bench = failing("recreate-one", name="web-1")
    successor = pod("web-4")
    bench.at(60, lambda: bench.observed.show(ready=1, pods=(successor, *bench.found[1:])))
    await bench.drive()
    assert [each.split()[3] for each in bench.effects] == ["web-1", "web-2", "web-3"]
    assert all(each.startswith("kubectl delete pod") for each in bench.effects)
