"""What counts as unhealthy, by positive evidence only; and kubectl's STATUS and RESTARTS columns, as its printer decides them."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeobjects.metadata import Condition, Metadata, OwnerReference
from kubeobjects.network import IngressPoint, KubeService, LoadBalancer, ServiceStatus
from kubeobjects.pods import (
    ClaimVolume,
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStatus,
    Pod,
    Probe,
    Volume,
)
from kubeobjects.predicates import (
    claim_names,
    controller_of,
    crash_looping,
    image_failing,
    load_balancer_address,
    restarts,
    status_of,
    unhealthy,
    unschedulable,
)
from tests.unit.objects.pods import NOW, ended, pod, running, waiting

SLOW_START = Probe(initial_delay_seconds=60, period_seconds=10, failure_threshold=54)  # ten minutes


def probed(target: Pod, *, startup: Probe | None = None, readiness: Probe | None = None) -> Pod:
    """Return the pod's container probes."""
    container = Container(name="main", startup_probe=startup, readiness_probe=readiness)
    return msgspec.structs.replace(target, spec=msgspec.structs.replace(target.spec, containers=(container,)))


ILL = [
    pytest.param(pod(waiting("CrashLoopBackOff", 5), ready="False"), id="crash loop"),
    pytest.param(pod(waiting("CrashLoopBackOff"), running(), ready="False"), id="one container in a crash loop"),
    pytest.param(pod(init=(waiting("CrashLoopBackOff", 4),), ready="False", changed=1), id="init in a crash loop"),
    pytest.param(pod(running(since=0.2, ready=False, restarts=4, crashed=0.3), ready="False"), id="between crashes"),
    pytest.param(
        pod(running(since=0.02, restarts=4, crashed=0.3, lived=0.02)), id="ready for a moment between crashes"
    ),
    pytest.param(pod(running(since=0.5, restarts=4, crashed=0.7, lived=0.4)), id="ready as long as before a crash"),
    pytest.param(pod(ended(1, "Error", restarts=3), ready="False", changed=0.1), id="just crashed again"),
    pytest.param(pod(running(since=60, ready=False), ready="False", changed=1), id="was ready, is no longer"),
    pytest.param(pod(running(since=3, ready=False), ready="False", changed=3), id="never ready, past its start-up"),
    pytest.param(pod(waiting("CreateContainerConfigError"), ready="False", changed=5), id="cannot be made"),
]
NOT_ILL = [
    pytest.param(pod(running()), id="ready"),
    pytest.param(pod(running(since=1, ready=False), ready="False", changed=1), id="starting"),
    pytest.param(pod(waiting("ContainerCreating"), ready="False", changed=0.5), id="being made"),
    pytest.param(pod(phase="Pending", ready=""), id="readiness not known"),
    pytest.param(pod(running(), ready="Unknown", changed=30), id="node not heard"),
    pytest.param(pod(ended(1, "Error"), phase="Failed", ready="False"), id="failed for good"),
    pytest.param(pod(ended(0, "Completed"), phase="Succeeded", ready="False"), id="done"),
    pytest.param(
        pod(running(since=1, ready=False, restarts=1, crashed=1.1), ready="False", changed=1.1), id="one restart"
    ),
    pytest.param(pod(running(since=600, ready=True, restarts=40, crashed=5)), id="crashed often, is ready"),
    pytest.param(pod(running(since=0.3, restarts=4, crashed=0.5, lived=0.02)), id="ready for longer than before"),
    pytest.param(pod(running(since=1.1, restarts=4, crashed=1.2, lived=30)), id="ready for a minute"),
]


@pytest.mark.parametrize("target", ILL)
def test_a_pod_is_unhealthy_on_evidence(target: Pod) -> None:
    """A crash loop, or a known Ready=False past the start-up; B18: one that is terminating is on its way out already."""
    assert unhealthy(target, NOW)
    assert not unhealthy(deleted(target), NOW)


@pytest.mark.parametrize("target", NOT_ILL)
def test_a_pod_is_not_unhealthy_for_lack_of_evidence(target: Pod) -> None:
    """P6: what is not known, finished or still starting is left alone."""
    assert not unhealthy(target, NOW)


