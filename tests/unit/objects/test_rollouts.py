"""Whether a rollout is complete, by the rules of `kubectl rollout status`."""

import pytest

from kubeobjects.kept import Condition, DaemonSet, Deployment, Metadata, StatefulSet
from kubeobjects.rollouts import COMPLETE, TIMED_OUT, in_progress, unsettled
from kubeobjects.workloads import (
    DaemonSetSpec,
    DaemonSetStatus,
    DaemonSetStrategy,
    DeploymentSpec,
    DeploymentStatus,
    RollingUpdate,
    StatefulSetSpec,
    StatefulSetStatus,
    StatefulSetStrategy,
)


def deployment(
    *, replicas: int = 2, updated: int = 2, available: int = 2, reason: str = COMPLETE, seen: int = 4
) -> Deployment:
    """Return a Deployment of two pods, changed four times."""
    conditions = (Condition(type="Progressing", status="True", reason=reason),) if reason else ()
    status = DeploymentStatus(
        observed_generation=seen,
        replicas=replicas,
        updated_replicas=updated,
        available_replicas=available,
        conditions=conditions,
    )
    return Deployment(metadata=Metadata(generation=4), spec=DeploymentSpec(replicas=2), status=status)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (deployment(), ""),
        (deployment(available=1), ""),
        (deployment(available=0, reason="ReplicaSetUpdated"), "0 of 2 new pods are available"),
        (deployment(available=1, reason=""), "1 of 2 new pods are available"),
        (deployment(reason=""), ""),
        (deployment(replicas=3, updated=1, reason="ReplicaSetUpdated"), "1 of 2 pods are of the new template"),
        (deployment(replicas=2, updated=0), "0 of 2 pods are of the new template"),
        (deployment(replicas=3), "1 pods of an old template are still there"),
        (
            deployment(replicas=3, updated=1, reason=TIMED_OUT),
            "1 of 2 pods are of the new template, and its progress deadline is over",
        ),
        (deployment(seen=3), "its controller has not seen the last change yet"),
    ],
)
def test_a_deployment(given: Deployment, why: str) -> None:
    """A pod that fails after its rollout was complete makes no rollout incomplete: Progressing says so to the end."""
    assert unsettled(given) == why


@pytest.mark.parametrize(
    ("updated", "partition", "strategy", "why"),
    [
        (3, 0, "RollingUpdate", ""),
        (1, 0, "RollingUpdate", "1 of 3 pods are of the new template"),
        (1, 2, "RollingUpdate", ""),
        (0, 2, "RollingUpdate", "0 of 1 pods are of the new template"),
        (0, 5, "RollingUpdate", ""),
        (0, 0, "OnDelete", ""),
    ],
)
def test_a_stateful_set(updated: int, partition: int, strategy: str, why: str) -> None:
    update = StatefulSetStrategy(type=strategy, rolling_update=RollingUpdate(partition=partition))
    spec = StatefulSetSpec(replicas=3, update_strategy=update)
    status = StatefulSetStatus(replicas=3, updated_replicas=updated, ready_replicas=3)
    assert unsettled(StatefulSet(spec=spec, status=status)) == why


@pytest.mark.parametrize(
    ("updated", "strategy", "why"),
    [
        (3, "RollingUpdate", ""),
        (1, "RollingUpdate", "1 of 3 pods are of the new template"),
        (1, "OnDelete", ""),
    ],
)
def test_a_daemon_set(updated: int, strategy: str, why: str) -> None:
    spec = DaemonSetSpec(update_strategy=DaemonSetStrategy(type=strategy))
    status = DaemonSetStatus(desired_number_scheduled=3, updated_number_scheduled=updated)
    assert unsettled(DaemonSet(spec=spec, status=status)) == why


@pytest.mark.parametrize(
    ("current", "seen", "expected"),
    [("web-1", 2, False), ("web-0", 2, True), ("web-1", 1, True)],
    ids=["a pod ends for minutes", "a new template", "just asked for"],
)
def test_a_stateful_set_that_only_lacks_a_pod_is_not_being_rolled_out(current: str, seen: int, expected: bool) -> None:
    """A rollout beside serving pods is Kubernetes' own work; a pod that does not come is a problem of the service."""
    status = StatefulSetStatus(
        observed_generation=seen, updated_replicas=2, current_revision=current, update_revision="web-1"
    )
    workload = StatefulSet(metadata=Metadata(generation=2), spec=StatefulSetSpec(replicas=3), status=status)
    assert in_progress(workload) is expected
