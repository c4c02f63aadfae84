"""
The reason for which a pod fails to start, in the words of the scheduler and the kubelet.

Pure, as `predicates` is. A pod that merely takes its time, or runs and is not ready, does not fail to start.
"""

from datetime import datetime, timedelta

from kubeobjects import predicates
from kubeobjects.pods import ContainerStateTerminated, ContainerStatus, Pod

ENDS_AT_ONCE = timedelta(seconds=30)
"""
A container that ends sooner after its start, again and again, crashes at once.

A liveness probe with the API's defaults (3 failures, 10 s apart) ends nothing sooner: the program ended by itself, while
it started.
"""

_NOT_CREATED = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
    }
)
"""The kubelet's waiting reasons for a container that cannot be made from its specification (kuberuntime's errors)."""

_NOT_RUN = frozenset({"StartError", "ContainerCannotRun"})
"""The reasons of a container runtime for a program that could not be started at all."""

_MOST = 300


def start_failure(pod: Pod, now: datetime, start_up: timedelta) -> str:
    """
    Return why the pod fails to be started, "" when nothing says that it does.

    It finds no node, an image or a container of it cannot be made, one crashes at once, or nothing of it has begun to run
    for `start_up` on its node (a volume that is not mounted, a kubelet that does not answer).
    """
    return known_failure(pod) or ("" if _is_over(pod) else _never_begun(pod, now, start_up))


def known_failure(pod: Pod) -> str:
    """Return the known reason for which the pod fails to start, "" for none; independent of the time."""
    if _is_over(pod):
        return ""
    if predicates.unschedulable(pod):
        condition = predicates.condition_of(pod.status.conditions, "PodScheduled")
        return _with_message("no node for it", condition.message if condition is not None else "")
    endless = pod.spec.restart_policy == "Always"
    failures = [
        *(_failure(status, endless=False) for status in pod.status.init_container_statuses),
        *(_failure(status, endless=endless) for status in pod.status.container_statuses),
    ]
    return next(filter(None, failures), "")


def _is_over(pod: Pod) -> bool:
    """Return whether there is nothing left to start."""
    return predicates.terminating(pod) or predicates.finished(pod) or predicates.ready(pod)


def _failure(status: ContainerStatus, *, endless: bool) -> str:
    waiting = status.state.waiting
    if waiting is not None and (waiting.reason in _NOT_CREATED or waiting.reason in predicates.IMAGE_REASONS):
        return _with_message(f"container {status.name}: {waiting.reason}", waiting.message)
    ended = status.state.terminated or status.last_state.terminated
    if ended is None or status.ready or not (endless or ended.exit_code != 0):
        return ""
    if ended.reason in _NOT_RUN:
        return _with_message(f"container {status.name}: {ended.reason}", ended.message)
    return _crash_at_once(status, ended)


def _crash_at_once(status: ContainerStatus, ended: ContainerStateTerminated) -> str:
    """Judge a container by its last run; the first one that ended may have been an accident."""
    if status.restart_count < 1 or ended.started_at is None or ended.finished_at is None:
        return ""
    lasted = ended.finished_at - ended.started_at
    if lasted >= ENDS_AT_ONCE:
        return ""
    seconds = f"{lasted.total_seconds():.0f} s"
    return f"container {status.name} ends {seconds} after its start (exit code {ended.exit_code}), again and again"


def _never_begun(pod: Pod, now: datetime, start_up: timedelta) -> str:
    """Judge a pod that has its node by how long nothing of it has begun to run."""
    scheduled = predicates.condition_of(pod.status.conditions, "PodScheduled")
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    begun = any(each.state.running or each.state.terminated or each.last_state.terminated for each in statuses)
    if begun or scheduled is None or scheduled.status != "True" or scheduled.last_transition_time is None:
        return ""
    waited = now - scheduled.last_transition_time
    if waited < start_up:
        return ""
    return f"no container of it has started on {pod.spec.node_name} for {waited.total_seconds():.0f} s"


def _with_message(what: str, message: str) -> str:
    """Join what is wrong with the cluster's own words for it, in one line of bounded length."""
    return f"{what}: {' '.join(message.split())}"[:_MOST] if message else what