def test_start_up_lasts_as_long_as_the_probes_allow() -> None:
    """A database that may start for ten minutes is not deleted after two."""
    starting = pod(running(since=9, ready=False), ready="False", changed=9)
    assert unhealthy(starting, NOW)
    assert not unhealthy(probed(starting, startup=SLOW_START), NOW)
    assert not unhealthy(probed(starting, readiness=Probe(initial_delay_seconds=540)), NOW)
    assert unhealthy(probed(starting, startup=SLOW_START), NOW + timedelta(minutes=2))


def test_an_old_crash_is_no_loop() -> None:
    """Ten minutes after its last crash a container that is not ready has another trouble."""
    recovered = pod(running(since=30, ready=False, restarts=9, crashed=30.1), ready="False")
    assert not crash_looping(recovered, NOW)
    assert crash_looping(pod(running(since=1, ready=False, restarts=3, crashed=1.1), ready="False"), NOW)


def test_a_container_that_ends_well_but_should_not_end_is_in_a_loop() -> None:
    """With restartPolicy Always a zero exit code is a crash, too; a job's is not."""
    finished = pod(ended(0, "Completed", restarts=3), ready="False")
    assert crash_looping(finished)
    job = msgspec.structs.replace(finished.spec, restart_policy="OnFailure")
    assert not crash_looping(msgspec.structs.replace(finished, spec=job))


@given(st.integers(0, 5), st.booleans(), st.floats(0.1, 100), st.sampled_from(["True", "False", "Unknown", ""]))
def test_a_pod_whose_readiness_is_not_known_false_is_unhealthy_only_in_a_crash_loop(
    restarts: int,
    ready_container: bool,
    minutes: float,
    condition: str,
) -> None:
    """P6: over all kinds of running pods."""
    container = running(since=minutes, ready=ready_container, restarts=restarts, crashed=minutes + 0.1)
    target = pod(container, ready=condition, changed=minutes)
    if unhealthy(target, NOW):
        assert condition == "False" or crash_looping(target, NOW)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_a_pod_without_its_image_is_known(reason: str) -> None:
    """Deleting it does not help."""
    assert image_failing(pod(waiting(reason)))
    assert image_failing(pod(init=(waiting(reason),)))
    assert not image_failing(pod(waiting("CrashLoopBackOff")))


def test_a_pod_without_a_node_is_known() -> None:
    """Only the scheduler's own word counts."""
    refused = Condition(type="PodScheduled", status="False", reason="Unschedulable")
    gated = Condition(type="PodScheduled", status="False", reason="SchedulingGated")
    assert unschedulable(pod(phase="Pending", ready="", more=(refused,)))
    assert not unschedulable(pod(phase="Pending", ready="", more=(gated,)))
    assert not unschedulable(pod(phase="Pending", ready=""))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ((), ""),
        ((IngressPoint(),), ""),
        ((IngressPoint(ip="10.0.0.1", hostname="lb.example.com"),), "10.0.0.1"),
        ((IngressPoint(), IngressPoint(hostname="lb.example.com")), "lb.example.com"),
    ],
)
def test_the_address_of_a_service_is_its_load_balancers(points: tuple[IngressPoint, ...], expected: str) -> None:
    """Empty until it is provisioned."""
    assert (
        load_balancer_address(KubeService(status=ServiceStatus(load_balancer=LoadBalancer(ingress=points)))) == expected
    )


def test_the_controller_is_the_owner_that_recreates() -> None:
    """A bare pod has none; other owners do not make it again."""
    owner = OwnerReference(kind="ConfigMap", name="c", uid="1")
    controller = OwnerReference(kind="ReplicaSet", name="web", uid="2", controller=True)
    assert controller_of(Pod(metadata=Metadata(owner_references=(owner, controller)))) == controller
    assert controller_of(Pod(metadata=Metadata(owner_references=(owner,)))) is None


def test_the_claims_of_a_pod_are_those_it_mounts() -> None:
    """Other volumes are not claims."""
    base = pod(running())
    volumes = (Volume(name="data", persistent_volume_claim=ClaimVolume(claim_name="data-db-0")), Volume(name="tmp"))
    mounted = msgspec.structs.replace(base, spec=msgspec.structs.replace(base.spec, volumes=volumes))
    assert claim_names(mounted) == ("data-db-0",)


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
