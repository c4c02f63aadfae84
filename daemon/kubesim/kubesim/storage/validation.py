"""
The validation of the API server: the few rules that callers meet in practice.

Each rule returns the causes that a real server names; the registry refuses with all of them. Also the allowed change of a
claim's specification (ValidatePersistentVolumeClaimUpdate, and the admission PersistentVolumeClaimResize), and the fields of
the `resize` subresource of pods (ValidatePodResize).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import orjson

from kubeobjects import resources
from kubeobjects.metadata import SUBDOMAIN
from kubeobjects.quantities import quantity
from kubeobjects.resources import Resource
from kubesim.manifest import Json, copy, dig, name_of
from kubesim.storage.defaults import qos_class
from kubesim.storage.selectors import matches
from kubesim.storage.status import ApiRefusal, Cause
from kubesim.storage.store import Store

_IMMUTABLE = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_NOT_ALLOWED = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)

GROUPS: Final = ("initContainers", "containers")
TAKEN: Final = ("resources", "resizePolicy")
MUTABLE: Final = frozenset({"cpu", "memory"})

SUBDOMAIN_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
WORKLOADS: Final = (resources.DEPLOYMENTS, resources.REPLICASETS, resources.STATEFULSETS, resources.DAEMONSETS)


def expansion_problems(claim: Json, previous: Json) -> list[Cause]:
    """List why a claim is not changed so: it is not bound, or would shrink."""
    had, gets, has = _requested(previous), _requested(claim), dig(previous, "status", "capacity", "storage")
    if had != gets and dig(previous, "status", "phase") != "Bound":
        return [_forbidden("spec", _IMMUTABLE)]
    if quantity(gets) >= quantity(had) or quantity(gets) > quantity(has):
        return []
    return [_forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")]


def check_expansion(store: Store, claim: Json, previous: Json) -> None:
    """Raise ApiRefusal 403 for a claim whose class does not let it grow."""
    if quantity(_requested(claim)) <= quantity(_requested(previous)):
        return
    found = store.get(resources.STORAGECLASSES, None, dig(previous, "spec", "storageClassName", default=""))
    if found is None or found.get("allowVolumeExpansion") is not True:
        name = claim["metadata"]["name"]
        message = f'persistentvolumeclaims "{name}" is forbidden: {_NOT_ALLOWED}'
        raise ApiRefusal(403, "Forbidden", message, {"name": name, "kind": "persistentvolumeclaims"})


def _requested(claim: Json) -> str | None:
    found: str | None = dig(claim, "spec", "resources", "requests", "storage")
    return found


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


def problems_of(resource: Resource, obj: Json, previous: Json | None) -> list[Cause]:
    """List what is wrong with an object, new or changed from `previous`."""
    causes = [*_name(obj), *(_RULES[resource](obj) if resource in _RULES else ())]
    if resource in WORKLOADS:
        causes += _workload(obj)
    if previous is not None:
        causes += _immutable(resource, obj, previous)
    return causes


def _name(obj: Json) -> list[Cause]:
    name = name_of(obj)
    if not name:
        return [_required("metadata.name", "name or generateName is required")]
    if SUBDOMAIN.fullmatch(name):
        return []
    return [_wrong("metadata.name", name, SUBDOMAIN_RULE)]


def _containers(spec: Json, at: str) -> list[Cause]:
    containers = spec.get("containers")
    if not containers:
        return [_required(f"{at}.containers")]
    return [
        _required(f"{at}.containers[{index}].{key}")
        for index, container in enumerate(containers)
        for key in ("name", "image")
        if not container.get(key)
    ]


def _workload(obj: Json) -> list[Cause]:
    spec, selector = obj["spec"], obj["spec"].get("selector")
    causes, replicas = [], spec.get("replicas", 0)
    if isinstance(replicas, int) and replicas < 0:
        causes.append(_wrong("spec.replicas", replicas, "must be greater than or equal to 0"))
    if not selector:
        causes.append(_required("spec.selector"))
    labels = dig(spec, "template", "metadata", "labels", default={})
    if selector and not matches(selector, labels):
        text = orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()
        wrong = f"Invalid value: {text}: `selector` does not match template `labels`"
        causes.append(Cause(reason="FieldValueInvalid", field="spec.template.metadata.labels", message=wrong))
    return [*causes, *_containers(spec["template"]["spec"], "spec.template.spec")]


def _service(obj: Json) -> list[Cause]:
    spec = obj["spec"]
    if not spec.get("ports") and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        return [_required("spec.ports")]
    return []


def _immutable(resource: Resource, obj: Json, previous: Json) -> list[Cause]:
    causes = []
    if resource in WORKLOADS and obj["spec"].get("selector") != previous["spec"].get("selector"):
        causes.append(immutable("spec.selector", obj["spec"].get("selector")))
    if resource == resources.PVCS:
        causes += expansion_problems(obj, previous)
    if resource == resources.PODS and _frozen(obj) != _frozen(previous):
        causes.append(
            _forbidden(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,"
                "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
                "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
                "(allow it to be set to 1 if it was previously negative)",
            )
        )
    return causes


def _frozen(pod: Json) -> Json:
    """Drop from a pod's specification what may change."""
    spec = {key: value for key, value in pod["spec"].items() if key not in ("tolerations", "activeDeadlineSeconds")}
    for key in ("containers", "initContainers"):
        spec[key] = [{**each, "image": ""} for each in spec.get(key) or ()]
    return spec


def immutable(field: str, value: object) -> Cause:
    """Return the problem that a field cannot be changed to a value."""
    return _wrong(field, value, "field is immutable")


def _required(field: str, note: str = "") -> Cause:
    return Cause(reason="FieldValueRequired", field=field, message=f"Required value{': ' if note else ''}{note}")


def _wrong(field: str, value: object, why: str) -> Cause:
    shown = orjson.dumps(value).decode()
    return Cause(reason="FieldValueInvalid", field=field, message=f"Invalid value: {shown}: {why}")


_RULES: Final[Mapping[Resource, Callable[[Json], list[Cause]]]] = {
    resources.PODS: lambda pod: _containers(pod["spec"], "spec"),
    resources.SERVICES: _service,
}
