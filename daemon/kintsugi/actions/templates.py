"""Pod templates by their content: the same one is known again, whoever wrote it."""

from collections.abc import Mapping
from hashlib import sha256

import orjson

from kintsugi.actions import live
from kintsugi.actions.live import Live

RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""The annotation by which `rollout restart` makes a template a new one."""


def template_digest(template: Live) -> str:
    """Name a pod template by its content; an absent field, a null and an empty one are the same."""
    return sha256(orjson.dumps(_compact(template), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def differ_in_stamp_only(one: Live, other: Live) -> bool:
    """Tell whether two templates make the same pods: no more lies between them than a restart."""
    return unstamped_digest(one) == unstamped_digest(other)


def unstamped_digest(template: Live) -> str:
    """Name a pod template by its content but for the stamp of a restart."""
    return template_digest(live.without(template, "metadata", "annotations", RESTARTED))


def _compact(value: object) -> object:
    if isinstance(value, Mapping):
        inner = {key: _compact(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each is not None and each != {}}
    if isinstance(value, list | tuple):
        return [_compact(each) for each in value]
    return value
