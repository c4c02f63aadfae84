"""
The status that a kubelet writes into a pod, from the state of its containers and the resources that it has allocated to them.

Its decision on a change of resources is that of pkg/kubelet/allocation.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from kubeobjects.quantities import quantity, whole
from kubesim.kubelet.containers import Container, Exit, Phase
from kubesim.manifest import (
    Json,
    condition,
    condition_entry,
    containers_of,
    copy,
    dig,
    name_of,
    namespace_of,
    timestamp,
    uid_of,
    with_condition,
)

PENDING: Final = "PodResizePending"

WAITING: Final = frozenset(Phase) - {Phase.RUNNING, Phase.EXITED}


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingResize:
    """
    The reason for which changed resources of a pod are not applied: never (`Infeasible`), or not now (`Deferred`).
    """

    reason: str
    message: str


def resources_of(pod: Json) -> Mapping[str, Json]:
    """Return what each container of a pod is to have."""
    return {each["name"]: each.get("resources") or {} for each in containers_of(pod)}


def with_allocated(pod: Json, allocated: Mapping[str, Json]) -> Json:
    """Return a pod whose containers have what they were given, itself where that is what is asked for."""
    if resources_of(pod) == allocated:
        return pod
    found = copy(pod)
    for container in containers_of(found):
        container["resources"] = allocated.get(container["name"], {})
    return found


def refusal(pod: Json, node: Json, others: Iterable[Json]) -> PendingResize | None:
    """Return why a node does not give a pod what it asks for; `others` are the pods on it besides."""
    capacity = whole(quantity(dig(node, "status", "allocatable", "memory")))
    wanted, used = _memory_asked(pod), sum(map(_memory_asked, others))
    if wanted > capacity:
        said = f"memory, requested: {wanted}, capacity: {capacity}"
        return PendingResize(reason="Infeasible", message=f"Node didn't have enough capacity: {said}")
    if wanted + used > capacity:
        said = f"memory, requested: {wanted}, used: {used}, capacity: {capacity}"
        return PendingResize(reason="Deferred", message=f"Node didn't have enough resource: {said}")
    return None


def _memory_asked(pod: Json) -> int:
    """Return the memory in bytes that a pod's containers ask for."""
    asked = (quantity(dig(each, "resources", "requests", "memory")) for each in pod["spec"]["containers"])
    return whole(sum(asked, start=Decimal(0)))


