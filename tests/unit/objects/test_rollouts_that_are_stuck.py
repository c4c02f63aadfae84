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


@pytest.mark.parametrize(
    "reason", ["ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError", "CrashLoopBackOff"]
)
def test_a_new_pod_that_does_not_start_makes_its_rollout_stuck(reason: str) -> None:
    assert rolling(waiting(reason)).rollout_stuck


def test_a_new_pod_without_a_node_makes_its_rollout_stuck() -> None:
    assert rolling(unscheduled()).rollout_stuck


def test_a_new_pod_that_takes_its_time_does_not() -> None:
    assert not rolling(waiting("ContainerCreating")).rollout_stuck


def test_an_old_pod_that_fails_says_nothing_of_the_rollout() -> None:
    assert not rolling(waiting("ImagePullBackOff", OLD)).rollout_stuck


def test_a_rollout_whose_pods_cannot_be_made_or_whose_deadline_is_over_is_stuck_without_a_pod() -> None:
    late = Condition(type="Progressing", status="False", reason=TIMED_OUT)
    refused = Condition(type="ReplicaFailure", status="True", reason="FailedCreate")
    assert rolling(conditions=(late,)).rollout_stuck
    assert rolling(conditions=(refused,)).rollout_stuck
    assert not rolling().rollout_stuck


def test_a_rollout_that_is_paused_or_over_is_not_stuck() -> None:
    assert not rolling(waiting("ImagePullBackOff"), paused=True).rollout_stuck
    assert not view(pods=(waiting("ImagePullBackOff"),), template=NEW).rollout_stuck
