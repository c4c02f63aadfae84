"""
Cause first: whether a service's trouble may come from one that it depends on.

Pure. The pipeline asks before a claim, and again when a hold may end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from graphlib import TopologicalSorter

from kintsugi.model.documents import Service
from kintsugi.model.views import ServiceView


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """A dependent waits for `upstream`; after `until` a person is told and it is judged by itself."""

    upstream: str
    why: str
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """What decides a hold: the views of all services, who is being recovered, and how long a hold may last."""

    views: Mapping[str, ServiceView]
    recovering: frozenset[str]
    limit: timedelta


def upstreams_of(name: str, services: Mapping[str, Service]) -> tuple[str, ...]:
    """List everything that a service depends on, directly or not, the deepest cause first."""
    graph: dict[str, tuple[str, ...]] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in graph:
            graph[current] = services[current].depends_on
            waiting.extend(graph[current])
    order = TopologicalSorter(graph).static_order()
    return tuple(each for each in order if each != name)


def hold(service: Service, services: Mapping[str, Service], upstream: Upstream, *, since: datetime) -> Hold | None:
    """
    Say for which upstream a service's run must wait, or None.

    An upstream counts while it is not *serving* or is being recovered. A hold ends after `limit` (15 minutes by default,
    DESIGN 7), counted from `since`, when the trouble was first seen.
    """
    for name in upstreams_of(service.name, services):
        view = upstream.views.get(name)
        if name in upstream.recovering:
            return Hold(upstream=name, why=f"{name} is being recovered", until=since + upstream.limit)
        if view is not None and view.fresh and view.desired > 0 and not view.serving:
            why = f"{name} is not serving ({view.ready} of {view.desired} ready)"
            return Hold(upstream=name, why=why, until=since + upstream.limit)
    return None
