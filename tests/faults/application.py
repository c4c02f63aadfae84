"""
One application of docs/faults.md in the cluster: set up once, and after each fault as it was before.

What a fault has touched is made anew, so that nothing of it is found by the next one: no revision, no pod, no Event. What was not
touched stays as it is.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.releases import chart
from tests.harness.api import ApiError, Object
from tests.harness.cluster import RealCluster
from tests.harness.waiting import wait_for

_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_VOLUMES = frozenset({"PersistentVolume", "PersistentVolumeClaim"})
# What a fault may have put beside the application's own objects; what others make by themselves is not among it.
_FOREIGN = (
    "horizontalpodautoscaler",
    "poddisruptionbudget",
    "networkpolicy",
    "resourcequota",
    "limitrange",
    "deployment",
    "service",
    "persistentvolumeclaim",
)
_SAID_BY_THE_SERVER = frozenset({"resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"})
Key = tuple[str, str, str]


@dataclass(kw_only=True)
class Application:
    """
    The objects of one application, in the order in which they are made: what workloads name goes before them.

    `claimed` are the names of claims that a StatefulSet makes by itself.
    """

    cluster: RealCluster
    objects: Sequence[Object]
    claimed: frozenset[str] = frozenset()
    _kept: dict[Key, Object] = field(default_factory=dict)
    _is_kept: bool = False
    _pods: dict[Key, Mapping[str, int]] = field(default_factory=dict)

    def set_up(self) -> None:
        """Have all objects; `until_ready` waits for them."""
        self.cluster.apply(*self.objects)

    def until_ready(self, *, within: float = 120) -> None:
        """Wait until all workloads are complete, and remember how everything is: it is what `restore` goes back to."""
        if not self._is_kept:
            self._keep(within)
            self._is_kept = True

    def restore(self) -> None:
        """Have everything as it was set up; `until_ready` waits for that."""
        if not self._is_kept:
            return
        changed = [each for each in self._configuration() if self._differs(each)]
        dirty = [each for each in self._workloads() if self._is_touched(each, changed)]
        self._remove_foreign()
        for each in dirty:
            self._remove(each)
        for each in changed:
            self._put_back(each)
        self.cluster.apply(*(each for each in self.objects if each["kind"] in _VOLUMES), *dirty)
        for namespace in self._namespaces():
            self.cluster.api.request("DELETE", self.cluster.api.resource("event").path(namespace))
        self._is_kept = False

    def remove(self) -> None:
        """Have nothing of it left but its namespaces."""
        self._remove_foreign()
        for each in self._workloads():
            self._remove(each)
        for each in self.objects:
            if each["kind"] != "Namespace":
                self._delete(*_place(each))
        self._remove_foreign(all_of_them=True)

    def chart(self, name: str, folder: Path) -> Path:
        """Write a chart of one workload and its Service into a folder, and return that."""
        return chart(folder, [each for each in self.objects if self._belongs(each, name)])

    def replace(self, name: str) -> None:
        """Take one workload and its Service away, for something else to make them."""
        for each in self.objects:
            if self._belongs(each, name) and each["kind"] == "Service":
                self._delete(*_place(each))
            elif self._belongs(each, name):
                self._remove(each)

    def complete(self) -> bool:
        """Return whether each workload has all the pods that it asks for, of its newest template, and ready."""
        return not self.incomplete()

    def incomplete(self) -> list[str]:
        """Return the workloads whose rollout is not over; one that was deleted has none."""
        found = ((each, self._find(each)) for each in self._workloads())
        return [each["metadata"]["name"] for each, now in found if now is not None and not _complete(now)]

    def over_or_stuck(self) -> bool:
        """Return whether all rollouts are over, or the scheduler has found no place for a pod."""
        pods = (pod for namespace in self._namespaces() for pod in self.cluster.list("pod", namespace))
        said = (each for pod in pods for each in pod["status"].get("conditions", []))
        return self.complete() or any(each.get("reason") == "Unschedulable" for each in said)

    def fingerprint(self) -> Mapping[str, object]:
        """Return what is different when something has happened: generations, and how often each pod has started."""
        found = {each["metadata"]["name"]: self._find(each) for each in self._workloads()}
        generations = {name: now and now["metadata"]["generation"] for name, now in found.items()}
        return {**generations, **{each["metadata"]["name"]: self._started(each) for each in self._workloads()}}

    def pods(self, workload: str, namespace: str) -> list[Object]:
        """Return the pods of a workload that are not on their way out, the ready ones first, each by name."""
        kind, _, name = workload.partition("/")
        labels = self.cluster.get(kind, name, namespace)["spec"]["selector"]["matchLabels"]
        return sorted(self._selected(namespace, labels), key=lambda each: (not _ready(each), each["metadata"]["name"]))

    def namespace_of(self, workload: str) -> str:
        """Return the namespace of a workload, TYPE/NAME."""
        kind, _, name = workload.partition("/")
        found = (each for each in self._workloads() if each["metadata"]["name"] == name)
        return next(str(each["metadata"]["namespace"]) for each in found if each["kind"].lower() == kind)

    @staticmethod
    def _belongs(wanted: Object, name: str) -> bool:
        return wanted["metadata"]["name"] == name and wanted["kind"] in _WORKLOADS | {"Service"}

    def _workloads(self) -> list[Object]:
        return [each for each in self.objects if each["kind"] in _WORKLOADS]

    def _configuration(self) -> list[Object]:
        return [each for each in self.objects if each["kind"] not in _WORKLOADS | _VOLUMES]

    def _namespaces(self) -> set[str]:
        return {each["metadata"]["namespace"] for each in self._workloads()}

    def _find(self, wanted: Object) -> Object | None:
        metadata = wanted["metadata"]
        return self.cluster.find(wanted["kind"], metadata["name"], metadata.get("namespace"))

    def _keep(self, within: float) -> None:
        wait_for(self.complete, within=within, describe=lambda: (self.incomplete(), self._state()))
        for each in self._configuration():
            self._kept[_key(each)] = self.cluster.get(*_place(each))
        for each in self._workloads():
            self._kept[_key(each)] = self.cluster.get(*_place(each))
            self._pods[_key(each)] = self._started(each)

    def _state(self) -> list[object]:
        pods = (pod for namespace in self._namespaces() for pod in self.cluster.list("pod", namespace))
        return [(pod["metadata"]["name"], pod["status"].get("containerStatuses")) for pod in pods if not _ready(pod)]

    def _differs(self, wanted: Object) -> bool:
        now = self._find(wanted)
        return now is None or _content(now) != _content(self._kept[_key(wanted)])

    def _is_touched(self, workload: Object, changed: Sequence[Object]) -> bool:
        """Return whether a workload or its pods are others than before, or what it names is."""
        now, before = self._find(workload), self._kept[_key(workload)]
        if now is None or any(now["metadata"][each] != before["metadata"][each] for each in ("uid", "generation")):
            return True
        named = json.dumps(workload)
        uses = (each["kind"] not in ("Namespace", "Service") and each["metadata"]["name"] in named for each in changed)
        return not _complete(now) or self._started(workload) != self._pods[_key(workload)] or any(uses)

    def _started(self, workload: Object) -> Mapping[str, int]:
        """Return how often the containers of each pod of a workload have started again, by the pod's uid."""
        labels = workload["spec"]["selector"]["matchLabels"]
        found = self._selected(workload["metadata"]["namespace"], labels, leaving=True)
        return {pod["metadata"]["uid"]: sum(each["restartCount"] for each in _statuses(pod)) for pod in found}

    def _selected(self, namespace: str, labels: Mapping[str, str], *, leaving: bool = False) -> list[Object]:
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = self.cluster.list("pod", namespace, selector=selector)
        return [each for each in found if leaving or "deletionTimestamp" not in each["metadata"]]

    def _remove(self, workload: Object) -> None:
        """Delete a workload with its pods and its history, and wait until they are gone."""
        kind, name, namespace = _place(workload)
        self._delete(kind, name, namespace)
        labels = workload["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())

        def gone() -> bool:
            pods = self.cluster.list("pod", namespace, selector=selector)
            for pod in pods:
                if pod["metadata"].get("finalizers"):
                    self.cluster.api.patch(
                        "pod", pod["metadata"]["name"], {"metadata": {"finalizers": None}}, namespace
                    )
                self._delete("pod", pod["metadata"]["name"], namespace)
            histories = ("replicaset", "controllerrevision")
            return not pods and not any(self.cluster.list(each, namespace, selector=selector) for each in histories)

        wait_for(gone, within=60, every=0.5, describe=f"{name} is gone")

    def _remove_foreign(self, *, all_of_them: bool = False) -> None:
        """Delete what is not its own: before its workloads, of whose pods a foreign Deployment may make more."""
        own = {(each["kind"].lower(), each["metadata"]["name"]) for each in self.objects if not all_of_them}
        own |= {("persistentvolumeclaim", each) for each in self.claimed if not all_of_them}
        for namespace in self._namespaces():
            for kind in _FOREIGN:
                for each in self.cluster.list(kind, namespace):
                    if (kind, each["metadata"]["name"]) not in own:
                        self._delete(kind, each["metadata"]["name"], namespace)

    def _put_back(self, wanted: Object) -> None:
        """Write an object as it was, or make it again."""
        kind, name, namespace = _place(wanted)
        kept = self._kept[_key(wanted)]
        body = {key: value for key, value in kept.items() if key != "status"}
        body["metadata"] = {key: value for key, value in kept["metadata"].items() if key not in _SAID_BY_THE_SERVER}
        if self.cluster.find(kind, name, namespace) is None:
            self.cluster.api.create(kind, body, namespace)
        else:
            self.cluster.api.request("PUT", self.cluster.api.resource(kind).path(namespace, name), body)

    def _delete(self, kind: str, name: str, namespace: str | None) -> None:
        with suppress(ApiError):
            self.cluster.api.delete(kind, name, namespace, grace=1)


def _key(wanted: Object) -> Key:
    metadata = wanted["metadata"]
    return wanted["kind"], metadata.get("namespace", ""), metadata["name"]


def _place(wanted: Object) -> tuple[str, str, str | None]:
    metadata = wanted["metadata"]
    return wanted["kind"], metadata["name"], metadata.get("namespace")


def _content(found: Object) -> Mapping[str, Any]:
    """Return what somebody has asked for, without what the server says of it."""
    metadata = {key: value for key, value in found["metadata"].items() if key not in _SAID_BY_THE_SERVER}
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def _complete(workload: Object) -> bool:
    status = workload["status"]
    if workload["spec"].get("paused"):
        return bool(status.get("readyReplicas") == workload["spec"]["replicas"])
    if status.get("observedGeneration") != workload["metadata"]["generation"]:
        return False
    if workload["kind"] == "DaemonSet":
        counts = {status.get(each, 0) for each in ("updatedNumberScheduled", "numberReady", "currentNumberScheduled")}
        return counts == {status["desiredNumberScheduled"]}
    wanted = workload["spec"]["replicas"]
    return {status.get(each, 0) for each in ("replicas", "updatedReplicas", "readyReplicas")} == {wanted}


def _ready(pod: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def _statuses(pod: Object) -> Iterator[Object]:
    for each in ("initContainerStatuses", "containerStatuses"):
        yield from pod["status"].get(each, [])
