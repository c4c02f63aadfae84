"""The daemon's reflectors: one a kind, started together, with one answer to whether they can be trusted."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from kintsugi.kube.client import KubeClient
from kintsugi.kube.object_cache import Change
from kintsugi.kube.reflector import Reflector
from kubeobjects import resources
from kubeobjects.kept import (
    DaemonSet,
    Deployment,
    EndpointSlice,
    Event,
    HorizontalPodAutoscaler,
    KubeService,
    Namespace,
    Node,
    Object,
    PersistentVolumeClaim,
    Pod,
    ReplicaSet,
    StatefulSet,
)
from kubeobjects.resources import Resource

T = TypeVar("T", bound=Object)

_EVENT_KINDS = frozenset({"Pod", "PersistentVolumeClaim"})
"""The kinds of objects whose Events a rule may be about."""

_OF_HEALTH = frozenset({"pods", "pvcs", "services", "endpoints"})
_OF_WORKLOAD: Mapping[Resource, frozenset[str]] = {
    resources.DEPLOYMENTS: _OF_HEALTH | {"deployments", "replica_sets"},
    resources.STATEFULSETS: _OF_HEALTH | {"stateful_sets"},
    resources.DAEMONSETS: _OF_HEALTH | {"daemon_sets"},
}
"""The kinds by which the health of a service is judged, by the kind of its workload."""


class Sight(NamedTuple):
    """How well the kinds are seen by which a service's health is judged; `gaps` grows with each gap that is over."""

    is_current: bool
    gaps: int


@dataclass(frozen=True, kw_only=True)
class Caches:
    """
    The reflectors of every kind that decisions use.

    Events are only hints (they are lost, aggregated and expire), so that they do not count for freshness.
    """

    pods: Reflector[Pod]
    pvcs: Reflector[PersistentVolumeClaim]
    nodes: Reflector[Node]
    events: Reflector[Event]
    services: Reflector[KubeService]
    endpoints: Reflector[EndpointSlice]
    deployments: Reflector[Deployment]
    replica_sets: Reflector[ReplicaSet]
    stateful_sets: Reflector[StatefulSet]
    daemon_sets: Reflector[DaemonSet]
    autoscalers: Reflector[HorizontalPodAutoscaler]
    namespaces: Reflector[Namespace]

    @classmethod
    def of(cls, kube: KubeClient, make: Callable[..., Reflector[Any]] = Reflector) -> "Caches":
        """Create one reflector a kind over `kube`; none runs yet."""
        return cls(
            pods=make(kube, resources.PODS, Pod),
            pvcs=make(kube, resources.PVCS, PersistentVolumeClaim),
            nodes=make(kube, resources.NODES, Node),
            events=make(kube, resources.EVENTS, Event),
            services=make(kube, resources.SERVICES, KubeService),
            endpoints=make(kube, resources.ENDPOINTSLICES, EndpointSlice),
            deployments=make(kube, resources.DEPLOYMENTS, Deployment),
            replica_sets=make(kube, resources.REPLICASETS, ReplicaSet),
            stateful_sets=make(kube, resources.STATEFULSETS, StatefulSet),
            daemon_sets=make(kube, resources.DAEMONSETS, DaemonSet),
            autoscalers=make(kube, resources.HPAS, HorizontalPodAutoscaler),
            namespaces=make(kube, resources.NAMESPACES, Namespace),
        )

    def keep_events_in(self, namespaces: Collection[str]) -> None:
        """Keep the Events about pods and claims in these namespaces; no other is ever asked for, and they are most."""
        self.events.keep_only(
            lambda event: event.involved_object.kind in _EVENT_KINDS and event.involved_object.namespace in namespaces
        )

    def __iter__(self) -> Iterator[tuple[str, Reflector[Any]]]:
        return ((each.name, getattr(self, each.name)) for each in fields(self))

    async def run(self) -> None:
        """Keep all of them up to date until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, reflector in self:
                tasks.create_task(reflector.run(), name=f"watch {name}")

    async def synced(self) -> None:
        """Wait until every kind that decisions rest on has been listed completely."""
        for _, reflector in self._decisive():
            await reflector.wait_synced(timedelta.max)

    def ages(self) -> Iterator[tuple[str, float]]:
        """Yield for each kind how many seconds ago its watch was heard; infinite when it never was."""
        now = asyncio.get_running_loop().time()
        return ((name, reflector.age(now)) for name, reflector in self)

    def silent_for(self) -> float:
        """Return for how many seconds a kind that decisions rest on is not heard: of several the longest, infinite for never."""
        now, decisive = asyncio.get_running_loop().time(), [reflector for _, reflector in self._decisive()]
        return max(each.age(now) for each in [each for each in decisive if each.problem] or decisive)

    def sight(self, workload: Resource, monotonic: float, stale_after: timedelta) -> Sight:
        """Return how well the health of services with such a workload is seen."""
        kinds = _OF_WORKLOAD.get(workload, _OF_HEALTH)
        stale = self.stale_reason(monotonic, stale_after, kinds)
        return Sight(not stale, sum(reflector.gaps for name, reflector in self if name in kinds))

    def stale_reason(self, monotonic: float, stale_after: timedelta, kinds: Collection[str] | None = None) -> str:
        """
        Return which kind cannot be trusted now and why; empty when all can, or all of `kinds`.

        A watch that sends bookmarks is stale when none comes; another one is heard when it is opened anew.
        """
        for name, reflector in self._decisive():
            if kinds is not None and name not in kinds:
                continue
            if not reflector.synced:
                return f"the cache of {name.replace('_', ' ')} is not synced yet"
            if reflector.problem:
                return f"the watch of {name.replace('_', ' ')} is interrupted: {reflector.problem}"
            age = reflector.age(monotonic)
            longest = stale_after if reflector.sends_bookmarks else stale_after + reflector.silence
            if age > longest.total_seconds():
                return f"the watch of {name.replace('_', ' ')} has been silent for {age:.0f} s"
        return ""

    def _decisive(self) -> Iterator[tuple[str, Reflector[Any]]]:
        """Yield the kinds that decisions rest on: all but events, which are only hints."""
        return ((name, reflector) for name, reflector in self if name != "events")


class ByNamespace(Generic[T]):
    """A reflector's objects, found by namespace without going through all of them."""

    def __init__(self, reflector: Reflector[T]) -> None:
        self._objects: dict[str, dict[str, T]] = {}
        for item in reflector.store.values():
            self._put(item)
        reflector.subscribe(self._note)

    def within(self, namespace: str) -> Iterable[T]:
        """List the objects of one namespace."""
        return self._objects.get(namespace, {}).values()

    def _put(self, item: T) -> None:
        self._objects.setdefault(item.metadata.namespace, {})[item.metadata.name] = item

    def _note(self, change: Change[T]) -> None:
        if change.new is not None:
            self._put(change.new)
        elif change.old is not None:
            self._objects.get(change.old.metadata.namespace, {}).pop(change.old.metadata.name, None)
