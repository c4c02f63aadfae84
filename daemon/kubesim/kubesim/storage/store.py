"""
The embedded cluster's etcd: every object, one growing version, and the history that watches replay.

The registry is its only writer; watches and controllers subscribe to its changes.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from kubeobjects.resources import Resource
from kubesim.manifest import Json, name_of, namespace_of

HISTORY = 50_000
"""Changes that are kept for watches; what is older is answered with 410."""


class ChangeType(StrEnum):
    """The type of an object's change, in the words of a watch."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One step of the store: `object` is its state after (the last one, when it was deleted)."""

    type: ChangeType
    resource: Resource
    version: int
    object: Json
    previous: Json | None


class Compacted(LookupError):
    """The history that was asked for has been dropped."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")


class Store:
    """Keep objects by resource, namespace and name. Objects handed out must not be changed in place."""

    def __init__(self, *, history: int = HISTORY) -> None:
        self._objects: dict[Resource, dict[tuple[str, str], Json]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._subscribers: list[Callable[[Change], None]] = []
        self._oldest = 1
        self.version = 1

    def get(self, resource: Resource, namespace: str | None, name: str) -> Json | None:
        """Find one object."""
        return self._objects.get(resource, {}).get((namespace or "", name))

    def list(self, resource: Resource, namespace: str | None = None) -> list[Json]:
        """List the objects of a resource in key order, in one namespace or in all."""
        kept = self._objects.get(resource, {})
        keys = sorted(key for key in kept if namespace is None or key[0] == namespace)
        return [kept[key] for key in keys]

    def resources(self) -> tuple[Resource, ...]:
        """Name every resource that has objects."""
        return tuple(resource for resource, kept in self._objects.items() if kept)

    def put(self, resource: Resource, obj: Json) -> Json:
        """Write an object under a new version and notify the subscribers."""
        key = (namespace_of(obj) or "", name_of(obj))
        kept = self._objects.setdefault(resource, {})
        previous = kept.get(key)
        stored = self._stamped(obj)
        kept[key] = stored
        self._notify(ChangeType.MODIFIED if previous else ChangeType.ADDED, resource, stored, previous)
        return stored

    def remove(self, resource: Resource, obj: Json) -> Json:
        """Drop an object; its last state carries the version of its removal."""
        previous = self._objects[resource].pop((namespace_of(obj) or "", name_of(obj)))
        last = self._stamped(obj)
        self._notify(ChangeType.DELETED, resource, last, previous)
        return last

    def since(self, version: int) -> Iterator[Change]:
        """Yield the changes after a version; raise Compacted when some of them are gone."""
        if version < self._oldest - 1:
            raise Compacted(version, self._oldest)
        return (change for change in tuple(self._history) if change.version > version)

    def compact(self) -> None:
        """Drop the history, as etcd does every five minutes."""
        self._history.clear()
        self._oldest = self.version + 1

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call back on every change from now on; the answer ends the subscription."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def _stamped(self, obj: Json) -> Json:
        self.version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}

    def _notify(self, kind: ChangeType, resource: Resource, obj: Json, previous: Json | None) -> None:
        if len(self._history) == self._history.maxlen:
            self._oldest = self._history[0].version + 1
        change = Change(type=kind, resource=resource, version=self.version, object=obj, previous=previous)
        self._history.append(change)
        for subscriber in tuple(self._subscribers):
            subscriber(change)
