"""
The `resize` subresource of pods: the fields of a request that it applies, and its refusals (pkg/apis/core/validation,
ValidatePodResize).
"""

from collections.abc import Iterator
from typing import Final

from kubesim.manifest import Json, copy
from kubesim.storage.pod_defaults import qos_class
from kubesim.storage.status import Cause

GROUPS: Final = ("initContainers", "containers")
TAKEN: Final = ("resources", "resizePolicy")
MUTABLE: Final = frozenset({"cpu", "memory"})


def resized(current: Json, wanted: Json) -> Json:
    """Take over the resources of containers alone; all of them where others are named, which is refused then."""
    new = copy(current)
    for group in GROUPS:
        old, sent = current["spec"].get(group) or [], (wanted.get("spec") or {}).get(group) or []
        if [each["name"] for each in old] != [each.get("name") for each in sent]:
            new["spec"][group] = sent
            continue
        for container, asked in zip(new["spec"].get(group) or [], sent, strict=True):
            container.update({key: copy(asked[key]) for key in TAKEN if key in asked})
    return new


def resize_problems(new: Json, old: Json) -> list[Cause]:
    """List why a pod is not resized so."""
    causes = []
    if qos_class(new["spec"]) != qos_class(old["spec"]):
        message = f'Invalid value: "{old["status"]["qosClass"]}": Pod QOS Class may not change as a result of resizing'
        causes.append(Cause(reason="FieldValueInvalid", field="spec", message=message))
    for group in GROUPS:
        had, has = (spec.get(group) or [] for spec in (old["spec"], new["spec"]))
        if len(had) != len(has):
            return [*causes, _forbidden(f"spec.{group}", f"{group} may not be added or removed on resize")]
        for index, (before, after) in enumerate(zip(had, has, strict=True)):
            if before["name"] != after.get("name"):
                why = f"{group} may not be renamed or reordered on resize"
                return [*causes, _forbidden(f"spec.{group}[{index}].name", why)]
            causes += _removed(f"spec.{group}[{index}].resources", after, before)
    if not causes and any(_others_changed(new, old)):
        causes.append(_forbidden("spec", "only cpu and memory resources are mutable"))
    return causes


def _removed(field: str, after: Json, before: Json) -> Iterator[Cause]:
    for kind in ("requests", "limits"):
        had, has = ((each.get("resources") or {}).get(kind) or {} for each in (before, after))
        if not had.keys() <= has.keys():
            yield _forbidden(f"{field}.{kind}", f"resource {kind} cannot be removed")


def _others_changed(new: Json, old: Json) -> Iterator[bool]:
    for group in GROUPS:
        for before, after in zip(old["spec"].get(group) or [], new["spec"].get(group) or [], strict=True):
            for kind in ("requests", "limits"):
                had, has = ((each.get("resources") or {}).get(kind) or {} for each in (before, after))
                yield any(had.get(key) != has.get(key) for key in (had.keys() | has.keys()) - MUTABLE)


def _forbidden(field: str, why: str) -> Cause:
    return Cause(reason="FieldValueForbidden", field=field, message=f"Forbidden: {why}")
