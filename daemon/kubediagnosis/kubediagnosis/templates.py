"""
Pod templates: their content as a digest, as paths and values, and the difference of two, also as text for a person.

A field is written as in docs/faults.md: `containers[app].env[TOKEN]`, `nodeSelector[disk]`. A variable's value is a digest.
In texts neither values of variables and annotations nor anything longer than one short value is shown.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256

import msgspec

from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""The annotation by which `rollout restart` makes a template a new one."""

WHOLE = frozenset(
    {
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
        "command",
        "args",
        "podAffinity",
        "podAntiAffinity",
        "nodeAffinity",
        "valueFrom",
    }
)
"""Fields that are compared as a whole."""

BY_KEY = frozenset({"nodeSelector", "labels", "annotations"})
"""Mappings whose keys are free words, written in brackets."""

RESTART_MARK = "annotations[kubectl.kubernetes.io/restartedAt]"
"""The field of a template that a restart writes, and nothing else does."""

_HASHES = ("labels[pod-template-hash]", "labels[controller-revision-hash]")

MOST_FIELDS = 3
"""The most fields that are listed; of the others only the number is given."""

LONGEST = 160
"""The most characters of a value that is shown."""

_CONTAINERS = "containers["


def template_of(obj: Unstructured) -> Unstructured:
    """Return the pod template of a workload."""
    return unstructured.nested_map(obj, "spec", "template")


def template_digest(template: Unstructured) -> str:
    """Name a pod template by its content; an absent field, a null and an empty one are the same."""
    return sha256(msgspec.json.encode(_compact(template), order="deterministic")).hexdigest()[:16]


def differ_in_stamp_only(one: Unstructured, other: Unstructured) -> bool:
    """Return whether two templates make the same pods: no more lies between them than a restart."""
    return unstamped_digest(one) == unstamped_digest(other)


def unstamped_digest(template: Unstructured) -> str:
    """Name a pod template by its content but for the stamp of a restart."""
    return template_digest(unstructured.without_field(template, "metadata", "annotations", RESTARTED))


def _compact(value: object) -> object:
    if isinstance(value, Mapping):
        inner = {key: _compact(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each is not None and each != {}}
    if isinstance(value, list | tuple):
        return [_compact(each) for each in value]
    return value


def template_fields(template: Mapping[str, object]) -> dict[str, str]:
    """Return the paths of a pod template (`metadata` and `spec` as JSON) with their values as text."""
    metadata, spec = template.get("metadata"), template.get("spec")
    found: dict[str, str] = {}
    if isinstance(metadata, Mapping):
        for part in ("labels", "annotations"):
            found.update(_fields(part, {part: metadata.get(part)}))
    if isinstance(spec, Mapping):
        for key in spec:
            found.update(_fields(str(key), spec))
    return {field: value for field, value in found.items() if field not in _HASHES}


def changed_fields(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the paths whose values differ, those of containers first.

    Of a container (or a variable, or a volume) that was not there before it is the container, once.
    """
    differing = [
        field
        for field in (*after, *(field for field in before if field not in after))
        if before.get(field) != after.get(field)
    ]
    found = {_new_whole(field, before, after): None for field in differing if field != RESTART_MARK}
    return tuple(sorted(found, key=lambda field: (not field.startswith(("containers", "initContainers")), field)))


def _new_whole(field: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the list's member to which a field belongs where only one of both sides has that member, else the field."""
    head, bracket, _ = field.partition("]")
    if not bracket or head.startswith(("nodeSelector", "labels", "annotations")):
        return field
    member = f"{head}]"
    sides = [any(each == member or each.startswith(f"{member}.") for each in side) for side in (before, after)]
    return field if all(sides) else member


def _fields(key: str, holder: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield from _flat(key, key, holder.get(key))


def _flat(field: str, key: str, value: object) -> Iterator[tuple[str, str]]:
    if value is None or value in ({}, []):
        return
    if key in WHOLE or not isinstance(value, Mapping | list | tuple):
        yield field, _text(value)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(f"{field}[{name}]" if key in BY_KEY else f"{field}.{name}", str(name), each)
    elif key == "env":
        for each in value:
            yield f"{field}[{_name_of(each, key)}]", sha256(_text(each).encode()).hexdigest()[:16]
    elif all(isinstance(each, Mapping) and _name_of(each, key) for each in value):
        for each in value:
            member = f"{field}[{_name_of(each, key)}]"
            for name, inner in each.items():
                yield from _flat(f"{member}.{name}", str(name), inner)
    else:
        yield field, _text(value)


def _name_of(each: object, key: str) -> str:
    """Return by what a member of a list is named: its name, a port's number where it has none."""
    if not isinstance(each, Mapping):
        return ""
    if key == "volumeMounts":
        return str(each.get("mountPath") or "")
    if key == "readinessGates":
        return str(each.get("conditionType") or "")
    if key == "envFrom":
        source = each.get("configMapRef") or each.get("secretRef")
        return str(source.get("name") or "") if isinstance(source, Mapping) else ""
    return str(each.get("name") or each.get("containerPort") or "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def difference(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, str]:
    """Return what the one template has, and what the other has instead; "" where there is nothing to say of one."""
    fields = changed_fields(other, one)
    parts = [_of_field(field, one, other) for field in fields[:MOST_FIELDS]]
    more = [f"{len(fields) - MOST_FIELDS} more fields changed"] if len(fields) > MOST_FIELDS else []
    return _joined([*(each for each, _ in parts), *more]), _joined([each for _, each in parts])


def _of_field(field: str, one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, str]:
    name = _short(field, {**one, **other})
    if not _is_in(field, other):
        return (f"{name} {one[field]}" if _is_shown(field, one) else f"{name} added"), f"no {name}"
    if not _is_in(field, one):
        return f"no {name}", f"{name} {other[field]}" if _is_shown(field, other) else ""
    if _is_shown(field, one) and _is_shown(field, other):
        return f"{name} {one[field]}", f"{name} {other[field]}"
    return f"{name} changed", ""


def _is_in(field: str, fields: Mapping[str, str]) -> bool:
    """Return whether a template has a field, or a member of a list that is named as a whole."""
    return field in fields or any(each.startswith(f"{field}.") for each in fields)


def _is_shown(field: str, fields: Mapping[str, str]) -> bool:
    value = fields.get(field, "")
    is_secret = ".env[" in field or field.startswith("annotations")
    return bool(value) and not is_secret and not value.startswith(("{", "[")) and len(value) <= LONGEST


def _short(field: str, fields: Mapping[str, str]) -> str:
    """Return a field without the container where there is only one."""
    containers = {each.partition("]")[0] for each in fields if each.startswith(_CONTAINERS)}
    head, _, rest = field.partition("].")
    return rest if rest and head in containers and len(containers) == 1 else field


def _joined(parts: list[str]) -> str:
    return ", ".join(each for each in parts if each)
