"""The pods of a workload: finds them, makes one from the template, and ranks them for removal."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.cluster_time import ClusterTime
from kubesim.manifest import (
    Json,
    condition,
    controller_reference,
    controller_uid,
    copy,
    deleting,
    dig,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
    without,
)
from kubesim.storage.selectors import matches
from kubesim.storage.store import Change, Store


def owned(store: Store, resource: Resource, owner: Json) -> list[Json]:
    """List the objects that an owner controls."""
    return [obj for obj in store.list(resource, namespace_of(owner)) if controller_uid(obj) == uid_of(owner)]


def active(pod: Json) -> bool:
    """Return whether a pod counts: not on its way out, not finished."""
    return not deleting(pod) and dig(pod, "status", "phase") not in ("Succeeded", "Failed")


def keys_about(resource: Resource, change: Change) -> list[tuple[str | None, str]]:
    """Name the objects of a kind that must be looked at because they, or pods of their own, have changed."""
    if change.resource == resource:
        return [(namespace_of(change.object), name_of(change.object))]
    return owner_keys(resource, change) if change.resource == resources.PODS else []


def owner_keys(resource: Resource, change: Change) -> list[tuple[str | None, str]]:
    """Name the objects of a kind that must be looked at because one of their own has changed."""
    states = [obj for obj in (change.object, change.previous) if obj is not None]
    return [key for obj in states for key in controllers_of(resource, obj)]


def controllers_of(resource: Resource, obj: Json) -> list[tuple[str | None, str]]:
    """Name the object of a kind that controls this one, if one does."""
    return [
        (obj["metadata"].get("namespace"), reference["name"])
        for reference in obj["metadata"].get("ownerReferences") or ()
        if reference.get("controller") and reference["kind"] == resource.kind
    ]


def pod_from(owner: Json, template: Json, *, name: str = "", labels: Mapping[str, str] | None = None) -> Json:
    """Make the pod that a workload's template describes; without a name it is generated from the owner's."""
    metadata = copy(
        {key: template["metadata"][key] for key in ("labels", "annotations") if key in template["metadata"]}
    )
    metadata["labels"] = {**metadata.get("labels", {}), **(labels or {})}
    metadata["ownerReferences"] = [controller_reference(owner)]
    metadata |= {"name": name} if name else {"generateName": f"{name_of(owner)}-"}
    return {"metadata": metadata, "spec": copy(template["spec"])}


def is_available(pod: Json, min_ready: int, time: ClusterTime) -> bool:
    """Return whether a pod has been ready for `minReadySeconds`."""
    if not is_true(pod, "Ready") or deleting(pod):
        return False
    if not min_ready:
        return True
    ready = condition(pod, "Ready") or {}
    since = datetime.fromisoformat(ready["lastTransitionTime"])
    return (time.now() - since).total_seconds() >= time.seconds(timedelta(seconds=min_ready))


def removal_rank(pod: Json) -> tuple[bool, bool, bool, str]:
    """Rank pods for removal: unassigned first, then pending, then unready, then the youngest."""
    return (
        bool(dig(pod, "spec", "nodeName")),
        dig(pod, "status", "phase") == "Running",
        is_true(pod, "Ready"),
        _inverted(pod["metadata"]["creationTimestamp"]),
    )


def released(store: Store, owner: Json, pods: list[Json]) -> list[Json]:
    """Let go of the pods that have left the owner's selector; answer with those that stay."""
    kept = []
    for pod in pods:
        if matches(owner["spec"]["selector"], labels_of(pod)):
            kept.append(pod)
            continue
        references = [each for each in pod["metadata"]["ownerReferences"] if each["uid"] != uid_of(owner)]
        metadata = without(pod["metadata"], ["ownerReferences"]) | (
            {"ownerReferences": references} if references else {}
        )
        store.put(resources.PODS, {**pod, "metadata": metadata})
    return kept


def _inverted(text: str) -> str:
    """Map a timestamp so that later ones sort first."""
    return "".join(chr(255 - ord(letter)) for letter in text)
