"""
Resolves the object of an alert: its labels are a hint; the object is read from the API and must belong to the service.

A name in an alert costs one GET at most, and only where no cache has the object: a few at once, within one deadline, so that
alerts that need none are not delayed. An alert whose lookup was not answered in time is evaluated again.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.actions import api_objects
from kintsugi.errors import KubeError, NotFound, ServerUnavailable
from kintsugi.kube.client import KubeClient
from kintsugi.model.records import Reason
from kintsugi.model.services import Service
from kintsugi.views import Caches, ServiceViews
from kubeobjects import resources
from kubeobjects.kept import Object
from kubeobjects.metadata import LABEL, SUBDOMAIN
from kubeobjects.resources import Resource

AT_ONCE = 8
LOOKUP_TIMEOUT = timedelta(seconds=5)
"""The time limit of a whole batch."""

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

TARGET_LABELS = frozenset({"alertname", "namespace", "node", *KINDS})
"""The labels by which alerts are distinguished, and their objects found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExistenceQuery:
    """One object that is asked for; `namespace` is "" for a cluster-scoped one."""

    resource: Resource
    namespace: str
    name: str


class Lookups:
    """Asks the API for objects; the answers are valid for one batch of signals, None for what does not exist."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._answers: dict[ExistenceQuery, Object | KubeError | None] = {}

    async def query(self, wanted: Iterable[ExistenceQuery]) -> None:
        """Ask for all of these objects, and forget earlier answers."""
        unique = list(dict.fromkeys(wanted))
        answers: dict[ExistenceQuery, Object | KubeError | None] = {}
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(query: ExistenceQuery) -> None:
            async with limit:
                try:
                    answers[query] = await self._ask(query)
                except KubeError as error:
                    answers[query] = error

        asking = [asyncio.ensure_future(one(query)) for query in unique]
        try:
            if asking:
                await asyncio.wait(asking, timeout=LOOKUP_TIMEOUT.total_seconds())
        finally:
            for task in asking:
                task.cancel()
        late = ServerUnavailable(f"not answered within {LOOKUP_TIMEOUT.total_seconds():g} s, with others")
        self._answers = {query: answers.get(query, late) for query in unique}

    def forget(self) -> None:
        """Forget the answers: their batch is evaluated."""
        self._answers = {}

    async def find(self, query: ExistenceQuery) -> Object | None:
        """Return an object as it was prefetched, else as it is now; None without one. Raises KubeError when unknown."""
        if query not in self._answers:
            try:
                async with asyncio.timeout(LOOKUP_TIMEOUT.total_seconds()):
                    return await self._ask(query)
            except TimeoutError as error:
                raise ServerUnavailable(f"not answered within {LOOKUP_TIMEOUT.total_seconds():g} s") from error
        answer = self._answers[query]
        if isinstance(answer, KubeError):
            raise answer
        return answer

    async def _ask(self, query: ExistenceQuery) -> Object | None:
        try:
            found = await self._kube.get(query.resource, query.name, query.namespace or None)
        except NotFound:
            return None
        return api_objects.convert(found, Object)


@dataclass(frozen=True, kw_only=True, slots=True)
class Objection:
    """The reason for which an alert cannot concern a service; `provisional`: by what is seen, and the watch is behind."""

    reason: Reason
    text: str
    provisional: bool = False


_AS_SEEN = ", as far as the watch has come"

_NO_NAMESPACE = Objection(
    reason=Reason.NO_NAMESPACE,
    text="the alert has no label `namespace`, so its owner is unknown: add the label, or write `namespace: any` in the rule",
)


def _word(labels: Mapping[str, str]) -> str:
    """Return the label that names the alert's object, "" when none does."""
    return next((word for word in KINDS if labels.get(word)), "")


