"""
Garbage collection: dependents follow their owner, before it (Foreground), after it (Background) or not (Orphan), and the
content of a namespace goes with it. Each namespace gets its default service account.
"""

from collections.abc import Iterable
from typing import Final

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.controllers.control import Controller, Key
from kubesim.manifest import Json, deleting, name_of, namespace_of, uid_of
from kubesim.storage.registry import FINALIZERS, DeleteOptions, Propagation, Registry
from kubesim.storage.store import Change, ChangeType

INITIAL: Final = ("default", "kube-system", "kube-public", "kube-node-lease")


class GarbageCollector(Controller):
    """Delete what has lost its owner. Keys are uids of owners, in place of names."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._going: dict[str, tuple[Resource, str | None, str]] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at an owner when it is deleted or about to be, and when a dependent goes."""
        obj = change.object
        if change.type is ChangeType.DELETED or deleting(obj):
            self._going[uid_of(obj)] = (change.resource, namespace_of(obj), name_of(obj))
            yield (None, uid_of(obj))
        if change.type in (ChangeType.DELETED, ChangeType.ADDED):
            for reference in obj["metadata"].get("ownerReferences") or ():
                if reference["uid"] in self._going:
                    yield (None, reference["uid"])

    def reconcile(self, key: Key) -> float | None:
        """Deal with the dependents of one owner."""
        uid = key[1]
        resource, namespace, name = self._going[uid]
        owner = self._store.get(resource, namespace, name)
        if owner is None or uid_of(owner) != uid:
            self._delete_all(self._dependents(uid))
            return None
        finalizers = owner["metadata"].get("finalizers") or ()
        if FINALIZERS[Propagation.ORPHAN] in finalizers:
            for dependent_of, dependent in self._dependents(uid):
                self._orphan(dependent_of, dependent, uid)
            self._registry.drop_finalizer(resource, owner, FINALIZERS[Propagation.ORPHAN])
        elif FINALIZERS[Propagation.FOREGROUND] in finalizers:
            dependents = self._dependents(uid)
            self._delete_all(dependents)
            if not self._dependents(uid):
                self._registry.drop_finalizer(resource, owner, FINALIZERS[Propagation.FOREGROUND])
        return None

    def _dependents(self, uid: str) -> list[tuple[Resource, Json]]:
        return [
            (resource, obj)
            for resource in self._store.resources()
            for obj in self._store.list(resource)
            if any(reference["uid"] == uid for reference in obj["metadata"].get("ownerReferences") or ())
        ]

    def _delete_all(self, dependents: Iterable[tuple[Resource, Json]]) -> None:
        for resource, obj in dependents:
            if not deleting(obj) and self._store.get(resource, namespace_of(obj), name_of(obj)) is not None:
                self._registry.delete(resource, namespace_of(obj), name_of(obj), DeleteOptions())

    def _orphan(self, resource: Resource, obj: Json, uid: str) -> None:
        def change(current: Json) -> Json:
            references = current["metadata"].get("ownerReferences") or ()
            current["metadata"]["ownerReferences"] = [each for each in references if each["uid"] != uid]
            return current

        self._registry.update(resource, namespace_of(obj), name_of(obj), change)


class Namespaces(Controller):
    """Furnish and clear namespaces."""

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a namespace when it changes, and at one that is going when something in it goes."""
        if change.resource == resources.NAMESPACES:
            yield (None, name_of(change.object))
        namespace = namespace_of(change.object)
        if namespace is not None and change.type is ChangeType.DELETED:
            yield (None, namespace)

    def reconcile(self, key: Key) -> float | None:
        """Furnish a new namespace; empty and drop one that is being deleted."""
        found = self._store.get(resources.NAMESPACES, *key)
        if found is None:
            return None
        name = name_of(found)
        if not deleting(found):
            if self._store.get(resources.SERVICEACCOUNTS, name, "default") is None:
                self._registry.create(resources.SERVICEACCOUNTS, name, {"metadata": {"name": "default"}})
            return None
        if self._clear(name):
            self._store.remove(resources.NAMESPACES, found)
        return None

    def _clear(self, namespace: str) -> bool:
        """Delete everything in a namespace; return whether nothing is left."""
        left = [
            (resource, obj)
            for resource in self._store.resources()
            for obj in self._store.list(resource, namespace)
            if resource.namespaced
        ]
        for resource, obj in left:
            if not deleting(obj) and self._store.get(resource, namespace, name_of(obj)) is not None:
                self._registry.delete(resource, namespace, name_of(obj), DeleteOptions())
        return not left
