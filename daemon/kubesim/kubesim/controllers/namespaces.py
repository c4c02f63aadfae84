"""The namespace controller: each namespace gets its default service account; its content is deleted with it."""

from collections.abc import Iterable
from typing import Final

from kubeobjects import resources
from kubesim.controllers.control import Key
from kubesim.manifest import deleting, name_of, namespace_of
from kubesim.storage.registry import DeleteOptions, Registry
from kubesim.storage.store import Change, ChangeType

INITIAL: Final = ("default", "kube-system", "kube-public", "kube-node-lease")


class Namespaces:
    """Furnish and clear namespaces."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store

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
