"""Records the Events of controllers and kubelets about objects; a repeated one is counted."""

import secrets
from typing import Final

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.manifest import Json, name_of, namespace_of, object_reference, timestamp, uid_of
from kubesim.storage.registry import Registry

NORMAL: Final = "Normal"
WARNING: Final = "Warning"


class Recorder:
    """Write the events of one component."""

    def __init__(self, registry: Registry, component: str) -> None:
        self._registry = registry
        self._component = component
        self._names: dict[tuple[str, str, str], tuple[str, str]] = {}

    def normal(self, resource: Resource, obj: Json, reason: str, message: str) -> None:
        """Write that something went as it should."""
        self._record(NORMAL, resource, obj, (reason, message))

    def warning(self, resource: Resource, obj: Json, reason: str, message: str) -> None:
        """Write that something went wrong."""
        self._record(WARNING, resource, obj, (reason, message))

    def _record(self, kind: str, resource: Resource, obj: Json, what: tuple[str, str]) -> None:
        key = (uid_of(obj), *what)
        known = self._names.get(key)
        if known is not None and self._registry.store.get(resources.EVENTS, *known) is not None:
            self._registry.update(resources.EVENTS, *known, self._counted)
            return
        namespace = namespace_of(obj) or "default"
        if self._registry.store.get(resources.NAMESPACES, None, namespace) is None:
            return
        event = self._event(kind, resource, obj, what)
        self._names[key] = (namespace, name_of(event))
        # straight into the store: a namespace that is going away takes no new content, but its events were told
        self._registry.store.put(resources.EVENTS, {**event, "metadata": self._metadata(event, namespace)})

    def _counted(self, event: Json) -> Json:
        event["count"] += 1
        event["lastTimestamp"] = timestamp(self._registry.now())
        return event

    def _event(self, kind: str, resource: Resource, obj: Json, what: tuple[str, str]) -> Json:
        moment = timestamp(self._registry.now())
        reason, message = what
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name_of(obj)}.{secrets.token_hex(8)}"},
            "involvedObject": object_reference(obj, resource),
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": "",
        }

    def _metadata(self, event: Json, namespace: str) -> Json:
        moment = timestamp(self._registry.now())
        uid = secrets.token_hex(16)
        identity = f"{uid[:8]}-{uid[8:12]}-{uid[12:16]}-{uid[16:20]}-{uid[20:]}"
        return {**event["metadata"], "namespace": namespace, "uid": identity, "creationTimestamp": moment}
