"""Caches without a server: reflectors that are told what there is, and how old their news is."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from kintsugi.kube.object_cache import Change, Key, ObjectCache, Subscriber
from kintsugi.views import Caches
from kubeobjects.kept import Metadata, Namespace, Object, Pod
from kubeobjects.resources import Resource


class ScriptedReflector:
    """A reflector whose objects are put in by the test."""

    def __init__(self, _kube: object, resource: Resource, _kept: object) -> None:
        self.resource = resource
        self.mirror: ObjectCache[Any] = ObjectCache()
        self.store: Mapping[Key, Any] = self.mirror.objects
        self.undecodable_objects: Mapping[Key, str] = self.mirror.undecodable_objects
        self.synced = True
        self.problem = ""
        self.silent_for = 0.0
        self.silence = timedelta(seconds=60)
        self.sends_bookmarks = True
        self.gaps = 0

    def age(self, _now: float) -> float:
        """Return the seconds since the server was last heard."""
        return self.silent_for

    async def wait_synced(self, _within: timedelta) -> None:
        """Wait for the first list: for ever, where there is none."""
        if not self.synced:
            await asyncio.Event().wait()

    def subscribe(self, subscriber: Subscriber[Any]) -> None:
        """Call `subscriber` with every change."""
        self.mirror.subscribe(subscriber)

    def keep_only(self, wanted: Callable[[Any], bool]) -> None:
        """Keep what is wanted."""
        self.wanted = wanted

    def put(self, item: Object) -> None:
        """Let an object be so."""
        self.mirror.put((item.metadata.namespace, item.metadata.name), item)

    def drop(self, item: Object) -> None:
        """Let an object be gone."""
        self.mirror.remove((item.metadata.namespace, item.metadata.name))


def scripted_caches() -> Any:
    """Make caches of nothing; with a pod its namespace is there."""
    caches: Any = Caches.of(None, ScriptedReflector)  # type: ignore[arg-type]

    def note(change: Change[Pod]) -> None:
        name = change.subject.metadata.namespace
        if ("", name) not in caches.namespaces.store:
            caches.namespaces.put(Namespace(metadata=Metadata(name=name)))

    caches.pods.subscribe(note)
    return caches
