"""Reads the lines of a watch: a change of an object, a bookmark, an error, an undecodable object, or garbage."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from kintsugi.kube.api_errors import UNREADABLE
from kintsugi.kube.line_splitter import GarbledLineError
from kintsugi.kube.parts import UNCOUNTED, too_many
from kubeobjects.metadata import Object

T = TypeVar("T", bound=Object)


class WatchEventType(StrEnum):
    """The types of watch events."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


_CHANGES = frozenset({WatchEventType.ADDED, WatchEventType.MODIFIED, WatchEventType.DELETED})


class WatchEvent(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A change that could be read at once."""

    type: WatchEventType
    object: T


class RawWatchEvent(msgspec.Struct, frozen=True):
    """A line whose object is not (yet) understood."""

    type: WatchEventType
    object: msgspec.Raw


class ObjectIdentity(msgspec.Struct, frozen=True, rename="camel"):
    """The least that is known of an object."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class Identified(msgspec.Struct, frozen=True):
    """An object of which only its identity is read."""

    metadata: ObjectIdentity = ObjectIdentity()


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchError:
    """An ERROR event: the server ends the watch; `status` is its JSON."""

    status: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Bookmark:
    """
    A version that the watch has come to. Its object is an empty one.

    A real server writes null where such an object's lists would be, so that it cannot be read as one of its kind.
    """

    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Undecodable:
    """An object whose kept fields cannot be read, or are too many, alive or just deleted; the rest of the stream is sound."""

    identity: ObjectIdentity
    reason: str
    deleted: bool = False


class EventReader(Generic[T]):
    """Reads lines into events, with objects of one kept type; the common case in one pass over the bytes."""

    def __init__(self, kept: type[T]) -> None:
        self._events = msgspec.json.Decoder(WatchEvent[kept])  # type: ignore[valid-type]
        self._envelopes = msgspec.json.Decoder(RawWatchEvent)
        self._objects = msgspec.json.Decoder(kept)

    def read(self, line: bytes) -> WatchEvent[T] | Bookmark | WatchError | Undecodable:
        """Read one line. Raises GarbledLineError when it is no event at all."""
        try:
            event: WatchEvent[T] = self._events.decode(line)
        except UNREADABLE as error:
            return self._read_in_steps(line, str(error))
        if event.type not in _CHANGES:
            return self._read_in_steps(line, "")
        if len(line) > UNCOUNTED and (reason := too_many(event.object, line)):
            return Undecodable(
                identity=_identity_of(event.object), reason=reason, deleted=event.type is WatchEventType.DELETED
            )
        return event

    def read_object(self, body: msgspec.Raw) -> T | Undecodable:
        """Read one item of a list."""
        try:
            item = self._objects.decode(body)
        except UNREADABLE as error:
            return Undecodable(identity=_identity(body), reason=str(error))
        reason = too_many(item, bytes(body))
        return Undecodable(identity=_identity_of(item), reason=reason) if reason else item

    def _read_in_steps(self, line: bytes, reason: str) -> Bookmark | WatchError | Undecodable:
        try:
            envelope = self._envelopes.decode(line)
        except UNREADABLE as error:
            raise GarbledLineError(f"not a watch event ({error}): {line[:80]!r}") from error
        if envelope.type is WatchEventType.ERROR:
            return WatchError(status=bytes(envelope.object))
        identity = _identity(envelope.object)
        if envelope.type is WatchEventType.BOOKMARK:
            return Bookmark(version=identity.resource_version)
        return Undecodable(identity=identity, reason=reason, deleted=envelope.type is WatchEventType.DELETED)


def _identity_of(item: Object) -> ObjectIdentity:
    metadata = item.metadata
    return ObjectIdentity(name=metadata.name, namespace=metadata.namespace, resource_version=metadata.resource_version)


def _identity(body: msgspec.Raw) -> ObjectIdentity:
    try:
        return msgspec.json.decode(body, type=Identified).metadata
    except UNREADABLE:
        return ObjectIdentity()
