"""
The Job controller: pods until enough have succeeded, too many have failed, or the time is over.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from kubeobjects import resources
from kubesim.controllers.control import Controller, Key
from kubesim.controllers.recorder import Recorder
from kubesim.controllers.workload_pods import active, keys_about, owned, pod_from
from kubesim.manifest import (
    Json,
    condition,
    deleting,
    dig,
    is_true,
    name_of,
    namespace_of,
    timestamp,
    with_condition,
)
from kubesim.storage.registry import DeleteOptions, Registry
from kubesim.storage.store import Change

DEADLINE_EXCEEDED: Final[Json] = {
    "type": "Failed",
    "status": "True",
    "reason": "DeadlineExceeded",
    "message": "Job was active longer than specified deadline",
}


class Jobs(Controller):
    """Run Jobs to their end."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._events = Recorder(registry, "job-controller")

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a Job when it or one of its pods changes."""
        return keys_about(resources.JOBS, change)

    def reconcile(self, key: Key) -> float | None:
        """Make the pods that are missing, and write the status; answer when its time, or its stay, is over."""
        job = self._store.get(resources.JOBS, *key)
        if job is None or deleting(job):
            return None
        if is_finished(job):
            return self._take_away(job)
        pods = owned(self._store, resources.PODS, job)
        running = [pod for pod in pods if active(pod)]
        succeeded, failed = _count(pods, "Succeeded"), _count(pods, "Failed")
        spec = job["spec"]
        left = self._seconds_left(job)
        ended = _ending(spec, succeeded, failed) or (DEADLINE_EXCEEDED if left is not None and left <= 0 else None)
        if ended is None and not spec.get("suspend"):
            missing = min(spec["parallelism"], spec["completions"] - succeeded) - len(running)
            running += [self._make(job) for _ in range(missing)]
        if ended is DEADLINE_EXCEEDED:
            for pod in running:
                self._registry.delete(resources.PODS, namespace_of(pod), name_of(pod), DeleteOptions())
        self._write_status(job, running, (succeeded, failed), ended)
        return left if ended is None else None

    def _seconds_left(self, job: Json) -> float | None:
        """Return how long a Job may still run; its pods may be real programs, so its time is that of the machine."""
        longest, began = job["spec"].get("activeDeadlineSeconds"), dig(job, "status", "startTime")
        if longest is None or began is None:
            return None if longest is None else float(longest)
        return float(longest) - (self._registry.now() - datetime.fromisoformat(began)).total_seconds()

    def _take_away(self, job: Json) -> float | None:
        """Delete a Job that has ended when it was to be kept no longer; of the machine's time, too."""
        keep = job["spec"].get("ttlSecondsAfterFinished")
        if keep is None:
            return None
        ended = (condition(job, "Complete") or condition(job, "Failed") or {})["lastTransitionTime"]
        left = float(keep) - (self._registry.now() - datetime.fromisoformat(ended)).total_seconds()
        if left > 0:
            return left
        self._registry.delete(resources.JOBS, namespace_of(job), name_of(job), DeleteOptions())
        return None

    def _make(self, job: Json) -> Json:
        pod = self._registry.create(resources.PODS, namespace_of(job), pod_from(job, job["spec"]["template"]))
        self._events.normal(resources.JOBS, job, "SuccessfulCreate", f"Created pod: {name_of(pod)}")
        return pod

    def _write_status(self, job: Json, running: Sequence[Json], counts: tuple[int, int], ended: Json | None) -> None:
        moment = timestamp(self._registry.now())
        succeeded, failed = counts
        numbers = {
            "active": 0 if ended else len(running),
            "ready": len([pod for pod in running if is_true(pod, "Ready")]),
            "succeeded": succeeded,
            "failed": failed,
        }
        status: Json = {"startTime": dig(job, "status", "startTime", default=moment)}
        status |= {key: value for key, value in numbers.items() if value or key == "ready"}
        if ended is not None:
            times = {"lastProbeTime": moment, "lastTransitionTime": moment}
            status["conditions"] = with_condition(dig(job, "status", "conditions", default=()), {**ended, **times})
            if ended["type"] == "Complete":
                status["completionTime"] = moment
        self._registry.set_status(resources.JOBS, job, status)


def is_finished(job: Json) -> bool:
    """Return whether a Job has ended, well or not."""
    return is_true(job, "Complete") or is_true(job, "Failed")


def _ending(spec: Json, succeeded: int, failed: int) -> Json | None:
    if succeeded >= spec["completions"]:
        message = "Reached expected number of succeeded pods"
        return {"type": "Complete", "status": "True", "reason": "CompletionsReached", "message": message}
    if failed > spec["backoffLimit"]:
        message = "Job has reached the specified backoff limit"
        return {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": message}
    return None


def _count(pods: Sequence[Json], phase: str) -> int:
    return len([pod for pod in pods if dig(pod, "status", "phase") == phase])
