"""Reads the lines of a watch: a change of an object, a bookmark, an error, an undecodable object, or garbage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import astuple

from kintsugi.json_limits import max_entries
from kintsugi.kube.api_errors import UNREADABLE
from kubeobjects.metadata import Object
from kubeobjects.pods import Pod, PodSpec, PodStatus

_UNCOUNTED = 7 * 1024
"""Bytes of JSON that are not looked through for parts: they cannot have many more than are let in."""


# As many pods as a large cluster has; specs of pods that are gone are dropped by starting over.
_MOST_SPECS = 20_000
_LONGEST_SPEC = 16 * 1024

# etcd takes 1.5 MiB an object by default; as JSON it may be several times that. Beyond this it is no event.
LONGEST_LINE = 16 * 1024 * 1024

T = TypeVar("T", bound=Object)


Line = bytes | bytearray | memoryview
"""The bytes of a line."""


class GarbledLineError(ValueError):
    """The stream carries no valid line of the API server: it is endless, torn, or something else."""


class LineSplitter:
    """The lines of one stream; what follows the last newline waits for its end."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Sequence[Line]:
        """
        Take a chunk and give the lines that it completes. None is copied, however large it is, but what came in pieces is
        put together.

        Raises GarbledLineError when a line never ends.
        """
        lines: list[Line] = []
        view, start = memoryview(chunk), 0
        while (end := chunk.find(b"\n", start)) >= 0:
            line: Line = view[start:end]
            if self._rest:
                self._rest += line
                line, self._rest = self._rest, bytearray()
            lines.append(line)
            start = end + 1
        self._keep(view[start:])
        return lines

    @property
    def torn(self) -> bool:
        """Return whether the stream, if it ended now, would end inside a line."""
        return bool(self._rest)

    def _keep(self, part: memoryview) -> None:
        self._rest += part
        if len(self._rest) > self._longest:
            raise GarbledLineError(f"a line of the stream is longer than {self._longest} bytes")


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


class _PodWithoutSpec(Object, frozen=True):
    """A pod whose spec is still JSON."""

    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: PodStatus = PodStatus()


class PodEventDecoder:
    """
    Decodes events of pods, and each spec once: it is two thirds of what is kept of a pod, and hardly ever changes.

    A spec of usual size is known by the length and the hash of its bytes. The hash has 64 bits, and a key that is new in
    each process.
    """

    def __init__(self) -> None:
        self._events = msgspec.json.Decoder(WatchEvent[_PodWithoutSpec])
        self._specs = msgspec.json.Decoder(PodSpec)
        self._known: dict[tuple[int, int], PodSpec] = {}

    def decode(self, line: Line) -> WatchEvent[Pod]:
        """Decode a line. Raises what msgspec raises."""
        event = self._events.decode(line)
        pod, spec = event.object, bytes(event.object.spec)
        key = len(spec), hash(spec)
        known = self._known.get(key)
        if known is None:
            known = self._specs.decode(spec)
            if len(self._known) >= _MOST_SPECS:
                self._known.clear()
            if len(spec) <= _LONGEST_SPEC:
                self._known[key] = known
        return WatchEvent(event.type, Pod(pod.metadata, known, pod.status))


class EventReader(Generic[T]):
    """Reads lines into events, with objects of one kept type; the common case in one pass over the bytes."""

    def __init__(self, kept: type[T]) -> None:
        of_kind = msgspec.json.Decoder(WatchEvent[kept])  # type: ignore[valid-type]
        self._decode: Callable[[Line], Any] = PodEventDecoder().decode if kept is Pod else of_kind.decode
        self._envelopes = msgspec.json.Decoder(RawWatchEvent)
        self._objects = msgspec.json.Decoder(kept)

    def read(self, line: Line) -> WatchEvent[T] | Bookmark | WatchError | Undecodable:
        """Read one line. Raises GarbledLineError when it is no event at all."""
        try:
            event: WatchEvent[T] = self._decode(line)
        except UNREADABLE as error:
            return self._read_in_steps(line, str(error))
        if event.type not in _CHANGES:
            return self._read_in_steps(line, "")
        if len(line) > _UNCOUNTED and (reason := _too_many(event.object, bytes(line))):
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
        if len(body) > _UNCOUNTED and (reason := _too_many(item, bytes(body))):
            return Undecodable(identity=_identity_of(item), reason=reason)
        return item

    def _read_in_steps(self, line: Line, reason: str) -> Bookmark | WatchError | Undecodable:
        try:
            envelope = self._envelopes.decode(line)
        except UNREADABLE as error:
            raise GarbledLineError(f"not a watch event ({error}): {bytes(line[:80])!r}") from error
        if envelope.type is WatchEventType.ERROR:
            return WatchError(status=bytes(envelope.object))
        identity = _identity(envelope.object)
        if envelope.type is WatchEventType.BOOKMARK:
            return Bookmark(version=identity.resource_version)
        return Undecodable(identity=identity, reason=reason, deleted=envelope.type is WatchEventType.DELETED)


def _too_many(item: Object, body: bytes) -> str:
    """
    Return what is said of an object that has too many parts; `body` is the JSON that it was read from.

    An expression may read all of an object, and converts it on the event loop: up to 10 µs a part, whatever its size. So an
    object with far more parts than real ones have is not kept.
    """
    most = item.MOST_PARTS
    if max_entries(body) <= most // 2:
        return ""
    return f"more than {most:,} entries: so large an object is not kept" if parts_of(item, most) > most else ""


def parts_of(item: msgspec.Struct, enough: int) -> int:
    """Return how many structs, times, and entries of lists and of maps there are; where it is more than `enough`, at least that."""
    parts, rest = 0, [item]
    while rest and parts <= enough:
        parts += 1
        for value in astuple(rest.pop()):
            if isinstance(value, msgspec.Struct):
                rest.append(value)
            elif isinstance(value, datetime):
                parts += 1
            elif isinstance(value, dict):
                parts += len(value)
            elif isinstance(value, tuple) and value:
                if isinstance(value[0], msgspec.Struct):
                    rest += value
                else:
                    parts += len(value)
    return parts


def _identity_of(item: Object) -> ObjectIdentity:
    metadata = item.metadata
    return ObjectIdentity(name=metadata.name, namespace=metadata.namespace, resource_version=metadata.resource_version)


def _identity(body: msgspec.Raw) -> ObjectIdentity:
    try:
        return msgspec.json.decode(body, type=Identified).metadata
    except UNREADABLE:
        return ObjectIdentity()
