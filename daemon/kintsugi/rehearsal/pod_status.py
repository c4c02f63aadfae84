"""
The status that a kubelet writes into a pod, from the state of its containers.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from kintsugi.rehearsal.containers import Container, Exit, Phase
from kintsugi.rehearsal.manifest import Json, dig, name_of, namespace_of, timestamp, uid_of, with_condition

WAITING: Final = frozenset(Phase) - {Phase.RUNNING, Phase.EXITED}


def pod_status(pod: Json, containers: Sequence[Container], host: str, pod_ip: str, now: datetime) -> Json:
    """Write a pod's status; what it was before gives the transition times."""
    old = pod.get("status") or {}
    started = any(each.instance for each in containers)
    status: Json = {**old, "phase": _phase(containers), "hostIP": host, "hostIPs": [{"ip": host}]}
    status["startTime"] = old.get("startTime") or timestamp(now)
    if started:
        status |= {"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]}
    status["observedGeneration"] = pod["metadata"].get("generation", 1)
    status["containerStatuses"] = [container_status(pod, each) for each in containers]
    status["conditions"] = _conditions(pod, containers, now)
    return status


def container_status(pod: Json, container: Container) -> Json:
    """Write one entry of `containerStatuses`."""
    spec = next(each for each in pod["spec"]["containers"] if each["name"] == container.name)
    image, resources = spec["image"], spec.get("resources") or {}
    identity = _identity(pod, container, container.instance)
    status: Json = {"name": container.name, "image": image, "imageID": "", "ready": container.ready}
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
        case Phase.CONFIG_FAILED if container.obstacle is not None:
            return container.obstacle.message
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


def _phase(containers: Sequence[Container]) -> str:
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
        "reason": "Completed" if ended.code == 0 else "Error",
        "startedAt": timestamp(ended.started),
        "finishedAt": timestamp(ended.finished),
        "containerID": identity,
    }


def _conditions(pod: Json, containers: Sequence[Container], now: datetime) -> list[Json]:
    finished = all(each.phase is Phase.EXITED for each in containers)
    ready = all(each.ready for each in containers)
    unready = [each.name for each in containers if not each.ready]
    why: Json = {}
    if finished:
        why = {"reason": "PodCompleted"}
    elif not ready:
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    conditions: list[Json] = dig(pod, "status", "conditions", default=[])
    sandboxed = any(each.instance for each in containers) and not finished
    for kind, holds, reason in (
        ("PodReadyToStartContainers", sandboxed, {}),
        ("Initialized", True, {"reason": "PodCompleted"} if finished else {}),
        ("Ready", ready, why),
        ("ContainersReady", ready, why),
        ("PodScheduled", True, {}),
    ):
        conditions = with_condition(conditions, condition_entry(pod, kind, now, holds=holds) | reason)
    return conditions


def condition_entry(pod: Json, kind: str, now: datetime, *, holds: bool) -> Json:
    """Write a pod condition without its reason."""
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "observedGeneration": pod["metadata"].get("generation", 1),
        "lastProbeTime": None,
        "lastTransitionTime": timestamp(now),
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
