"""
The validation of the API server: the few rules that callers meet in practice.

Each rule returns the causes that a real server names; the registry refuses with all of them.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.manifest import Json, dig, name_of
from kubesim.storage.expansion import expansion_problems
from kubesim.storage.selectors import matches
from kubesim.storage.status import Cause

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SUBDOMAIN_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
WORKLOADS: Final = (resources.DEPLOYMENTS, resources.REPLICASETS, resources.STATEFULSETS, resources.DAEMONSETS)


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
    if SUBDOMAIN.fullmatch(name) and len(name) <= 253:
        return []
    return [_wrong("metadata.name", name, SUBDOMAIN_RULE)]


def _pod(obj: Json) -> list[Cause]:
    return _containers(obj["spec"], "spec")


def _containers(spec: Json, at: str) -> list[Cause]:
    containers = spec.get("containers")
    if not containers:
        return [_required(f"{at}.containers")]
    causes = []
    for index, container in enumerate(containers):
        if not container.get("name"):
            causes.append(_required(f"{at}.containers[{index}].name"))
        if not container.get("image"):
            causes.append(_required(f"{at}.containers[{index}].image"))
    return causes


def _workload(obj: Json) -> list[Cause]:
    spec, selector = obj["spec"], obj["spec"].get("selector")
    causes = _replicas(spec)
    if not selector:
        causes.append(_required("spec.selector"))
    labels = dig(spec, "template", "metadata", "labels", default={})
    if selector and not matches(selector, labels):
        text = orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()
        wrong = f"Invalid value: {text}: `selector` does not match template `labels`"
        causes.append(Cause(reason="FieldValueInvalid", field="spec.template.metadata.labels", message=wrong))
    return [*causes, *_containers(spec["template"]["spec"], "spec.template.spec")]


def _replicas(spec: Json) -> list[Cause]:
    replicas = spec.get("replicas", 0)
    if isinstance(replicas, int) and replicas < 0:
        return [_wrong("spec.replicas", replicas, "must be greater than or equal to 0")]
    return []


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
            Cause(
                reason="FieldValueForbidden",
                field="spec",
                message="Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
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
    resources.PODS: _pod,
    resources.SERVICES: _service,
}
