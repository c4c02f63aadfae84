"""
A pod template as paths and values, and the difference of two revisions, field by field.

A field is written as in docs/faults.md: `containers[app].env[TOKEN]`, `nodeSelector[disk]`. A variable's value is a digest:
it can be compared and is never shown.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256

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
        if _differs(before, after, field)
    ]
    found = {_new_whole(field, before, after): None for field in differing if field != RESTART_MARK}
    return tuple(sorted(found, key=lambda field: (not field.startswith(("containers", "initContainers")), field)))


def _differs(before: Mapping[str, str], after: Mapping[str, str], field: str) -> bool:
    return before.get(field) != after.get(field)


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
