"""
The StatefulSet controller: pods with ordinals, each with its claims, one after the other.
"""

from collections.abc import Iterable
from typing import Final

from kubeobjects import resources
from kubesim.controllers.control import Controller, Key
from kubesim.controllers.deployments import template_hash
from kubesim.controllers.recorder import Recorder
from kubesim.controllers.workload_pods import active, keys_about, owned, pod_from
from kubesim.manifest import (
    Json,
    controller_reference,
    copy,
    deleting,
    dig,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from kubesim.storage.registry import DeleteOptions, Registry
from kubesim.storage.store import Change

HASH: Final = "controller-revision-hash"
POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
POD_INDEX: Final = "apps.kubernetes.io/pod-index"


class StatefulSets(Controller):
    """Keep the pods of each StatefulSet, in order."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._events = Recorder(registry, "statefulset-controller")

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a StatefulSet when it or one of its pods changes."""
        return keys_about(resources.STATEFULSETS, change)

    def reconcile(self, key: Key) -> float | None:
        """Take one step: the next pod to make, to replace or to remove; then write the status."""
        found = self._store.get(resources.STATEFULSETS, *key)
        if found is None or deleting(found):
            return None
        revision = self._revision(found)
        self._step(found, revision)
        self._write_status(found, revision)
        return None

    def _step(self, found: Json, revision: str) -> None:
        wanted = [f"{name_of(found)}-{ordinal}" for ordinal in range(found["spec"]["replicas"])]
        pods = {name_of(pod): pod for pod in owned(self._store, resources.PODS, found)}
        parallel = found["spec"]["podManagementPolicy"] == "Parallel"
        for name in wanted:
            if name not in pods:
                self._make(found, name, revision)
            elif not active(pods[name]) and not deleting(pods[name]):
                self._registry.delete_now(resources.PODS, pods[name])
            if not parallel and not _is_ready(self._store.get(resources.PODS, namespace_of(found), name)):
                break
        else:
            self._shrink_or_update(found, pods, wanted, revision)
            return
        # an old pod that is not ready does not block its own update
        self._update(found, pods, wanted, revision, only_unready=True)

    def _shrink_or_update(self, found: Json, pods: dict[str, Json], wanted: list[str], revision: str) -> None:
        excess = sorted((name for name in pods if name not in wanted), key=_ordinal, reverse=True)
        if excess:
            if not deleting(pods[excess[0]]) and not _waits(found, pods, excess):
                self._hand_claims_over(found, pods[excess[0]])
                self._delete(found, pods[excess[0]])
            return
        self._let_go(found, wanted)
        self._update(found, pods, wanted, revision, only_unready=False)

    def _hand_claims_over(self, found: Json, pod: Json) -> None:
        """Let the claims of a pod that is scaled away go with it, where the StatefulSet says so."""
        if found["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] != "Delete":
            return
        owner = {"apiVersion": "v1", "kind": "Pod", "name": name_of(pod), "uid": uid_of(pod)}
        for template in found["spec"].get("volumeClaimTemplates") or ():
            name = f"{name_of(template)}-{name_of(pod)}"
            if self._store.get(resources.PVCS, namespace_of(pod), name) is not None:
                self._registry.update(resources.PVCS, namespace_of(pod), name, lambda claim: _owned_by(claim, owner))

    def _update(
        self, found: Json, pods: dict[str, Json], wanted: list[str], revision: str, *, only_unready: bool
    ) -> None:
        """Replace the last pod that is of another revision, one at a time."""
        strategy = found["spec"]["updateStrategy"]
        if strategy["type"] != "RollingUpdate":
            return
        partition = dig(strategy, "rollingUpdate", "partition", default=0)
        for name in reversed(wanted[partition:]):
            pod = pods.get(name)
            if pod is None or deleting(pod):
                return
            stale = labels_of(pod).get(HASH) != revision
            if stale and (not only_unready or not _is_ready(pod)):
                self._delete(found, pod)
                return
            if not _is_ready(pod):
                return

    def _make(self, found: Json, name: str, revision: str) -> None:
        labels = {HASH: revision, POD_NAME: name, POD_INDEX: str(_ordinal(name))}
        pod = pod_from(found, found["spec"]["template"], name=name, labels=labels)
        pod["spec"]["hostname"] = name
        if found["spec"].get("serviceName"):
            pod["spec"]["subdomain"] = found["spec"]["serviceName"]
        for template in found["spec"].get("volumeClaimTemplates") or ():
            self._claim(found, template, name)
            source = {"persistentVolumeClaim": {"claimName": f"{name_of(template)}-{name}"}}
            others = [each for each in pod["spec"].get("volumes", ()) if each["name"] != name_of(template)]
            pod["spec"]["volumes"] = [*others, {"name": name_of(template), **source}]
        self._registry.create(resources.PODS, namespace_of(found), pod)
        message = f"create Pod {name} in StatefulSet {name_of(found)} successful"
        self._events.normal(resources.STATEFULSETS, found, "SuccessfulCreate", message)

    def _claim(self, found: Json, template: Json, pod_name: str) -> None:
        name = f"{name_of(template)}-{pod_name}"
        if self._store.get(resources.PVCS, namespace_of(found), name) is not None:
            return
        labels = found["spec"]["selector"].get("matchLabels") or {}
        body = {"metadata": {"name": name, "labels": labels}, "spec": copy(template["spec"])}
        self._registry.create(resources.PVCS, namespace_of(found), body)

    def _let_go(self, found: Json, wanted: list[str]) -> None:
        """Delete the claims of ordinals that were scaled away, where `whenScaled` says so."""
        if dig(found, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled") != "Delete":
            return
        starts = [f"{name_of(each)}-{name_of(found)}-" for each in found["spec"].get("volumeClaimTemplates") or ()]
        for claim in self._store.list(resources.PVCS, namespace_of(found)):
            start = next((each for each in starts if name_of(claim).startswith(each)), None)
            ordinal = name_of(claim).removeprefix(start or "")
            if start and ordinal.isdecimal() and f"{name_of(found)}-{ordinal}" not in wanted and not deleting(claim):
                self._registry.delete(resources.PVCS, namespace_of(claim), name_of(claim), DeleteOptions())

    def _delete(self, found: Json, pod: Json) -> None:
        self._registry.delete(resources.PODS, namespace_of(pod), name_of(pod), DeleteOptions())
        message = f"delete Pod {name_of(pod)} in StatefulSet {name_of(found)} successful"
        self._events.normal(resources.STATEFULSETS, found, "SuccessfulDelete", message)

    def _revision(self, found: Json) -> str:
        """Name the revision of the template, and keep it as a ControllerRevision for `rollout history` and `undo`."""
        template = found["spec"]["template"]
        name = f"{name_of(found)}-{template_hash(template)}"
        known = owned(self._store, resources.CONTROLLERREVISIONS, found)
        latest = max((each["revision"] for each in known), default=0)
        current = next((each for each in known if name_of(each) == name), None)
        if current is None:
            self._keep_revision(found, name, latest + 1)
        elif current["revision"] < latest:
            self._store.put(resources.CONTROLLERREVISIONS, {**current, "revision": latest + 1})
        return name

    def _keep_revision(self, found: Json, name: str, number: int) -> None:
        data = {"spec": {"template": {**copy(found["spec"]["template"]), "$patch": "replace"}}}
        labels = {**labels_of(found["spec"]["template"]), HASH: name}
        metadata = {"name": name, "labels": labels, "ownerReferences": [controller_reference(found)]}
        body = {"metadata": metadata, "data": data, "revision": number}
        self._registry.create(resources.CONTROLLERREVISIONS, namespace_of(found), body)

    def _write_status(self, found: Json, revision: str) -> None:
        pods = [pod for pod in owned(self._store, resources.PODS, found) if not deleting(pod)]
        ready = len([pod for pod in pods if _is_ready(pod)])
        updated = len([pod for pod in pods if labels_of(pod).get(HASH) == revision])
        done = updated == len(pods) == found["spec"]["replicas"] and ready == len(pods)
        before = dig(found, "status", "currentRevision", default=revision)
        current = revision if done else before
        counts = {"readyReplicas": ready, "updatedReplicas": updated}
        counts["currentReplicas"] = len([pod for pod in pods if labels_of(pod).get(HASH) == current])
        status: Json = {"replicas": len(pods), "availableReplicas": ready, "collisionCount": 0}
        status |= {key: value for key, value in counts.items() if value}
        status |= {"currentRevision": current, "updateRevision": revision}
        status["observedGeneration"] = found["metadata"].get("generation", 1)
        self._registry.set_status(resources.STATEFULSETS, found, status)


def _owned_by(obj: Json, owner: Json) -> Json:
    """Make an object go with another one."""
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [owner]}}


def _waits(found: Json, pods: dict[str, Json], excess: list[str]) -> bool:
    """Return whether the last pod may not go yet: in order, only the first of those that are not ready may."""
    unready = [name for name in excess if not _is_ready(pods[name])]
    return found["spec"]["podManagementPolicy"] != "Parallel" and excess[0] in unready[:-1]


def _is_ready(pod: Json | None) -> bool:
    return pod is not None and active(pod) and is_true(pod, "Ready")


def _ordinal(name: str) -> int:
    return int(name.rpartition("-")[2])