def pod_status(
    pod: Json, containers: Sequence[Container], address: tuple[str, str], now: datetime, pending: PendingResize | None
) -> Json:
    """
    Write a pod's status; what it was before gives the transition times.

    `address` are the node's and the pod's; `pending` is why changed resources are not taken.
    """
    host, pod_ip = address
    old = pod.get("status") or {}
    started = any(each.instance for each in containers)
    status: Json = {**old, "phase": _phase(containers), "hostIP": host, "hostIPs": [{"ip": host}]}
    status["startTime"] = old.get("startTime") or timestamp(now)
    if started:
        status |= {"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]}
    status["observedGeneration"] = pod["metadata"].get("generation", 1)
    first = [container_status(pod, each) for each in containers if each.initialises]
    status |= {"initContainerStatuses": first} if first else {}
    status["containerStatuses"] = [container_status(pod, each) for each in containers if not each.initialises]
    conditions = _conditions(pod, containers, now)
    status["conditions"] = conditions if pending is None else with_condition(conditions, _of_resize(pod, pending, now))
    return status


def container_status(pod: Json, container: Container) -> Json:
    """Write one entry of `containerStatuses`, or of those of what initialises the pod."""
    spec = next(each for each in containers_of(pod) if each["name"] == container.name)
    image, resources = spec["image"], spec.get("resources") or {}
    identity = _identity(pod, container, container.instance)
    status: Json = {
        "name": container.name,
        "image": image,
        "imageID": "",
        "ready": container.ready or (container.initialises and container.lets_on),
    }
    status |= {"restartCount": container.restarts, "started": container.phase is Phase.RUNNING}
    status |= {"state": _state(pod, container, image, identity), "lastState": _last_state(pod, container)}
    if container.instance:
        status |= {"containerID": identity, "image": full_name(image), "imageID": f"sha256:{_digest(image)}"}
        status["resources"] = resources
    return status


def waiting_message(pod: Json, container: Container, image: str) -> str:
    """Explain why a container waits, as the kubelet does."""
    match container.phase:
        case Phase.PULL_FAILED:
            return f'failed to pull and unpack image "{image}": not found'
        case Phase.PULL_BACK_OFF:
            return f'Back-off pulling image "{image}"'
        case Phase.CONFIG_FAILED if container.waiting is not None:
            return container.waiting.message
        case Phase.BACK_OFF:
            seconds = int(container.back_off().total_seconds())
            text = f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"
            whose = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
            return f"back-off {text} restarting failed container={container.name} pod={whose}"
        case _:
            return ""


def full_name(image: str) -> str:
    """Write an image's name as the container runtime does, with its registry."""
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    return image if "." in first or ":" in first or first == "localhost" else f"docker.io/{image}"


def _phase(every: Sequence[Container]) -> str:
    if any(each.has_failed for each in every if each.initialises and not each.sidecar):
        return "Failed"
    containers = [each for each in every if not each.initialises]
    if all(each.phase is Phase.EXITED for each in containers):
        failed = any(each.last_exit is not None and each.last_exit.code != 0 for each in containers)
        return "Failed" if failed else "Succeeded"
    return "Running" if all(each.instance for each in containers) else "Pending"


def _state(pod: Json, container: Container, image: str, identity: str) -> Json:
    if container.phase in WAITING:
        waiting = {"reason": str(container.phase), "message": waiting_message(pod, container, image)}
        return {"waiting": {key: value for key, value in waiting.items() if value}}
    if container.phase is Phase.EXITED and container.last_exit is not None:
        return {"terminated": _terminated(container.last_exit, identity)}
    return {"running": {"startedAt": timestamp(container.started)}} if container.started else {}


def _last_state(pod: Json, container: Container) -> Json:
    if container.last_exit is None or container.phase is Phase.EXITED:
        return {}
    ended = container.instance - 1 if container.phase is Phase.RUNNING else container.instance
    return {"terminated": _terminated(container.last_exit, _identity(pod, container, ended))}


def _identity(pod: Json, container: Container, instance: int) -> str:
    return f"containerd://{_digest(f'{uid_of(pod)}/{container.name}/{instance}')}"


def _terminated(ended: Exit, identity: str) -> Json:
    said = {"message": ended.message} if ended.message else {}
    return said | {
        "exitCode": ended.code,
        "reason": ended.reason,
        "startedAt": timestamp(ended.started),
        "finishedAt": timestamp(ended.finished),
        "containerID": identity,
    }


def _conditions(pod: Json, every: Sequence[Container], now: datetime) -> list[Json]:
    containers = [each for each in every if not each.initialises]
    initialised = all(each.lets_on for each in every if each.initialises)
    finished = all(each.phase is Phase.EXITED for each in containers)
    ready = all(each.ready for each in containers)
    unready = [each.name for each in containers if not each.ready]
    why: Json = {}
    if finished:
        why = {"reason": "PodCompleted"}
    elif not ready:
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    conditions: list[Json] = [each for each in dig(pod, "status", "conditions", default=[]) if each["type"] != PENDING]
    sandboxed = any(each.instance for each in every) and not finished
    for kind, holds, reason in (
        ("PodReadyToStartContainers", sandboxed, {}),
        ("Initialized", initialised, {"reason": "PodCompleted"} if finished else {}),
        ("Ready", ready, why),
        ("ContainersReady", ready, why),
        ("PodScheduled", True, {}),
    ):
        conditions = with_condition(conditions, condition_entry(pod, kind, now, holds=holds) | reason)
    return conditions


def _of_resize(pod: Json, pending: PendingResize, now: datetime) -> Json:
    entry = condition_entry(pod, PENDING, now, holds=True)
    known = condition(pod, PENDING)
    since = {"lastTransitionTime": known["lastTransitionTime"]} if known is not None else {}
    return entry | since | {"reason": pending.reason, "message": pending.message}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