class Targets:
    """Resolves the objects of alerts; one that no cache has is looked up in the API before it counts as absent."""

    def __init__(self, kube: KubeClient, caches: Caches, services: ServiceViews, protected: frozenset[str]) -> None:
        self.lookups = Lookups(kube)
        self._caches = caches
        self._services = services
        self._protected = protected

    def unseen(self, labels: Mapping[str, str]) -> ExistenceQuery | None:
        """Return the object of an alert that must be looked up, None when a cache has it or no label names one."""
        word, namespace = _word(labels), labels.get("namespace", "")
        if not word or not namespace or not (LABEL.fullmatch(namespace) and SUBDOMAIN.fullmatch(labels[word])):
            return None
        seen = (namespace, labels[word]) in self._stores()[KINDS[word]]
        return None if seen else ExistenceQuery(resource=KINDS[word], namespace=namespace, name=labels[word])

    async def objection(
        self, labels: Mapping[str, str], service: Service, *, anywhere: bool = False
    ) -> Objection | None:
        """
        Return why an alert with these labels is not about the service, or None when it is. Raises KubeError.

        `anywhere`: its rule takes alerts that name no namespace for the service's.
        """
        word = _word(labels)
        if not labels.get("namespace") and labels.get("node") and not word:
            return self._of_node(labels["node"], service)
        if not labels.get("namespace") and not anywhere:
            return _NO_NAMESPACE
        namespace = labels.get("namespace") or service.namespace
        what = f"{word} {namespace}/{labels[word]}" if word else f"namespace {namespace}"
        if namespace in self._protected:
            return Objection(
                reason=Reason.PROTECTED, text=f"{what} is in a protected namespace; Kintsugi changes nothing there"
            )
        if not LABEL.fullmatch(namespace) or (word and not SUBDOMAIN.fullmatch(labels[word])):
            return Objection(reason=Reason.NO_TARGET, text=f"{what[:200]!r} is not a valid object name")
        seen = self._stores()[KINDS[word]].get((namespace, labels[word])) if word else None
        query = ExistenceQuery(resource=KINDS[word], namespace=namespace, name=labels[word]) if word else None
        found = seen or (await self.lookups.find(query) if query is not None else None)
        if word and found is None:
            return Objection(reason=Reason.NO_TARGET, text=f"{what} does not exist (any more)")
        if word == "pod" and found is not None and not any(each.controller for each in found.metadata.owner_references):
            return Objection(reason=Reason.UNMANAGED, text=f"{what} is a bare pod: no controller would recreate it")
        if namespace == service.namespace and self._belongs(word, found, service):
            return None
        is_behind = namespace == service.namespace and (seen is not found or bool(self._services.stale_reason))
        text = f"{what} does not belong to {service.name}{_AS_SEEN if is_behind else ''}"
        return Objection(reason=Reason.FOREIGN_TARGET, text=text, provisional=is_behind)

    async def bound_objection(
        self, labels: Mapping[str, str], names: Iterable[str], service: Service, *, anywhere: bool = False
    ) -> Objection | None:
        """
        Return why a label that a run would take as a value names no object of the service, or None. Raises KubeError.

        `names` are the labels; `objection` has answered for the one that names the alert's object, and is not asked again.
        """
        namespace = labels.get("namespace") or service.namespace
        for name in names:
            value, found = labels[name], None
            if name in KINDS and name != _word(labels):
                found = await self.objection({"namespace": namespace, name: value}, service, anywhere=anywhere)
            elif name == "node":
                found = self._of_node(value, service)
            elif name == "container":
                found = self._of_container(value, labels.get("pod", ""), service)
            elif name == "job_name":
                found = await self._of_job(value, namespace)
            if found is not None:
                return found
        return None

    def _of_container(self, container: str, pod: str, service: Service) -> Objection | None:
        """Judge a container: it is one of the service's pods, or of the one that the alert names."""
        view = self._services.views.get(service.name)
        pods = [each for each in (view.pods if view is not None else ()) if pod in ("", each.metadata.name)]
        if any(container == each.name for pod in pods for each in (*pod.spec.containers, *pod.spec.init_containers)):
            return None
        is_behind = bool(self._services.stale_reason)
        text = f"container {container[:200]!r} is in no pod of {service.name}{_AS_SEEN if is_behind else ''}"
        return Objection(reason=Reason.FOREIGN_TARGET, text=text, provisional=is_behind)

    async def _of_job(self, job: str, namespace: str) -> Objection | None:
        """Judge a Job, which no label ties to a service: it exists in the service's namespace."""
        query = ExistenceQuery(resource=resources.JOBS, namespace=namespace, name=job)
        if SUBDOMAIN.fullmatch(job) and await self.lookups.find(query) is not None:
            return None
        return Objection(reason=Reason.NO_TARGET, text=f"job {namespace}/{job[:200]} does not exist (any more)")

    def _of_node(self, node: str, service: Service) -> Objection | None:
        """Judge an alert about a node: it concerns the services that have pods there."""
        is_behind = bool(self._services.stale_reason)
        as_seen = _AS_SEEN if is_behind else ""
        if ("", node) not in self._caches.nodes.store:
            text = f"node {node[:200]!r} does not exist (any more){as_seen}"
            return Objection(reason=Reason.NO_TARGET, text=text, provisional=is_behind)
        view = self._services.views.get(service.name)
        if view is not None and any(pod.spec.node_name == node for pod in view.pods):
            return None
        text = f"no pod of {service.name} is on node {node}{as_seen}"
        return Objection(reason=Reason.FOREIGN_TARGET, text=text, provisional=is_behind)

    def _stores(self) -> Mapping[Resource, Mapping[tuple[str, str], Object]]:
        return {
            resources.PODS: self._caches.pods.store,
            resources.DEPLOYMENTS: self._caches.deployments.store,
            resources.STATEFULSETS: self._caches.stateful_sets.store,
            resources.DAEMONSETS: self._caches.daemon_sets.store,
            resources.PVCS: self._caches.pvcs.store,
        }

    def _belongs(self, word: str, found: Object | None, service: Service) -> bool:
        if found is None:
            return not word
        match word:
            case "pod":
                return any(each.name == service.name for each in self._services.services_of(found))
            case "persistentvolumeclaim":
                view = self._services.views.get(service.name)
                return view is not None and any(pvc.metadata.name == found.metadata.name for pvc in view.all_pvcs)
            case _:
                return KINDS[word] == service.workload.resource and found.metadata.name == service.workload.name
