"""
The object cache of a reflector: the objects of one kind as last seen, and the subscribers to their changes.

The cache compares the objects that the reflector delivers. Subscribers see a consistent sequence of changes even after a gap: an
object with a new uid is deleted and added, and one that vanished in the gap is deleted.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, TypeVar

import msgspec
import structlog

from kintsugi.telemetry import Containment, FailureScope
from kubeobjects.metadata import Object

T = TypeVar("T", bound=Object)
Key = tuple[str, str]

_log = structlog.get_logger(__name__)


class ChangeKind(StrEnum):
    """The kind of a change of an object."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


class Change(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One change. `old` is None for ADDED, `new` is None for DELETED, where `old` is the last known state."""

    kind: ChangeKind
    old: T | None
    new: T | None

    @property
    def subject(self) -> T:
        """Return the object that the change is about, as it was last."""
        subject = self.new if self.new is not None else self.old
        assert subject is not None
        return subject


Subscriber = Callable[[Change[T]], None]


class ObjectCache(Generic[T]):
    """Objects by (namespace, name). Nothing that a subscriber raises reaches the caller."""

    def __init__(self, kind: str = "object") -> None:
        self._kind = kind
        self.containment = Containment()
        self._objects: dict[Key, T] = {}
        self._undecodable_objects: dict[Key, str] = {}
        self._subscribers: list[Subscriber[T]] = []
        self.objects: Mapping[Key, T] = MappingProxyType(self._objects)
        self.undecodable_objects: Mapping[Key, str] = MappingProxyType(self._undecodable_objects)
        self.undecodable_count = 0
        self.subscriber_failures = 0

    def subscribe(self, subscriber: Subscriber[T]) -> None:
        """Call `subscriber` with every change from now on, in order, from within the event loop. It must not block."""
        self._subscribers.append(subscriber)

    def put(self, key: Key, new: T) -> None:
        """Take in a state of an object; one that is known already (same resourceVersion) changes nothing."""
        old = self._objects.get(key)
        if self._undecodable_objects:
            self._undecodable_objects.pop(key, None)
        if old is None:
            self._objects[key] = new
            self._notify(Change(ChangeKind.ADDED, None, new))
        elif old.metadata.resource_version != new.metadata.resource_version:
            self._replace(key, old, new)

    def _replace(self, key: Key, old: T, new: T) -> None:
        if old.metadata.uid == new.metadata.uid:
            self._objects[key] = new
            self._notify(Change(ChangeKind.MODIFIED, old, new))
        else:
            del self._objects[key]
            self._notify(Change(ChangeKind.DELETED, old, None))
            self._objects[key] = new
            self._notify(Change(ChangeKind.ADDED, None, new))

    def remove(self, key: Key, last: T | None = None) -> None:
        """Remove an object; `last` is its final state where the server sent it."""
        self._undecodable_objects.pop(key, None)
        old = self._objects.pop(key, None)
        if old is not None:
            self._notify(Change(ChangeKind.DELETED, last if last is not None else old, None))

    def mark_undecodable(self, key: Key, reason: str) -> None:
        """
        Set an object aside that could not be read.

        It leaves the cache, as deleted: its last known state is no longer true, and nothing is decided on it.
        """
        self.undecodable_count += 1
        if self._undecodable_objects.get(key) != reason:
            _log.warning("undecodable object skipped", namespace=key[0], name=key[1], reason=reason)
        self.remove(key)
        self._undecodable_objects[key] = reason

    def _notify(self, change: Change[T]) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(change)
            # Contained: one listener's defect must neither stop the stream nor keep the news from the others.
            except Exception as error:  # noqa: BLE001
                self._contain(change, error)

    def _contain(self, change: Change[T], error: Exception) -> None:
        self.subscriber_failures += 1
        metadata = change.subject.metadata
        self.containment.contain(FailureScope.OBJECT, f"{self._kind} {metadata.namespace}/{metadata.name}", error)
