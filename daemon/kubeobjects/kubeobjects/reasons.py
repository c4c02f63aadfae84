"""The reasons for which a pod is not ready, in the words of kubelet and scheduler. Pure, and without a clock."""

from collections.abc import Collection, Container, Iterator

from kubeobjects.pods import ContainerStateWaiting, ContainerStatus, Pod
from kubeobjects.predicates import IMAGE_REASONS, finished, terminating, unschedulable

CONFIGURATION_REASONS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreStartHookError",
        "PostStartHookError",
    }
)
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})


def own(pod: Pod) -> str:
    """Return what a pod says that is its own affair, whatever it depends on: image, configuration, no node; "" for nothing."""
    if terminating(pod) or finished(pod):
        return ""
    waiting = next((each for each in _waiting(pod) if each.reason in IMAGE_REASONS | CONFIGURATION_REASONS), None)
    if waiting is not None:
        return waiting.reason
    return "Unschedulable" if unschedulable(pod) else ""


def reason_known(pods: Collection[Pod], silent: Container[str]) -> bool:
    """
    Return whether a reason is known for which these pods are not ready, or there are no pods.

    Reasons of a pod on one of the `silent` nodes are outdated and do not count.
    """
    return not pods or any(explains_not_ready(pod) for pod in pods if pod.spec.node_name not in silent)


def explains_not_ready(pod: Pod) -> bool:
    """Return whether somebody says why a pod is not ready: a container has ended, or waits for a reason, or there is no node."""
    statuses = list(_statuses(pod))
    ended = any(each.state.terminated or each.last_state.terminated for each in statuses)
    waits = any(each.reason not in _STARTING for each in _waiting(pod))
    return ended or waits or finished(pod) or unschedulable(pod)


def _statuses(pod: Pod) -> Iterator[ContainerStatus]:
    yield from pod.status.container_statuses
    yield from pod.status.init_container_statuses


def _waiting(pod: Pod) -> Iterator[ContainerStateWaiting]:
    return (each.state.waiting for each in _statuses(pod) if each.state.waiting is not None)
