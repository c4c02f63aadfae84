"""
The arithmetic of a rolling update: the growth of the new ReplicaSet and the shrinking of the old ones.

Pure: sizes in, sizes out. The rules are those of the Deployment controller.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kubesim.manifest import Json
from kubesim.storage.defaults import percentage


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A ReplicaSet by its numbers: pods wanted and pods available."""

    name: str
    wanted: int
    available: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The bounds of a rolling update: the most pods, and the least available ones."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """Count the pods that there may be at once."""
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        """Count the pods that must be available."""
        return self.replicas - self.unavailable


def bounds_of(spec: Json) -> Bounds:
    """Read the bounds of a Deployment's strategy; both at zero means that one may be unavailable."""
    replicas: int = spec["replicas"]
    rolling = spec["strategy"].get("rollingUpdate") or {}
    surge = percentage(rolling.get("maxSurge", 0), replicas, up=True)
    unavailable = percentage(rolling.get("maxUnavailable", 0), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(replicas=replicas, surge=surge, unavailable=min(unavailable, replicas))


def grown(new: Size, old: Sequence[Size], bounds: Bounds) -> int:
    """Return how many pods the new ReplicaSet may want now."""
    if new.wanted >= bounds.replicas:
        return bounds.replicas
    left = bounds.most - new.wanted - sum(each.wanted for each in old)
    return min(bounds.replicas, new.wanted + max(0, left))


def shrunk(new: Size, old: Sequence[Size], bounds: Bounds) -> dict[str, int]:
    """Return how many pods each old ReplicaSet may keep: unavailable ones go first, the oldest ReplicaSets too."""
    total = new.wanted + sum(each.wanted for each in old)
    removable = total - bounds.least_available - max(0, new.wanted - new.available)
    sizes = {each.name: each.wanted for each in old}
    if removable <= 0:  # what is reported as available may be a pod that is on its way out already
        return sizes
    for each in old:
        gone = min(max(0, removable), each.wanted - min(each.wanted, each.available))
        sizes[each.name] -= gone
        removable -= gone
    spare = new.available + sum(each.available for each in old) - bounds.least_available
    for each in old:
        gone = min(max(0, spare), sizes[each.name])
        sizes[each.name] -= gone
        spare -= gone
    return sizes
