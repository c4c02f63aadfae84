"""The shipped generic runbook restarts nothing while pods are on their way out, and says that it is them."""

import pytest
from msgspec import structs

from kintsugi.model.records import IncidentState
from kubeobjects.kept import Pod
from tests.unit.factories import moment, pod
from tests.unit.runner.bench import RunBench, diagnosed, generic

pytestmark = pytest.mark.looptime

RESTART = "kubectl rollout restart deployment/web -n production"


def leaving(name: str) -> Pod:
    """Return a pod that was told to end, and has not."""
    given = pod(name)
    return structs.replace(given, metadata=structs.replace(given.metadata, deletion_timestamp=moment(minutes=-1)))


def lacking(*pods: Pod) -> RunBench:
    """Make a run on a service that has too few pods beside these, and of which no cause is known."""
    bench = generic(*pods, diagnosis=lambda: diagnosed("restart"))
    bench.prober.will("kubectl rollout status", lambda: {"complete": True, "message": ""})
    return bench


async def test_a_workload_whose_pods_are_on_their_way_out_is_not_restarted_and_a_person_is_told_why() -> None:
    bench = lacking(pod("web-1"), leaving("web-2"))
    run = await bench.drive()
    assert (run.state, bench.effects) == (IncidentState.NEEDS_OPERATOR, [])
    assert "No pod is on its way out any more" in run.reason, run.reason


async def test_a_workload_is_restarted_once_they_are_gone_and_it_still_lacks_pods() -> None:
    bench = lacking(pod("web-1"), leaving("web-2"))
    bench.at(60, lambda: bench.observed.show(pods=(pod("web-1"),)))
    await bench.drive()
    assert bench.effects == [RESTART]


async def test_a_workload_that_lacks_pods_and_has_none_on_its_way_out_is_restarted() -> None:
    bench = lacking(pod("web-1"))
    await bench.drive()
    assert bench.effects[0] == RESTART
