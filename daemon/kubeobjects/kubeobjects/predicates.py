"""
Facts about kept objects: an object in, a value out; no clock, no I/O.

They replace misleading comparisons. `phase == "Running"` is true of a crash loop: `status_of` returns kubectl's STATUS
column. `!ready(pod)` is true of a pod of which nothing is known: `unhealthy` needs positive evidence.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from kubeobjects.cluster import Node
from kubeobjects.metadata import Condition, Object, OwnerReference
from kubeobjects.network import KubeService
from kubeobjects.pods import Container, ContainerStateTerminated, ContainerStatus, Pod

# A pod that was never ready counts as unhealthy only after this, or after what its probes allow if that is longer.
START_UP_ALLOWANCE = timedelta(minutes=2)
# A container that has restarted so often, lately, and is not ready, is in a crash loop between two of its crashes.
CRASH_LOOP_RESTARTS = 3
CRASH_LOOP_WINDOW = timedelta(minutes=10)
# Without a readiness probe a container is ready as soon as it runs: it is over its crashes once it has run for longer than before
# the last one, by this slack, or for a minute.
CRASH_LOOP_SLACK, LONGEST_DOUBT = timedelta(seconds=10), timedelta(minutes=1)

_LONGEST_START_UP = 10**9

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)


def condition_of(conditions: Sequence[Condition], kind: str) -> Condition | None:
    """Find the condition of one type, or None when it was never reported."""
    for condition in conditions:  # each view asks each of its pods: a generator costs more than the comparisons
        if condition.type == kind:
            return condition
    return None


def ready(target: Pod | Node) -> bool:
    """Return whether a pod or node is known to be ready; False of one whose condition is absent or Unknown."""
    condition = condition_of(target.status.conditions, "Ready")
    return condition is not None and condition.status == "True"


def ready_since(pod: Pod) -> datetime | None:
    """Return since when a pod is ready, None where it is not, or does not say so."""
    condition = condition_of(pod.status.conditions, "Ready")
    return condition.last_transition_time if condition is not None and condition.status == "True" else None


def serves(pod: Pod) -> bool:
    """Return whether a pod can serve: ready, and not on its way out."""
    return ready(pod) and pod.metadata.deletion_timestamp is None


def stopped_reporting(node: Node) -> bool:
    """Return whether a node does not report: its lease has run out (Unknown), or its kubelet has never reported."""
    condition = condition_of(node.status.conditions, "Ready")
    return condition is None or condition.status not in ("True", "False")


def has_recovered(node: Node, now: datetime, within: timedelta) -> bool:
    """
    Return whether a node became ready less than `within` ago, and not for the first time since it is there.

    What is said of its pods is from before: the cluster counts them as not ready until its kubelet has asked all of them.
    """
    condition, created = condition_of(node.status.conditions, "Ready"), node.metadata.creation_timestamp
    if condition is None or condition.status != "True" or condition.last_transition_time is None or created is None:
        return False
    return condition.last_transition_time - created > within and now - condition.last_transition_time < within


def terminating(target: Object) -> bool:
    """Return whether the object is being deleted."""
    return target.metadata.deletion_timestamp is not None


def finished(pod: Pod) -> bool:
    """Return whether the pod has run to its end, well or not: it will never run again."""
    return pod.status.phase in ("Succeeded", "Failed")


def crash_looping(pod: Pod, now: datetime | None = None) -> bool:
    """
    Return whether a container crashes again and again.

    Either the kubelet holds it back (CrashLoopBackOff), or it has just ended after three restarts or more, or, where
    `now` is given, it runs after three restarts or more of which the last was within ten minutes, unready, or for no longer than it
    ran before that.
    """
    endless = pod.spec.restart_policy == "Always"
    return any(_crashes(status, now, endless=endless) for status in pod.status.container_statuses) or any(
        _crashes(status, now, endless=False) for status in pod.status.init_container_statuses
    )


def unschedulable(pod: Pod) -> bool:
    """Return whether the scheduler finds no node for the pod."""
    condition = condition_of(pod.status.conditions, "PodScheduled")
    return condition is not None and condition.status == "False" and condition.reason == "Unschedulable"


def image_failing(pod: Pod) -> bool:
    """Return whether an image of the pod cannot be had."""
    return any(status.state.waiting and status.state.waiting.reason in IMAGE_REASONS for status in _statuses(pod))


def unhealthy(pod: Pod, now: datetime, start_up: timedelta = START_UP_ALLOWANCE) -> bool:
    """
    Return whether the pod is known to be unwell: in a crash loop, or not ready although it should be by now.

    Terminating and finished pods are not, nor is a pod whose readiness is not known. One that was ready since its
    containers started, and no longer is, counts at once (a rule's `for` gives it time); one that was not yet ready
    counts after `start_up`, or after what its start-up and readiness probes allow if that is longer.
    """
    if terminating(pod) or finished(pod):
        return False
    if crash_looping(pod, now):
        return True
    condition = condition_of(pod.status.conditions, "Ready")
    if condition is None or condition.status != "False":
        return False
    return _past_start_up(pod, condition, now, start_up)


def restarts(pod: Pod) -> int:
    """Return kubectl's RESTARTS column: of the init containers while they run, then of containers and sidecars."""
    if _initializing(pod) is not None and not _initialized(pod):
        return sum(status.restart_count for status in pod.status.init_container_statuses)
    sidecars = _sidecars(pod)
    counted = [status for status in pod.status.init_container_statuses if status.name in sidecars]
    return sum(status.restart_count for status in (*counted, *pod.status.container_statuses))


def status_of(pod: Pod) -> str:
    """
    Return kubectl's STATUS column: "Running", "CrashLoopBackOff", "Init:0/1", "Completed", "Terminating", …

    The rules are those of kubectl's server-side printer (printPod in k8s.io/kubernetes, printers.go).
    """
    reason = pod.status.reason or pod.status.phase
    scheduled = condition_of(pod.status.conditions, "PodScheduled")
    if scheduled is not None and scheduled.reason == "SchedulingGated":
        reason = "SchedulingGated"
    initializing = _initializing(pod)
    if initializing is not None:
        reason = initializing
    if initializing is None or _initialized(pod):
        reason = _reason_of_containers(pod, reason)
    if terminating(pod) and pod.status.reason == "NodeLost":
        return "Unknown"
    if terminating(pod) and not finished(pod):
        return "Terminating"
    return reason


def load_balancer_address(service: KubeService) -> str:
    """Return the first address or host name at which a load balancer takes traffic in, or "" without one."""
    for point in service.status.load_balancer.ingress:
        if point.ip or point.hostname:
            return point.ip or point.hostname
    return ""


def template_hash(pod: Object) -> str:
    """Return the label by which a pod's controller identifies its template, "" where it has none."""
    labels = pod.metadata.labels
    return labels.get("pod-template-hash") or labels.get("controller-revision-hash", "")


def controller_of(target: Object) -> OwnerReference | None:
    """
    Return the controller that creates and recreates the object, None for an object that no controller would recreate.
    """
    for owner in target.metadata.owner_references:
        if owner.controller:
            return owner
    return None


def claim_names(pod: Pod) -> tuple[str, ...]:
    """Return the names of the PersistentVolumeClaims that the pod mounts."""
    claims = (volume.persistent_volume_claim for volume in pod.spec.volumes)
    return tuple(claim.claim_name for claim in claims if claim is not None)


def _statuses(pod: Pod) -> Iterator[ContainerStatus]:
    yield from pod.status.container_statuses
    yield from pod.status.init_container_statuses


def _crashes(status: ContainerStatus, now: datetime | None, *, endless: bool) -> bool:
    """Judge one container; an `endless` one is not meant to end, with whatever exit code."""
    state = status.state
    if state.waiting is not None and state.waiting.reason == "CrashLoopBackOff":
        return True
    if status.restart_count < CRASH_LOOP_RESTARTS:
        return False
    if state.terminated is not None:
        return endless or state.terminated.exit_code != 0
    last = status.last_state.terminated
    if now is None or last is None or last.finished_at is None or now - last.finished_at > CRASH_LOOP_WINDOW:
        return False
    return not status.ready or _may_end_as_before(status, last, now, LONGEST_DOUBT)


def between_ends(status: ContainerStatus, now: datetime) -> bool:
    """Return whether a container that ended soon after its start has not run for longer since: it may end so again."""
    last = status.last_state.terminated
    if last is None or last.started_at is None or last.finished_at is None:
        return False
    return last.finished_at - last.started_at < CRASH_LOOP_WINDOW and _may_end_as_before(status, last, now, None)


def _may_end_as_before(
    status: ContainerStatus, last: ContainerStateTerminated, now: datetime, within: timedelta | None
) -> bool:
    """Return whether a container has run for no longer than it did before its last end, by `within` at most."""
    began = status.state.running.started_at if status.state.running is not None else None
    if began is None or last.started_at is None or last.finished_at is None:
        return False
    before = last.finished_at - last.started_at + CRASH_LOOP_SLACK
    return now - began < (before if within is None else min(before, within))


def _past_start_up(pod: Pod, not_ready: Condition, now: datetime, start_up: timedelta) -> bool:
    starts = [s.state.running.started_at for s in pod.status.container_statuses if s.state.running]
    started = max((start for start in starts if start is not None), default=None)
    fell = not_ready.last_transition_time
    # The kubelet reports Ready=False before it starts containers: a later transition means that it was ready between.
    if started is not None and fell is not None and fell > started:
        return True
    since = started or fell or pod.status.start_time
    return since is not None and now - since >= max(start_up, _allowed_by_probes(pod.spec.containers))


def _allowed_by_probes(containers: Sequence[Container]) -> timedelta:
    return max((_allowed_by(container) for container in containers), default=timedelta())


def _allowed_by(container: Container) -> timedelta:
    """Return the longest time from start to ready that the probes permit; afterwards the kubelet has given its verdict."""
    startup, readiness = container.startup_probe, container.readiness_probe
    seconds = startup.initial_delay_seconds + startup.period_seconds * startup.failure_threshold if startup else 0
    if readiness is not None:
        seconds += readiness.initial_delay_seconds + readiness.period_seconds * readiness.success_threshold
    # The API takes 2^31 for each, and their product is more than a duration can hold.
    return timedelta(seconds=min(seconds, _LONGEST_START_UP))


def _initializing(pod: Pod) -> str | None:
    """Return the STATUS of a pod whose init containers have not all done their part, or None when they have."""
    sidecars = _sidecars(pod)
    for index, status in enumerate(pod.status.init_container_statuses):
        state = status.state
        if state.terminated is not None and state.terminated.exit_code == 0:
            continue
        if status.name in sidecars and status.started:
            continue
        if state.terminated is not None:
            return f"Init:{_ending(state.terminated)}"
        if state.waiting is not None and state.waiting.reason not in ("", "PodInitializing"):
            return f"Init:{state.waiting.reason}"
        return f"Init:{index}/{len(pod.spec.init_containers)}"
    return None


def _reason_of_containers(pod: Pod, reason: str) -> str:
    runs = False
    for status in reversed(pod.status.container_statuses):
        if status.state.waiting is not None and status.state.waiting.reason:
            reason = status.state.waiting.reason
        elif status.state.terminated is not None:
            reason = _ending(status.state.terminated)
        elif status.ready and status.state.running is not None:
            runs = True
    if reason == "Completed" and runs:
        return "Running" if ready(pod) else "NotReady"
    return reason


def _ending(terminated: ContainerStateTerminated) -> str:
    if terminated.reason:
        return terminated.reason
    return f"Signal:{terminated.signal}" if terminated.signal else f"ExitCode:{terminated.exit_code}"


def _initialized(pod: Pod) -> bool:
    condition = condition_of(pod.status.conditions, "Initialized")
    return condition is not None and condition.status == "True"


def _sidecars(pod: Pod) -> frozenset[str]:
    return frozenset(c.name for c in pod.spec.init_containers if c.restart_policy == "Always")
