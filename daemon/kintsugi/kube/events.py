"""Lines of a watch, read: a change of an object, a bookmark, an error, a poisoned object, or garbage."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from kintsugi.kube.answers import UNREADABLE
from kintsugi.kube.lines import GarbledLineError
from kintsugi.objects.metadata import Object

T = TypeVar("T", bound=Object)


class EventKind(StrEnum):
    """The types of watch events."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


_CHANGES = frozenset({EventKind.ADDED, EventKind.MODIFIED, EventKind.DELETED})


class WatchEvent(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A change that could be read at once."""

    type: EventKind
    object: T


class Envelope(msgspec.Struct, frozen=True):
    """A line whose object is not (yet) understood."""

    type: EventKind
    object: msgspec.Raw


class Identity(msgspec.Struct, frozen=True, rename="camel"):
    """The least that is known of an object."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class Identified(msgspec.Struct, frozen=True):
    """An object of which only its identity is read."""

    metadata: Identity = Identity()


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
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
class Poisoned:
    """An object whose kept fields cannot be read, alive or just deleted; the rest of the stream is sound."""

    identity: Identity
    reason: str
    deleted: bool = False


class EventReader(Generic[T]):
    """Reads lines into events, with objects of one kept type; the common case in one pass over the bytes."""

    def __init__(self, kept: type[T]) -> None:
        self._events = msgspec.json.Decoder(WatchEvent[kept])  # type: ignore[valid-type]
        self._envelopes = msgspec.json.Decoder(Envelope)
        self._objects = msgspec.json.Decoder(kept)

    def read(self, line: bytes) -> WatchEvent[T] | Bookmark | Failure | Poisoned:
        """Read one line. Raises GarbledLineError when it is no event at all."""
        try:
            event: WatchEvent[T] = self._events.decode(line)
        except UNREADABLE as error:
            return self._read_in_steps(line, str(error))
        return event if event.type in _CHANGES else self._read_in_steps(line, "")

    def read_object(self, body: msgspec.Raw) -> T | Poisoned:
        """Read one item of a list."""
        try:
            return self._objects.decode(body)
        except UNREADABLE as error:
            return Poisoned(identity=_identity(body), reason=str(error))

    def _read_in_steps(self, line: bytes, reason: str) -> Bookmark | Failure | Poisoned:
        try:
            envelope = self._envelopes.decode(line)
        except UNREADABLE as error:
            raise GarbledLineError(f"not a watch event ({error}): {line[:80]!r}") from error
        if envelope.type is EventKind.ERROR:
            return Failure(status=bytes(envelope.object))
        identity = _identity(envelope.object)
        if envelope.type is EventKind.BOOKMARK:
            return Bookmark(version=identity.resource_version)
        return Poisoned(identity=identity, reason=reason, deleted=envelope.type is EventKind.DELETED)


def _identity(body: msgspec.Raw) -> Identity:
    try:
        return msgspec.json.decode(body, type=Identified).metadata
    except UNREADABLE:
        return Identity()
