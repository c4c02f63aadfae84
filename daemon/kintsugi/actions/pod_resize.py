"""
The checks of an in-place change of a pod's resources, by its `resize` subresource, before it is made and after.

The API server keeps only the amounts of such a patch, not our mark: only the amounts show that it was made.
"""

from collections.abc import Iterator, Mapping, Sequence

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.difference import Operation
from kintsugi.actions.loaded_target import LoadedTarget
from kintsugi.model.records import Phase
from kubeobjects import unstructured
from kubeobjects.quantities import quantity
from kubeobjects.unstructured import Unstructured

RESIZE = "resize"
"""The subresource (Kubernetes 1.33 and later)."""

_GROUPS = ("initContainers", "containers")
_MEMORY, _RESTARTS = "memory", "RestartContainer"
_ABSENT = object()


def check_resize(loaded: LoadedTarget, after: Unstructured) -> None:
    """
    Raise Refused for another service's pod, and in a recovery for all but more memory within what the service allows.

    A container that its resize policy would restart is left as it is while it is ready.
    """
    preconditions.check(preconditions.foreign_pod(loaded.asked, loaded.obj, loaded.context))
    if loaded.context.phase is Phase.FORWARD:
        preconditions.check(*(why for each in _pairs(loaded.obj, after) for why in _refusals(loaded, *each)))


def written(operations: Sequence[Operation]) -> Mapping[str, object]:
    """Return what is written, by JSON Pointers."""
    return {str(each["path"]): each["value"] for each in operations if each["op"] in ("add", "replace")}


def has_values(obj: Unstructured, wanted: Mapping[str, object]) -> bool:
    """Return whether an object has all that was to be written."""
    return all(_at(obj, path) == value for path, value in wanted.items())


def _pairs(before: Unstructured, after: Unstructured) -> Iterator[tuple[Unstructured, Unstructured]]:
    for group in _GROUPS:
        old, new = (unstructured.nested_maps(obj, "spec", group) for obj in (before, after))
        yield from zip(old, new, strict=True)


def _refusals(loaded: LoadedTarget, old: Unstructured, new: Unstructured) -> Iterator[str]:
    """Yield why a container is not changed so."""
    if old == new:
        return
    name = unstructured.nested_string(old, "name")
    had, gets = (_without_memory(each) for each in (old, new))
    if had != gets:
        yield f"{loaded.asked}: of container {name} more than its memory would be changed"
    present, wanted = (_limit(each) for each in (old, new))
    if quantity(wanted or None) < quantity(present or None):
        yield f"{loaded.asked}: a recovery never lowers a memory limit (of {name}, from {present} to {wanted})"
    yield _above(loaded.context, f"the memory limit of {name}", wanted)
    if _is_restarted(old) and name in _ready(loaded.obj):
        yield f"{loaded.asked}: its resize policy would restart container {name}, which is ready"


def _above(context: ChangeContext, what: str, wanted: str) -> str:
    ceiling = context.max_allowed.memory
    if not ceiling:
        return f"{what} is not raised: {context.service or 'its service'} declares no maxAllowed.memory"
    if quantity(wanted or None) > quantity(ceiling):
        return f"{what} is not raised to {wanted}: maxAllowed.memory of {context.service} is {ceiling}"
    return ""


def _limit(container: Unstructured) -> str:
    return str(unstructured.nested_field(container, "resources", "limits", _MEMORY) or "")


def _without_memory(container: Unstructured) -> Unstructured:
    for kind in ("limits", "requests"):
        container = unstructured.without_field(container, "resources", kind, _MEMORY)
    return container


def _is_restarted(container: Unstructured) -> bool:
    policies = unstructured.nested_maps(container, "resizePolicy")
    return any((each.get("resourceName"), each.get("restartPolicy")) == (_MEMORY, _RESTARTS) for each in policies)


def _ready(pod: Unstructured) -> frozenset[str]:
    found = [
        each
        for part in ("containerStatuses", "initContainerStatuses")
        for each in unstructured.nested_maps(pod, "status", part)
    ]
    return frozenset(unstructured.nested_string(each, "name") for each in found if each.get("ready") is True)


def _at(obj: object, path: str) -> object:
    """Return the value at a JSON Pointer; an object that equals no other where the path is absent."""
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(obj, Mapping):
            obj = obj.get(key, _ABSENT)
        elif isinstance(obj, list) and key.isdecimal() and int(key) < len(obj):
            obj = obj[int(key)]
        else:
            return _ABSENT
    return obj
