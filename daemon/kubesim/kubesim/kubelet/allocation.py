"""
The resources that a kubelet has allocated to a pod's containers, and its decision on a change (pkg/kubelet/allocation).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from kubeobjects.quantities import quantity, whole
from kubesim.manifest import Json, containers_of, copy, dig

PENDING: Final = "PodResizePending"


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
