"""
The STATUS and RESTARTS columns of `kubectl get pods`.

The rules are those of kubectl's server-side printer (printPod in k8s.io/kubernetes, printers.go).
"""

from kubesim.manifest import Json, condition, deleting, dig, is_true


def status_column(pod: Json) -> str:
    """Return "Running", "CrashLoopBackOff", "Init:0/1", "Completed", "Terminating", …"""
    phase, said = dig(pod, "status", "phase", default=""), dig(pod, "status", "reason", default="")
    reason = str(said or phase)
    if dig(condition(pod, "PodScheduled"), "reason") == "SchedulingGated":
        reason = "SchedulingGated"
    initializing = _initializing(pod)
    if initializing is not None:
        reason = initializing
    if initializing is None or is_true(pod, "Initialized"):
        reason = _reason_of_containers(pod, reason)
    if deleting(pod) and said == "NodeLost":
        return "Unknown"
    if deleting(pod) and phase not in ("Succeeded", "Failed"):
        return "Terminating"
    return reason


def restarts_column(pod: Json) -> int:
    """Return the restarts of the init containers while they run, then of containers and sidecars."""
    initial = _init_statuses(pod)
    if _initializing(pod) is not None and not is_true(pod, "Initialized"):
        return sum(_restarts(status) for status in initial)
    sidecars = _sidecars(pod)
    counted = [*(status for status in initial if status["name"] in sidecars), *_statuses(pod)]
    return sum(_restarts(status) for status in counted)


def _initializing(pod: Json) -> str | None:
    """Return the STATUS of a pod whose init containers have not all done their part, or None when they have."""
    sidecars = _sidecars(pod)
    for index, status in enumerate(_init_statuses(pod)):
        terminated, waiting = dig(status, "state", "terminated"), dig(status, "state", "waiting", "reason", default="")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if status["name"] in sidecars and status.get("started"):
            continue
        if terminated is not None:
            return f"Init:{_ending(terminated)}"
        if waiting not in ("", "PodInitializing"):
            return f"Init:{waiting}"
        return f"Init:{index}/{len(dig(pod, 'spec', 'initContainers', default=[]))}"
    return None


def _reason_of_containers(pod: Json, reason: str) -> str:
    runs = False
    for status in reversed(_statuses(pod)):
        state = status.get("state") or {}
        if waiting := dig(state, "waiting", "reason", default=""):
            reason = str(waiting)
        elif "terminated" in state:
            reason = _ending(state["terminated"])
        elif status.get("ready") and "running" in state:
            runs = True
    if reason == "Completed" and runs:
        return "Running" if is_true(pod, "Ready") else "NotReady"
    return reason


def _ending(terminated: Json) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _statuses(pod: Json) -> list[Json]:
    found: list[Json] = dig(pod, "status", "containerStatuses", default=[])
    return found


def _init_statuses(pod: Json) -> list[Json]:
    found: list[Json] = dig(pod, "status", "initContainerStatuses", default=[])
    return found


def _restarts(status: Json) -> int:
    return int(status.get("restartCount") or 0)


def _sidecars(pod: Json) -> frozenset[str]:
    specs = dig(pod, "spec", "initContainers", default=[])
    return frozenset(str(each["name"]) for each in specs if each.get("restartPolicy") == "Always")
