"""Compares pod templates by their content, by a digest."""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""The annotation by which `rollout restart` makes a template a new one."""


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
