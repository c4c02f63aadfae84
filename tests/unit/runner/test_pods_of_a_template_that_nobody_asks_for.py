"""The shipped generic runbook first deletes what a StatefulSet waits for in vain, and looks then at the template in force."""

import pytest
from msgspec import structs

from kubeobjects.kept import Pod, StatefulSet
from kubeobjects.metadata import Metadata
from kubeobjects.workloads import StatefulSetStatus
from tests.unit.factories import pod
from tests.unit.runner.bench import RunBench, diagnosed, generic

pytestmark = pytest.mark.looptime

IN_FORCE, FIRST_BAD, GOOD = "web-3", "web-2", "web-1"


def of(name: str, template: str, *, ready: bool) -> Pod:
    """Return a pod that the StatefulSet has made of a template."""
    made = pod(name, ready=ready)
    labels = {**made.metadata.labels, "controller-revision-hash": template}
    return structs.replace(made, metadata=structs.replace(made.metadata, labels=labels))


def stuck(*pods: Pod) -> RunBench:
    """Make a run on a StatefulSet that asks for one template and has these pods; no cause is known."""
    bench = generic(*pods, diagnosis=lambda: diagnosed("hand-over"))
    metadata = Metadata(name="web", namespace="production", uid="uid-web")
    bench.observed.stateful_set = StatefulSet(metadata=metadata, status=StatefulSetStatus(update_revision=IN_FORCE))
    return bench


async def test_an_unhealthy_pod_of_an_earlier_template_is_deleted_before_the_cause_is_looked_for() -> None:
    bench = stuck(of("web-0", GOOD, ready=True), of("web-1", FIRST_BAD, ready=False))
    bench.at(60, lambda: bench.observed.show(pods=(bench.found[0], of("web-1", IN_FORCE, ready=False))))
    await bench.drive()
    assert [each.split()[:4] for each in bench.effects] == [["kubectl", "delete", "pod", "web-1"]]
    first = next(moment for moment, text in bench.prober.looked if text.startswith("kintsugi diagnose"))
    assert first >= 60, "it has looked before the template in force has shown what it is"


async def test_a_pod_of_the_template_in_force_is_not_deleted_before_the_cause_is_known() -> None:
    bench = stuck(of("web-0", GOOD, ready=True), of("web-1", IN_FORCE, ready=False))
    await bench.drive()
    assert bench.effects == []
