"""Whether a rollout does not get on, also beside old pods that serve: by its own pods, and by what its controller says."""

from dataclasses import replace

import pytest
from msgspec import structs

from kintsugi.model.views import ServiceView
from kubeobjects.kept import Condition, Pod
from kubeobjects.pods import ContainerState, ContainerStateWaiting, ContainerStatus, PodStatus
from kubeobjects.rollouts import TIMED_OUT
from kubeobjects.workloads import Deployment
from tests.unit.factories import deployment, pod, view, web

NEW, OLD = "7d4", "6c3"
UNSCHEDULABLE = Condition(
    type="PodScheduled", status="False", reason="Unschedulable", message="0/1 nodes are available"
)
NOT_READY = Condition(type="Ready", status="False")


def waiting(reason: str, template: str = NEW) -> Pod:
    """Return a pod whose container waits."""
    status = ContainerStatus(name="main", state=ContainerState(waiting=ContainerStateWaiting(reason=reason)))
    labels = {"app": "web", "pod-template-hash": template}
    made = pod("web-new", ready=False, labels=labels)
    return structs.replace(
        made, status=PodStatus(phase="Pending", conditions=(NOT_READY,), container_statuses=(status,))
    )


def unscheduled() -> Pod:
    """Return a pod for which no node is found; such a one has no condition Ready."""
    made = pod("web-new", ready=False, labels={"app": "web", "pod-template-hash": NEW})
    return structs.replace(made, status=PodStatus(phase="Pending", conditions=(UNSCHEDULABLE,)))


def rolling(*pods: Pod, conditions: tuple[Condition, ...] = (), paused: bool = False) -> ServiceView:
    """Return three old pods that serve, and a rollout that has made one new one."""
    workload = deployment(web(), updated=1)
    status = structs.replace(workload.status, conditions=(*workload.status.conditions, *conditions))
    spec = structs.replace(workload.spec, paused=paused)
    made = Deployment(metadata=workload.metadata, spec=spec, status=status)
    return replace(view(pods=pods, template=NEW), workload=made)


LATE = Condition(type="Progressing", status="False", reason=TIMED_OUT)
REFUSED = Condition(type="ReplicaFailure", status="True", reason="FailedCreate")
NOT_STARTING = ("ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError", "CrashLoopBackOff")
STUCK = [
    *(pytest.param(rolling(waiting(reason)), id=f"a new pod with {reason}") for reason in NOT_STARTING),
    pytest.param(rolling(unscheduled()), id="a new pod without a node"),
    pytest.param(rolling(conditions=(LATE,)), id="its deadline is over"),
    pytest.param(rolling(conditions=(REFUSED,)), id="its pods cannot be made"),
]
NOT_STUCK = [
    pytest.param(rolling(), id="no new pod yet"),
    pytest.param(rolling(waiting("ContainerCreating")), id="a new pod takes its time"),
    pytest.param(rolling(waiting("ImagePullBackOff", OLD)), id="an old pod fails"),
    pytest.param(rolling(waiting("ImagePullBackOff"), paused=True), id="paused"),
    pytest.param(view(pods=(waiting("ImagePullBackOff"),), template=NEW), id="over"),
]


@pytest.mark.parametrize("given", STUCK)
def test_a_rollout_is_stuck_by_a_new_pod_that_does_not_start_or_by_its_controller_s_word(given: ServiceView) -> None:
    assert given.rollout_stuck


@pytest.mark.parametrize("given", NOT_STUCK)
def test_a_rollout_that_may_get_on_is_not_stuck(given: ServiceView) -> None:
    assert not given.rollout_stuck
