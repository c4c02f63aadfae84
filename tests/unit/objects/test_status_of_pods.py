"""kubectl's STATUS and RESTARTS columns, case by case as kubectl's printer decides them."""

from collections.abc import Sequence

import msgspec
import pytest

from kubeobjects.metadata import Condition
from kubeobjects.pods import Container, ContainerState, ContainerStateRunning, ContainerStatus, Pod
from kubeobjects.predicates import restarts, status_of
from tests.unit.objects.pods import NOW, ended, pod, running, waiting

INITIALIZED = Condition(type="Initialized", status="True")


def deleted(target: Pod, reason: str = "") -> Pod:
    """Make the pod one that is being deleted."""
    metadata = msgspec.structs.replace(target.metadata, deletion_timestamp=NOW)
    return msgspec.structs.replace(
        target, metadata=metadata, status=msgspec.structs.replace(target.status, reason=reason)
    )


def sidecar(*, started: bool, restart_count: int = 0) -> ContainerStatus:
    """Make the status of an init container that keeps running."""
    state = ContainerState(running=ContainerStateRunning(started_at=NOW))
    return ContainerStatus(name="init-0", ready=True, started=started, restart_count=restart_count, state=state)


def with_sidecar(target: Pod) -> Pod:
    """Let the first init container be a sidecar."""
    first, *rest = target.spec.init_containers
    marked = Container(name=first.name, restart_policy="Always")
    return msgspec.structs.replace(target, spec=msgspec.structs.replace(target.spec, init_containers=(marked, *rest)))


STATUSES: Sequence[tuple[Pod, str]] = (
    (pod(running()), "Running"),
    (pod(phase="Pending", ready=""), "Pending"),
    (pod(waiting("ContainerCreating"), phase="Pending", ready="False"), "ContainerCreating"),
    (pod(waiting("CrashLoopBackOff"), ready="False"), "CrashLoopBackOff"),
    (pod(waiting("ImagePullBackOff"), phase="Pending", ready="False"), "ImagePullBackOff"),
    (pod(ended(1, "Error"), ready="False"), "Error"),
    (pod(ended(137, "OOMKilled"), ready="False"), "OOMKilled"),
    (pod(ended(3), ready="False"), "ExitCode:3"),
    (pod(ended(137, signal=9), ready="False"), "Signal:9"),
    (pod(ended(0, "Completed"), phase="Succeeded", ready="False"), "Completed"),
    (pod(ended(0, "Completed"), running()), "Running"),
    (pod(ended(0, "Completed"), running(), ready="False"), "NotReady"),
    (pod(waiting("CrashLoopBackOff"), running(), ready="False"), "CrashLoopBackOff"),
    (pod(ended(1, "Error"), waiting("CrashLoopBackOff"), ready="False"), "Error"),
    (
        pod(
            phase="Pending",
            ready="",
            more=(Condition(type="PodScheduled", status="False", reason="SchedulingGated"),),
        ),
        "SchedulingGated",
    ),
    (pod(waiting("PodInitializing"), init=(running(), waiting("PodInitializing")), ready="False"), "Init:0/2"),
    (pod(waiting("PodInitializing"), init=(ended(), running()), ready="False"), "Init:1/2"),
    (pod(waiting("PodInitializing"), init=(ended(1, "Error"),), ready="False"), "Init:Error"),
    (pod(waiting("PodInitializing"), init=(ended(2),), ready="False"), "Init:ExitCode:2"),
    (pod(waiting("PodInitializing"), init=(waiting("CrashLoopBackOff"),), ready="False"), "Init:CrashLoopBackOff"),
    (pod(running(), init=(ended(), ended())), "Running"),
    (pod(running(), init=(ended(1, "Error"),), more=(INITIALIZED,)), "Init:Error"),
    (
        pod(waiting("CrashLoopBackOff"), init=(ended(1, "Error"),), more=(INITIALIZED,), ready="False"),
        "CrashLoopBackOff",
    ),
    (with_sidecar(pod(running(), init=(sidecar(started=True),))), "Running"),
    (with_sidecar(pod(waiting("PodInitializing"), init=(sidecar(started=False),), ready="False")), "Init:0/1"),
    (deleted(pod(running())), "Terminating"),
    (deleted(pod(running()), "NodeLost"), "Unknown"),
    (deleted(pod(ended(0, "Completed"), phase="Succeeded", ready="False")), "Completed"),
    (pod(phase="Failed", ready=""), "Failed"),
)


@pytest.mark.parametrize(("target", "expected"), STATUSES)
def test_the_status_column_is_kubectls(target: Pod, expected: str) -> None:
    """`phase == "Running"` is true of a crash loop; this is not."""
    assert status_of(target) == expected


def test_an_evicted_pod_shows_its_reason() -> None:
    """The pod's own reason comes before its phase."""
    evicted = pod(phase="Failed", ready="")
    status = msgspec.structs.replace(evicted.status, reason="Evicted")
    assert status_of(msgspec.structs.replace(evicted, status=status)) == "Evicted"


RESTARTS: Sequence[tuple[Pod, int]] = (
    (pod(running(restarts=2), waiting("CrashLoopBackOff", 5), ready="False"), 7),
    (pod(waiting("PodInitializing"), init=(waiting("CrashLoopBackOff", 4),), ready="False"), 4),
    (pod(running(restarts=1), init=(ended(restarts=4),)), 1),
    (with_sidecar(pod(running(restarts=1), init=(sidecar(started=True, restart_count=2),))), 3),
    (pod(phase="Pending", ready=""), 0),
)


@pytest.mark.parametrize(("target", "expected"), RESTARTS)
def test_the_restarts_column_is_kubectls(target: Pod, expected: int) -> None:
    """Init containers count while they run, sidecars always."""
    assert restarts(target) == expected
