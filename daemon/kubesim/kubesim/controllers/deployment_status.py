"""
A Deployment's status: counts, `Available`, `Progressing` and the progress deadline.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from kubesim.cluster_time import ClusterTime
from kubesim.controllers.rollout import bounds_of
from kubesim.manifest import Json, condition, dig, name_of, timestamp, uid_of, with_condition

COMPLETE: Final = "NewReplicaSetAvailable"
TIMED_OUT: Final = "ProgressDeadlineExceeded"


class Progress:
    """Remember when each Deployment last came nearer to its goal, on the cluster's clock."""

    def __init__(self, time: ClusterTime) -> None:
        self.time = time
        self._last: dict[str, tuple[tuple[int, ...], float]] = {}

    def waited(self, found: Json, counts: Json) -> float:
        """Return for how many seconds of the clock a Deployment has not moved."""
        state = (
            found["metadata"].get("generation", 1),
            counts.get("updatedReplicas", 0),
            counts.get("readyReplicas", 0),
            counts.get("availableReplicas", 0),
            -counts.get("replicas", 0),
        )
        last = self._last.get(uid_of(found))
        if last is None or last[0] != state:
            self._last[uid_of(found)] = (state, self.time.clock())
            return 0.0
        return self.time.clock() - last[1]

    def deadline(self, found: Json) -> float:
        """Return the progress deadline in seconds of the clock."""
        return self.time.seconds(timedelta(seconds=found["spec"]["progressDeadlineSeconds"]))

    def time_left(self, found: Json, status: Json) -> float | None:
        """Return in how many seconds the deadline must be looked at; None when nothing is under way."""
        progressing = condition({"status": status}, "Progressing")
        if progressing is None or progressing["reason"] in (COMPLETE, TIMED_OUT, "DeploymentPaused"):
            return None
        return max(0.01, self.deadline(found) - self.waited(found, status))


def deployment_status(found: Json, new: Json | None, every: Sequence[Json], progress: Progress) -> Json:
    """Write the status of a Deployment from its ReplicaSets."""
    counts = _counts(found, new, every)
    now = timestamp(progress.time.now())
    conditions: list[Json] = dig(found, "status", "conditions", default=[])
    available = _available(found, counts.get("availableReplicas", 0))
    conditions = with_condition(conditions, _stamped(available, conditions, now))
    progressing = _progressing(found, new, counts, progress)
    if progressing is not None:
        conditions = with_condition(conditions, _stamped(progressing, conditions, now))
    return {**counts, "observedGeneration": found["metadata"].get("generation", 1), "conditions": conditions}


def _counts(found: Json, new: Json | None, every: Sequence[Json]) -> Json:
    def total(field: str) -> int:
        return sum(dig(each, "status", field, default=0) for each in every)

    available = total("availableReplicas")
    counts = {
        "replicas": total("replicas"),
        "updatedReplicas": dig(new, "status", "replicas", default=0),
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(each["spec"]["replicas"] for each in every) - available),
    }
    return {key: value for key, value in counts.items() if value}


def _available(found: Json, available: int) -> Json:
    if available >= bounds_of(found["spec"]).least_available:
        return _entry("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    message = "Deployment does not have minimum availability."
    return _entry("Available", "False", "MinimumReplicasUnavailable", message)


def _progressing(found: Json, new: Json | None, counts: Json, progress: Progress) -> Json | None:
    """Return how the rollout goes; one that is complete stays so, whatever becomes of its pods, until the next one."""
    if found["spec"].get("paused"):
        return _entry("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
    if new is None:
        return None
    quoted = f'ReplicaSet "{name_of(new)}"'
    wanted = found["spec"]["replicas"]
    counted = [counts.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    waited = progress.waited(found, counts)
    before = condition(found, "Progressing")
    if before is not None and before["reason"] == COMPLETE and counted[0] == counted[1]:
        return before
    if counted == [wanted, wanted, wanted]:
        return _entry("Progressing", "True", COMPLETE, f"{quoted} has successfully progressed.")
    if waited >= progress.deadline(found):
        return _entry("Progressing", "False", TIMED_OUT, f"{quoted} has timed out progressing.")
    if before is None:
        return _entry("Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name_of(new)}"')
    return _entry("Progressing", "True", "ReplicaSetUpdated", f"{quoted} is progressing.")


def _entry(kind: str, status: str, reason: str, message: str) -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _stamped(entry: Json, conditions: Sequence[Json], now: str) -> Json:
    """Return a condition its times; `lastUpdateTime` moves when its reason or message do."""
    old = next((each for each in conditions if each["type"] == entry["type"]), None)
    same = old is not None and all(old.get(key) == entry[key] for key in ("status", "reason", "message"))
    updated = old["lastUpdateTime"] if same and old is not None else now
    return {**entry, "lastUpdateTime": updated, "lastTransitionTime": now}
