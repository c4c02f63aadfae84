"""
Decides whether a workload's rollout is complete: a kept object in, a sentence out; no clock, no I/O.

The rules are those of `kubectl rollout status` (k8s.io/kubectl, rollout_status.go), but for pods that fail after their
rollout has come to its end: they belong to health, not to the rollout.
"""

from collections.abc import Iterable

from kubeobjects.pods import Pod
from kubeobjects.predicates import condition_of, crash_looping
from kubeobjects.starting import known_failure
from kubeobjects.workloads import DaemonSet, Deployment, StatefulSet, StatefulSetStatus

COMPLETE = "NewReplicaSetAvailable"
"""Reason of a Deployment's condition Progressing from the end of a rollout on, whatever becomes of its pods."""

TIMED_OUT = "ProgressDeadlineExceeded"

_STUCK = {"Progressing": ("False", TIMED_OUT), "ReplicaFailure": ("True", "FailedCreate")}
"""Conditions of a Deployment whose rollout does not get on."""

ON_DELETE = "OnDelete"
"""Strategy by which only a person replaces pods: there is no rollout that could be incomplete."""


def unsettled(workload: Deployment | StatefulSet | DaemonSet) -> str:
    """Return why the rollout of a workload is not complete, as a clause; "" when it is."""
    if workload.status.observed_generation < workload.metadata.generation:
        return "its controller has not seen the last change yet"
    match workload:
        case Deployment():
            return _of_deployment(workload)
        case StatefulSet():
            return _of_stateful_set(workload)
        case DaemonSet():
            return _of_daemon_set(workload)


def in_progress(workload: Deployment | StatefulSet | DaemonSet) -> bool:
    """
    Return whether a template is being rolled out, or one was just asked for.

    A StatefulSet whose pods are all to be of one template only lacks pods: one that ends for minutes is no rollout.
    """
    found, status = unsettled(workload), workload.status
    if found and isinstance(status, StatefulSetStatus) and status.observed_generation >= workload.metadata.generation:
        return not status.update_revision or status.update_revision != status.current_revision
    return found != ""


def stuck(workload: Deployment | StatefulSet | DaemonSet, pods: Iterable[Pod]) -> bool:
    """
    Return whether a rollout does not get on: its deadline is over, no pod can be made, or one of its own pods fails to start.

    `pods` are those of the new template. A rollout that is paused is not stuck.
    """
    if not unsettled(workload) or (isinstance(workload, Deployment) and workload.spec.paused):
        return False
    if any(
        each.type in _STUCK and (each.status, each.reason) == _STUCK[each.type] for each in workload.status.conditions
    ):
        return True
    return any(known_failure(pod) or crash_looping(pod) for pod in pods)


def _of_deployment(deployment: Deployment) -> str:
    wanted, status = deployment.spec.replicas, deployment.status
    progressing = condition_of(status.conditions, "Progressing")
    reason = progressing.reason if progressing is not None else ""
    late = ", and its progress deadline is over" if reason == TIMED_OUT else ""
    if status.updated_replicas < wanted:
        return f"{status.updated_replicas} of {wanted} pods are of the new template{late}"
    if status.replicas > status.updated_replicas:
        return f"{status.replicas - status.updated_replicas} pods of an old template are still there{late}"
    if status.available_replicas < wanted and reason != COMPLETE:
        return f"{status.available_replicas} of {wanted} new pods are available{late}"
    return ""


def _of_stateful_set(workload: StatefulSet) -> str:
    strategy = workload.spec.update_strategy
    if strategy.type == ON_DELETE:
        return ""
    wanted = max(workload.spec.replicas - strategy.rolling_update.partition, 0)
    updated = workload.status.updated_replicas
    return f"{updated} of {wanted} pods are of the new template" if updated < wanted else ""


def _of_daemon_set(workload: DaemonSet) -> str:
    if workload.spec.update_strategy.type == ON_DELETE:
        return ""
    wanted, updated = workload.status.desired_number_scheduled, workload.status.updated_number_scheduled
    return f"{updated} of {wanted} pods are of the new template" if updated < wanted else ""
