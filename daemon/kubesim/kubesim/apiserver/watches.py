"""
Watches: the changes after a version, as lines of JSON, until the client or the timeout ends them.

An object that leaves the selection is sent as DELETED, one that enters it as ADDED. Faults reach open streams through
`Stream`.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

from kubeobjects.resources import Resource
from kubesim.manifest import Json, namespace_of
from kubesim.storage.selectors import Matcher
from kubesim.storage.status import ApiRefusal, expired
from kubesim.storage.store import Change, ChangeType, Compacted, Store


def as_it_is(obj: Json) -> Json:
    """Show an object whole."""
    return obj


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """The watch that a client asks for: its selection and its form. `version` 0 starts with the present objects."""

    resource: Resource
    namespace: str | None
    matcher: Matcher
    version: int
    bookmarks: bool
    show: Callable[[Json], Json] = as_it_is
    initial_events: bool = False

    def selects(self, obj: Json) -> bool:
        """Return whether an object is in the selection."""
        return (self.namespace is None or namespace_of(obj) == self.namespace) and self.matcher(obj)

    def event(self, change: Change) -> Json | None:
        """Return a change in the words of this watch; None when it does not concern it."""
        if change.resource != self.resource:
            return None
        before = change.previous is not None and self.selects(change.previous)
        after = change.type is not ChangeType.DELETED and self.selects(change.object)
        if not (before or after):
            return None
        if after:
            return {"type": ChangeType.MODIFIED if before else ChangeType.ADDED, "object": change.object}
        return {"type": ChangeType.DELETED, "object": self._last(change)}

    def shown(self, event: Json) -> Json:
        """Write an event in the form that the client asked for."""
        return event if event["type"] == "BOOKMARK" else {**event, "object": self.show(event["object"])}

    def _last(self, change: Change) -> Json:
        """Show an object as it last was in the selection, under the version at which it left."""
        if change.type is ChangeType.DELETED or change.previous is None:
            return change.object
        metadata = {**change.previous["metadata"], "resourceVersion": str(change.version)}
        return {**change.previous, "metadata": metadata}


class Stream:
    """
    One open watch: a queue of lines that the server sends, and that faults may interfere with.

    `doom` is done to the stream once it has sent `doom_after` events.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.silent = False
        self.doom: Callable[[Stream], None] | None = None
        self.doom_after = 0
        self._sent = 0
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, event: Json) -> None:
        """Send an event, unless the stream has been silenced."""
        self.check_doom()
        self.send_raw(orjson.dumps(event) + b"\n")
        self._sent += 1

    def send_raw(self, line: bytes) -> None:
        """Send bytes as they are."""
        if not self.silent:
            self._lines.put_nowait(line)

    def end(self) -> None:
        """End the stream, unless it has been silenced; what is sent later goes nowhere."""
        if not self.silent:
            self._lines.put_nowait(None)
            self.silent = True

    def check_doom(self) -> None:
        """Strike the stream when its time has come."""
        if self.doom is not None and self._sent >= self.doom_after:
            strike, self.doom = self.doom, None
            strike(self)

    async def next_line(self) -> bytes | None:
        """Wait for the next line; None is the end."""
        return await self._lines.get()


def begin(store: Store, watch: Watch, stream: Stream) -> Callable[[], None]:
    """
    Send the first events of a watch and all that follow; calling the result ends it.

    A version that the history does not reach is reported in the stream, as the real server's watch cache does.
    """
    stream.check_doom()
    try:
        for event in _first_events(store, watch):
            stream.send(watch.shown(event))
    except Compacted as problem:
        stream.send(error_event(expired(str(problem))))
        stream.end()

    def on_change(change: Change) -> None:
        event = watch.event(change)
        if event is not None:
            stream.send(watch.shown(event))

    return store.subscribe(on_change)


def bookmark(resource: Resource, version: int, *, initial: bool = False) -> Json:
    """Write a bookmark: nothing new for this watch up to a version."""
    metadata: Json = {"resourceVersion": str(version)}
    if initial:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    return {"type": "BOOKMARK", "object": obj}


def error_event(refusal: ApiRefusal) -> Json:
    """Write a refusal as an event in the stream."""
    return {"type": "ERROR", "object": refusal.body}


def _first_events(store: Store, watch: Watch) -> Iterator[Json]:
    if watch.version == 0:
        for obj in store.list(watch.resource, watch.namespace):
            if watch.selects(obj):
                yield {"type": ChangeType.ADDED, "object": obj}
        if watch.initial_events:
            yield bookmark(watch.resource, store.version, initial=True)
        return
    for change in store.since(watch.version):
        event = watch.event(change)
        if event is not None:
            yield event
