"""The endpoints controller: the pods behind each Service, and those of them that are ready."""

from collections.abc import Iterable, Sequence
from typing import Final

from kubeobjects import resources
from kubesim.controllers.control import Controller, Key
from kubesim.manifest import (
    Json,
    controller_reference,
    deleting,
    dig,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from kubesim.storage.store import Change, Store

SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
MANAGER: Final = "endpointslice-controller.k8s.io"


class Endpoints(Controller):
    """Keep one EndpointSlice, and the older Endpoints, for each Service with a selector."""

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a Service when it changes, and when a pod behind it does."""
        namespace = namespace_of(change.object)
        if change.resource == resources.SERVICES:
            yield (namespace, name_of(change.object))
        if change.resource == resources.PODS:
            states = [obj for obj in (change.object, change.previous) if obj is not None]
            for service in self._store.list(resources.SERVICES, namespace):
                if any(selects(service, pod) for pod in states):
                    yield (namespace, name_of(service))

    def reconcile(self, key: Key) -> float | None:
        """Write the endpoints of one Service."""
        service = self._store.get(resources.SERVICES, *key)
        if service is None or not service["spec"].get("selector"):
            return None
        pods = [pod for pod in pods_behind(self._store, service) if dig(pod, "status", "podIP")]
        self._write_slice(service, pods)
        self._write_endpoints(service, pods)
        return None

    def _write_slice(self, service: Json, pods: Sequence[Json]) -> None:
        content = {
            "addressType": "IPv4",
            "endpoints": [_endpoint(pod) for pod in pods],
            "ports": [_port(service, port) for port in service["spec"].get("ports") or ()],
        }
        existing = next(iter(slices_of(self._store, service)), None)
        if existing is not None:
            self._registry.update(
                resources.ENDPOINTSLICES, namespace_of(service), name_of(existing), lambda now: {**now, **content}
            )
            return
        metadata = {
            "generateName": f"{name_of(service)}-",
            "labels": {SERVICE_NAME: name_of(service), MANAGED_BY: MANAGER},
            "ownerReferences": [controller_reference(service)],
        }
        self._registry.create(resources.ENDPOINTSLICES, namespace_of(service), {"metadata": metadata, **content})

    def _write_endpoints(self, service: Json, pods: Sequence[Json]) -> None:
        ready = [_address(pod) for pod in pods if is_true(pod, "Ready") and not deleting(pod)]
        unready = [_address(pod) for pod in pods if not is_true(pod, "Ready") and not deleting(pod)]
        ports = [_port(service, port) for port in service["spec"].get("ports") or ()]
        subset = {"addresses": ready, "notReadyAddresses": unready, "ports": ports}
        kept = {key: value for key, value in subset.items() if value}
        content = {"subsets": [kept]} if ready or unready else {"subsets": []}
        if self._store.get(resources.ENDPOINTS, namespace_of(service), name_of(service)) is not None:
            self._registry.update(
                resources.ENDPOINTS, namespace_of(service), name_of(service), lambda now: {**now, **content}
            )
            return
        metadata = {"name": name_of(service), "ownerReferences": [controller_reference(service)]}
        self._registry.create(resources.ENDPOINTS, namespace_of(service), {"metadata": metadata, **content})


def selects(service: Json, pod: Json) -> bool:
    """Return whether a Service selects a pod."""
    selector = service["spec"].get("selector") or {}
    labels = labels_of(pod)
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def pods_behind(store: Store, service: Json) -> list[Json]:
    """List the pods that a Service selects and that have not finished."""
    pods = store.list(resources.PODS, namespace_of(service))
    finished = ("Succeeded", "Failed")
    return [pod for pod in pods if selects(service, pod) and dig(pod, "status", "phase") not in finished]


def slices_of(store: Store, service: Json) -> list[Json]:
    """List the EndpointSlices of a Service."""
    slices = store.list(resources.ENDPOINTSLICES, namespace_of(service))
    return [each for each in slices if labels_of(each).get(SERVICE_NAME) == name_of(service)]


def ready_endpoints(store: Store, service: Json) -> list[Json]:
    """List the endpoints that traffic for a Service may go to."""
    return [
        endpoint
        for each in slices_of(store, service)
        for endpoint in each.get("endpoints") or ()
        if dig(endpoint, "conditions", "ready")
    ]


def addresses_of(store: Store, name: str, namespace: str) -> list[str]:
    """List the addresses of a Service: its own, or without one those of its ready endpoints; none without the Service."""
    service = store.get(resources.SERVICES, namespace, name)
    if service is None:
        return []
    if service["spec"].get("clusterIP") not in (None, "", "None"):
        return [service["spec"]["clusterIP"]]
    return [address for each in ready_endpoints(store, service) for address in each["addresses"]]


def _endpoint(pod: Json) -> Json:
    serving, terminating = is_true(pod, "Ready"), deleting(pod)
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": serving and not terminating, "serving": serving, "terminating": terminating},
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)},
    }


def _address(pod: Json) -> Json:
    reference = {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}
    return {"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": reference}


def _port(service: Json, port: Json) -> Json:
    target = port.get("targetPort", port["port"])
    number = target if isinstance(target, int) else port["port"]
    return {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
