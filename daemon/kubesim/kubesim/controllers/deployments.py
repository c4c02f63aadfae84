"""
The Deployment controller: one ReplicaSet a template, revisions, rolling updates, progress and its deadline.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.cluster_time import ClusterTime
from kubesim.controllers.control import Controller, Key
from kubesim.controllers.recorder import Recorder
from kubesim.controllers.workload_pods import controllers_of, owned, owner_keys
from kubesim.manifest import (
    Json,
    annotations_of,
    condition,
    controller_reference,
    copy,
    deleting,
    dig,
    labels_of,
    name_of,
    namespace_of,
    timestamp,
    uid_of,
    with_condition,
)
from kubesim.storage.defaults import percentage
from kubesim.storage.registry import NAME_LETTERS, Registry
from kubesim.storage.store import Change, ChangeType

COMPLETE: Final = "NewReplicaSetAvailable"
TIMED_OUT: Final = "ProgressDeadlineExceeded"

REVISION: Final = "deployment.kubernetes.io/revision"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MOST: Final = "deployment.kubernetes.io/max-replicas"
HASH: Final = "pod-template-hash"
NOT_COPIED: Final = frozenset({REVISION, DESIRED, MOST, "kubectl.kubernetes.io/last-applied-configuration"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A ReplicaSet by its numbers: pods wanted and pods available."""

    name: str
    wanted: int
    available: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The bounds of a rolling update: the most pods, and the least available ones."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """Count the pods that there may be at once."""
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        """Count the pods that must be available."""
        return self.replicas - self.unavailable


def bounds_of(spec: Json) -> Bounds:
    """Read the bounds of a Deployment's strategy; both at zero means that one may be unavailable."""
    replicas: int = spec["replicas"]
    rolling = spec["strategy"].get("rollingUpdate") or {}
    surge = percentage(rolling.get("maxSurge", 0), replicas, up=True)
    unavailable = percentage(rolling.get("maxUnavailable", 0), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(replicas=replicas, surge=surge, unavailable=min(unavailable, replicas))


def grown(new: Size, old: Sequence[Size], bounds: Bounds) -> int:
    """Return how many pods the new ReplicaSet may want now."""
    if new.wanted >= bounds.replicas:
        return bounds.replicas
    left = bounds.most - new.wanted - sum(each.wanted for each in old)
    return min(bounds.replicas, new.wanted + max(0, left))


def shrunk(new: Size, old: Sequence[Size], bounds: Bounds) -> dict[str, int]:
    """Return how many pods each old ReplicaSet may keep: unavailable ones go first, the oldest ReplicaSets too."""
    total = new.wanted + sum(each.wanted for each in old)
    removable = total - bounds.least_available - max(0, new.wanted - new.available)
    sizes = {each.name: each.wanted for each in old}
    if removable <= 0:  # what is reported as available may be a pod that is on its way out already
        return sizes
    for each in old:
        gone = min(max(0, removable), each.wanted - min(each.wanted, each.available))
        sizes[each.name] -= gone
        removable -= gone
    spare = new.available + sum(each.available for each in old) - bounds.least_available
    for each in old:
        gone = min(max(0, spare), sizes[each.name])
        sizes[each.name] -= gone
        spare -= gone
    return sizes


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Generations:
    """A Deployment's ReplicaSets: the one of its template, and the others, oldest first."""

    new: Json | None
    old: tuple[Json, ...]

    @property
    def all(self) -> tuple[Json, ...]:
        """List all of them."""
        return (*self.old, self.new) if self.new is not None else self.old


class Deployments(Controller):
    """Roll Deployments out."""

    def __init__(self, registry: Registry, time: ClusterTime) -> None:
        super().__init__(registry)
        self._events = Recorder(registry, "deployment-controller")
        self._progress = Progress(time)

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a Deployment when it or one of its ReplicaSets changes, and when a pod is gone: `Recreate` waits for that."""
        if change.resource == resources.DEPLOYMENTS:
            yield (namespace_of(change.object), name_of(change.object))
        if change.resource == resources.REPLICASETS:
            yield from owner_keys(resources.DEPLOYMENTS, change)
        if change.resource == resources.PODS and change.type is ChangeType.DELETED:
            for namespace, name in owner_keys(resources.REPLICASETS, change):
                replicaset = self._store.get(resources.REPLICASETS, namespace, name)
                yield from controllers_of(resources.DEPLOYMENTS, replicaset) if replicaset is not None else ()

    def reconcile(self, key: Key) -> float | None:
        """Take a rollout one step further, then write the status."""
        found = self._store.get(resources.DEPLOYMENTS, *key)
        if found is None:
            return None
        generations = self._generations(found)
        if not deleting(found):
            if not found["spec"].get("paused"):
                generations = self._with_new(found, generations)
            self._resize(found, generations)
            self._prune(found, self._generations(found))
        return self._write_status(key)

    def _generations(self, found: Json) -> Generations:
        sets = sorted(owned(self._store, resources.REPLICASETS, found), key=revision_of)
        same = [each for each in sets if _bare(each["spec"]["template"]) == _bare(found["spec"]["template"])]
        new = same[-1] if same else None
        return Generations(new=new, old=tuple(each for each in sets if each is not new))

    def _with_new(self, found: Json, generations: Generations) -> Generations:
        """See to it that the template has a ReplicaSet, and that this one has the highest revision."""
        latest = max((revision_of(each) for each in generations.old), default=0)
        if generations.new is None:
            new = self._make(found, latest + 1, generations)
        elif revision_of(generations.new) <= latest:
            new = self._annotate(resources.REPLICASETS, generations.new, {REVISION: str(latest + 1)})
        else:
            new = generations.new
        revision = annotations_of(new)[REVISION]
        if annotations_of(found).get(REVISION) != revision:
            self._annotate(resources.DEPLOYMENTS, found, {REVISION: revision})
        return Generations(new=new, old=generations.old)

    def _make(self, found: Json, revision: int, generations: Generations) -> Json:
        template = copy(found["spec"]["template"])
        label = {HASH: template_hash(template)}
        template["metadata"]["labels"] = {**labels_of(template), **label}
        selector = copy(found["spec"]["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), **label}
        bounds = bounds_of(found["spec"])
        none = Size(name="", wanted=0, available=0)
        rolling = found["spec"]["strategy"]["type"] == "RollingUpdate"
        size = grown(none, _sizes(generations.old), bounds) if rolling else 0
        metadata = {
            "name": f"{name_of(found)}-{label[HASH]}",
            "labels": template["metadata"]["labels"],
            "annotations": {**_copied(found), REVISION: str(revision), **_size_annotations(found)},
            "ownerReferences": [controller_reference(found)],
        }
        spec: Json = {"replicas": size, "selector": selector, "template": template}
        if found["spec"].get("minReadySeconds"):
            spec["minReadySeconds"] = found["spec"]["minReadySeconds"]
        made = self._registry.create(resources.REPLICASETS, namespace_of(found), {"metadata": metadata, "spec": spec})
        if size:
            self._record_scaling(found, name_of(made), 0, size)
        return made

    def _annotate(self, resource: Resource, obj: Json, annotations: dict[str, str]) -> Json:
        return self._registry.update(
            resource, namespace_of(obj), name_of(obj), lambda current: _annotated(current, annotations)
        )

    def _resize(self, found: Json, generations: Generations) -> None:
        if generations.new is None:
            return
        new, old = _sizes([generations.new])[0], _sizes(generations.old)
        if found["spec"]["strategy"]["type"] == "Recreate":
            wanted = self._recreated(found, generations, old)
        else:
            bounds = bounds_of(found["spec"])
            wanted = {**shrunk(new, old, bounds), new.name: grown(new, old, bounds)}
        for replicaset in generations.all:
            self._scale(found, replicaset, wanted[name_of(replicaset)])

    def _recreated(self, found: Json, generations: Generations, old: Sequence[Size]) -> dict[str, int]:
        """Remove every old pod before the first new one is made."""
        left = any(owned(self._store, resources.PODS, each) for each in generations.old)
        wanted = {each.name: 0 for each in old}
        new = generations.new or {}
        return {**wanted, name_of(new): new["spec"]["replicas"] if left else found["spec"]["replicas"]}

    def _scale(self, found: Json, replicaset: Json, size: int) -> None:
        before = replicaset["spec"]["replicas"]

        def change(current: Json) -> Json:
            current["spec"]["replicas"] = size
            return _annotated(current, _size_annotations(found))

        self._registry.update(resources.REPLICASETS, namespace_of(found), name_of(replicaset), change)
        if before != size:
            self._record_scaling(found, name_of(replicaset), before, size)

    def _record_scaling(self, found: Json, name: str, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        self._events.normal(resources.DEPLOYMENTS, found, "ScalingReplicaSet", message)

    def _prune(self, found: Json, generations: Generations) -> None:
        """Remove the oldest empty ReplicaSets beyond `revisionHistoryLimit`."""
        empty = [each for each in generations.old if not each["spec"]["replicas"] and not each["status"]["replicas"]]
        excess = len(empty) - found["spec"]["revisionHistoryLimit"]
        for replicaset in empty[: max(0, excess)]:
            self._registry.delete_now(resources.REPLICASETS, replicaset)

    def _write_status(self, key: Key) -> float | None:
        found = self._registry.get(resources.DEPLOYMENTS, *key)
        generations = self._generations(found)
        status = deployment_status(found, generations.new, generations.all, self._progress)
        self._registry.set_status(resources.DEPLOYMENTS, found, status)
        return self._progress.time_left(found, status)


def revision_of(replicaset: Json) -> int:
    """Read the revision of a ReplicaSet; 0 for a text that is not a number, as in Kubernetes."""
    written = str(annotations_of(replicaset).get(REVISION, 0))
    return int(written) if written.isdecimal() else 0


def template_hash(template: Json) -> str:
    """Name a template: ten letters, the same for the same template."""
    number = int.from_bytes(hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, rest = divmod(number, len(NAME_LETTERS))
        letters.append(NAME_LETTERS[rest])
    return "".join(letters)


def _bare(template: Json) -> Json:
    labels = {key: value for key, value in labels_of(template).items() if key != HASH}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def _sizes(replicasets: Iterable[Json]) -> list[Size]:
    return [
        Size(
            name=name_of(each),
            wanted=each["spec"]["replicas"],
            available=dig(each, "status", "availableReplicas", default=0),
        )
        for each in replicasets
    ]


def _copied(found: Json) -> dict[str, str]:
    return {key: value for key, value in annotations_of(found).items() if key not in NOT_COPIED}


def _size_annotations(found: Json) -> dict[str, str]:
    bounds = bounds_of(found["spec"])
    return {DESIRED: str(bounds.replicas), MOST: str(bounds.most)}


def _annotated(obj: Json, annotations: dict[str, str]) -> Json:
    obj["metadata"]["annotations"] = {**annotations_of(obj), **annotations}
    return obj
