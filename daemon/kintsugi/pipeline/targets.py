"""
What an alert is about: its labels are a hint, the object is resolved again from the API and must belong to the service.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.documents import Service
from kintsugi.model.records import Reason
from kintsugi.objects import resources
from kintsugi.objects.resources import Resource
from kintsugi.services import Caches, Services

KINDS: Mapping[str, Resource] = {
    "persistentvolumeclaim": resources.PVCS,
    "statefulset": resources.STATEFULSETS,
    "deployment": resources.DEPLOYMENTS,
    "daemonset": resources.DAEMONSETS,
    "pod": resources.PODS,
}
"""
The labels by which the kube-prometheus alerts name objects; the first that an alert carries counts.

`pod` comes last: in alerts on workloads and claims it may name the exporter's own.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Objection:
    """Why an alert cannot concern a service."""

    reason: Reason
    text: str


class Targets:
    """Resolves alerts' objects; what the cache does not know is asked of the API before it is called absent."""

    def __init__(self, kube: KubeClient, caches: Caches, services: Services, protected: frozenset[str]) -> None:
        self._kube = kube
        self._caches = caches
        self._services = services
        self._protected = protected

    async def objection(self, labels: Mapping[str, str], service: Service) -> Objection | None:
        """Say why an alert with these labels is not about the service, or None when it is. Raises KubeError."""
        namespace = labels.get("namespace", service.namespace)
        word = next((word for word in KINDS if labels.get(word)), "")
        what = f"{word} {namespace}/{labels[word]}" if word else f"namespace {namespace}"
        if namespace in self._protected:
            return Objection(
                reason=Reason.PROTECTED, text=f"{what} is in a protected namespace: nothing is changed there"
            )
        if word and not await self._exists(KINDS[word], namespace, labels[word]):
            return Objection(reason=Reason.NO_TARGET, text=f"{what} does not exist (any more)")
        if word == "pod" and self._is_bare(namespace, labels[word]):
            return Objection(reason=Reason.UNMANAGED, text=f"{what} is a bare pod: nobody would make it again")
        if namespace != service.namespace or not self._belongs(word, labels.get(word, ""), service):
            return Objection(reason=Reason.FOREIGN_TARGET, text=f"{what} does not belong to {service.name}")
        return None

    async def _exists(self, resource: Resource, namespace: str, name: str) -> bool:
        stores: Mapping[Resource, Mapping[tuple[str, str], object]] = {
            resources.PODS: self._caches.pods.store,
            resources.DEPLOYMENTS: self._caches.deployments.store,
            resources.STATEFULSETS: self._caches.stateful_sets.store,
            resources.DAEMONSETS: self._caches.daemon_sets.store,
            resources.PVCS: self._caches.claims.store,
        }
        if (namespace, name) in stores[resource]:
            return True
        try:
            await self._kube.get(resource, name, namespace)
        except NotFound:
            return False
        return True

    def _belongs(self, word: str, name: str, service: Service) -> bool:
        match word:
            case "":
                return True
            case "pod":
                return service in self._services_of(service.namespace, name)
            case "persistentvolumeclaim":
                view = self._services.views.get(service.name)
                return view is not None and any(claim.metadata.name == name for claim in view.claims)
            case _:
                return KINDS[word] == service.workload.resource and name == service.workload.name

    def _services_of(self, namespace: str, name: str) -> tuple[Service, ...]:
        pod = self._caches.pods.store.get((namespace, name))
        return self._services.services_of(pod) if pod is not None else ()

    def _is_bare(self, namespace: str, name: str) -> bool:
        pod = self._caches.pods.store.get((namespace, name))
        return pod is not None and not any(owner.controller for owner in pod.metadata.owner_references)
