"""
Finds the causes among several unhealthy services: those that depend on no other of them, directly or not.

Pure, and linear in the services and their dependencies: it is asked before every change.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from kintsugi.model.services import Service


def causes(ill: AbstractSet[str], services: Mapping[str, Service]) -> frozenset[str]:
    """Return which of the ill services have no ill upstream. The catalog has no cycles; a cycle would have no cause."""
    below: dict[str, bool] = {}
    for name in ill:
        _follow(name, ill, services, below)
    return frozenset(name for name in ill if not below[name])


def _follow(name: str, ill: AbstractSet[str], services: Mapping[str, Service], below: dict[str, bool]) -> None:
    """Note whether a service and all that it depends on have an ill upstream; without recursion, a chain may be long."""
    waiting = [name]
    while waiting:
        current = waiting[-1]
        if current in below:
            waiting.pop()
            continue
        upstreams = [each for each in services[current].depends_on if each in services]
        open_still = [each for each in upstreams if each not in below]
        if open_still:
            waiting += open_still
            continue
        below[current] = any(each in ill or below[each] for each in upstreams)
        waiting.pop()
