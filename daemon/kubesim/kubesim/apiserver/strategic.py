"""
Strategic merge patches: merge patches that know which lists are keyed, and by what.

The keys are those of the Kubernetes API types (`patchMergeKey` in their Go tags) for the lists that
occur in the resources served here. A list that is not named here is replaced, as in a merge patch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

MERGE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port"),
    "topologySpreadConstraints": ("topologyKey",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""List field to the key of its items; of several, the first that the items have (container or Service ports)."""

SETS: Final = frozenset({"finalizers"})
"""Lists of scalars that merge as sets."""

DIRECTIVE: Final = "$patch"
DELETE_PREFIX: Final = "$deleteFromPrimitiveList/"
ORDER_PREFIX: Final = "$setElementOrder/"
RETAIN: Final = "$retainKeys"


def strategic_patch(target: Any, patch: Any) -> Any:
    """Apply a strategic merge patch to an object or a part of one."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, Any] = dict(target) if isinstance(target, dict) else {}
    if patch.get(DIRECTIVE) == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    if RETAIN in patch:
        merged = {key: value for key, value in merged.items() if key in patch[RETAIN]}
    for key, value in patch.items():
        _put(merged, key, value)
    return merged


def _put(merged: dict[str, Any], key: str, value: Any) -> None:
    if key.startswith(DELETE_PREFIX):
        field = key.removeprefix(DELETE_PREFIX)
        merged[field] = [item for item in merged.get(field, ()) if item not in value]
    elif key.startswith(ORDER_PREFIX) or key in (DIRECTIVE, RETAIN):
        return
    elif value is None or _is_deletion(value):
        merged.pop(key, None)
    elif isinstance(value, list):
        merged[key] = _merged_list(key, merged.get(key) or [], value)
    else:
        merged[key] = strategic_patch(merged.get(key), value)


def _is_deletion(value: Any) -> bool:
    return isinstance(value, dict) and value.get(DIRECTIVE) == "delete"


def _merged_list(field: str, current: Sequence[Any], patch: Sequence[Any]) -> list[Any]:
    if field in SETS:
        left = [item for item in current if item not in patch]
        return _ordered(left, list(patch), [*current], lambda item: item)
    key = _key_of(field, patch)
    if key is None or any(item.get(DIRECTIVE) == "replace" for item in patch if isinstance(item, dict)):
        return [item for item in patch if not (isinstance(item, dict) and set(item) == {DIRECTIVE})]
    before = {item.get(key): item for item in current}
    patched = [item[key] for item in patch]
    merged = [
        strategic_patch(before.get(item[key]), item) if item[key] in before else item
        for item in patch
        if item.get(DIRECTIVE) != "delete"
    ]
    left = [item for item in current if item.get(key) not in patched]
    return _ordered(left, merged, list(before), lambda item: item.get(key))


def _ordered(left: list[Any], patched: list[Any], before: list[Any], key: Callable[[Any], Any]) -> list[Any]:
    """Mix what was not patched with what was: in the old order, but new items come before what they are next to."""
    result = []
    while left and patched:
        one, other = key(left[0]), key(patched[0])
        first = one in before and other in before and before.index(one) < before.index(other)
        result.append((left if first else patched).pop(0))
    return [*result, *left, *patched]


def _key_of(field: str, items: Sequence[Any]) -> str | None:
    if not all(isinstance(item, dict) for item in items):
        return None
    named = [item for item in items if set(item) != {DIRECTIVE}]
    return next((key for key in MERGE_KEYS.get(field, ()) if all(key in item for item in named)), None)
