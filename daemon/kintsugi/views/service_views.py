"""
Keeps the view of every service up to date from the watch, and calls listeners.

A change of an object marks its services; the views of marked services are rebuilt once, however many changes came.

While a kind cannot be trusted by which a service's health is judged, its view is not current. Its times go on afterwards
where nothing of it has changed meanwhile.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from kintsugi.errors import KubeError
from kintsugi.kube.object_cache import Change
from kintsugi.kube.reflector import Reflector
from kintsugi.model.catalog import Catalog
from kintsugi.model.good_state import GoodRevision, SeenReplicas
from kintsugi.model.hosts import Backend, backend_of
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView, Workload
from kintsugi.scope.values import health_names
from kintsugi.telemetry import Containment, FailureScope, Listeners, get_logger
from kintsugi.views.caches import ByNamespace, Caches, Sight
from kintsugi.views.derived_checks import derived_check
from kintsugi.views.service_memory import CountMemory, ReplicaMemory, RestartTally, TemplateHealth
from kintsugi.views.service_objects import PvcNames, ServiceSelectors, host_of, leading_services, meant_for
from kintsugi.views.view_builder import (
    ServiceObjects,
    after_gap,
    is_owned_by,
    ready_endpoints,
    revision_number,
    unreadable,
    view_of,
    with_health,
    with_missing_since,
    with_replicas,
    with_serving,
    without_times,
)
from kubeobjects.kept import Deployment, EndpointSlice, KubeService, Object, Pod
from kubeobjects.metadata import REVISION
from kubeobjects.network import SERVICE_NAME
from kubeobjects.predicates import controller_of
from kubeobjects.resources import DAEMONSETS, DEPLOYMENTS, STATEFULSETS, Resource

log = get_logger(__name__)

IDLE = timedelta(seconds=1)
"""The longest wait for news: what comes with time alone, as the silence of the API server, is noticed by then."""

PAUSE_FACTOR = 19
"""The pause after a refresh, in multiples of its duration: during a flood of changes, following them comes first."""


class ServiceViews:
    """
    The live view of each service of the catalog.

    `views` is never older than the last `refresh`. Views of services that the catalog no longer has are dropped. A listener of
    `on_view` hears of each rebuilt view, one of `on_new_selector` when services select other pods than before, because a workload was
    seen that says which.
    """

    def __init__(
        self,
        caches: Caches,
        catalog: Catalog,
        *,
        clock: Callable[[], datetime],
        stale_after: timedelta,
        containment: Containment | None = None,
        clock_problem: Callable[[], str] = lambda: "",
    ) -> None:
        self._caches = caches
        self._containment = containment or Containment()
        self._clock = clock
        self._clock_problem = clock_problem
        self._stale_after = stale_after
        self.catalog = catalog
        self._selectors = ServiceSelectors((), self._workload)
        self._pods: dict[str, dict[str, Pod]] = defaultdict(dict)
        self._tallies: dict[str, RestartTally] = defaultdict(RestartTally)
        self.templates = TemplateHealth()
        self.replicas, self.counts = ReplicaMemory(), CountMemory()
        self._unmet: set[tuple[str, str]] = set()
        self._warnings: dict[str, tuple[str, ...]] = {}
        self._last_hosts: dict[str, str] = {}
        self._dirty: set[str] = set()
        self._news = asyncio.Event()
        self._unapplied: set[tuple[str, str, str]] = set()
        self._odd_revisions: dict[str, str] = {}
        self._sight: dict[Resource, Sight] = {}
        self._last_current: dict[str, ServiceView] = {}
        self.on_view: Listeners[[ServiceView]] = Listeners(self._containment)
        self.on_new_selector: Listeners[[]] = Listeners(self._containment)
        self.views: dict[str, ServiceView] = {}
        self._workloads: Mapping[Resource, Reflector[Any]] = {
            DEPLOYMENTS: caches.deployments,
            STATEFULSETS: caches.stateful_sets,
            DAEMONSETS: caches.daemon_sets,
        }
        self._kube_services = ByNamespace(caches.services)
        self._pvcs = ByNamespace(caches.pvcs)
        self._endpoints = ByNamespace(caches.endpoints)
        self._replica_sets = ByNamespace(caches.replica_sets)
        self._autoscalers = ByNamespace(caches.autoscalers)
        for name, reflector in caches:
            if name not in {"events", "nodes", "namespaces"}:
                reflector.subscribe(self._on_change)
        self.reload(catalog)

    def reload(self, catalog: Catalog) -> None:
        """Replace the catalog."""
        self.catalog = catalog
        self._selectors = ServiceSelectors(catalog.services.values(), self._workload)
        self._unmet &= {(rule.service, rule.check) for rule in catalog.rules.values()}
        self._warnings = {name: self._warnings[name] for name in self._warnings.keys() & catalog.services.keys()}
        for gone in self._tallies.keys() - set(catalog.services):
            del self._tallies[gone]
        self._place_all()
        self._dirty = set(catalog.services)
        self.views = {name: view for name, view in self.views.items() if name in catalog.services}
        self._last_current = {name: self._last_current[name] for name in self._last_current.keys() & self.views}
        self.refresh()

    @property
    def stale_reason(self) -> str:
        """Return why the caches, or the times in them, cannot be trusted now; "" when they can."""
        return self.clock_problem or self._caches.stale_reason(asyncio.get_running_loop().time(), self._stale_after)

    @property
    def clock_problem(self) -> str:
        """Return why the clock cannot be trusted now; "" when it can."""
        return self._clock_problem()

    def now(self) -> datetime:
        """Return the time by which the views are made."""
        return self._clock()

    def clock_set(self, by: timedelta) -> None:
        """Count the moments of restarts that were seen from the new time, too."""
        for tally in self._tallies.values():
            tally.shift(by)

    def note_check(self, service: str, check: str, *, met: bool) -> None:
        """Note the answer of a service's check: one that has none keeps the answer before."""
        if met is not ((service, check) in self._unmet):
            return
        self._dirty.add(service)
        self._news.set()
        if met:
            self._unmet.discard((service, check))
        else:
            self._unmet.add((service, check))

    def note_warnings(self, service: str, warnings: tuple[str, ...]) -> None:
        """Note what the objects of a service show to be wrong while it is well."""
        if warnings != self._warnings.get(service, ()):
            self._warnings[service] = warnings
            self._dirty.add(service)
            self._news.set()

    def backends(self, service: str) -> tuple[Backend, ...]:
        """Return the pods that take traffic of the Kubernetes Services that lead to a service's pods: of other workloads, too."""
        view = self.views.get(service)
        if view is None:
            return ()
        leading = leading_services(view.workload, self._kube_services.within(view.service.namespace))
        behind = {
            each.target_ref.name
            for kube_service in leading
            for part in self._endpoints_of(kube_service)
            for each in part.endpoints or ()
            if each.conditions.ready and not each.conditions.terminating and each.target_ref is not None
        }
        store = self._caches.pods.store
        pods = (store.get((view.service.namespace, name)) for name in sorted(behind))
        return tuple(backend_of(pod, leading) for pod in pods if pod is not None)

    def services_of(self, pod: Object) -> tuple[Service, ...]:
        """Return the services whose selector matches this pod."""
        return self._selectors.of_pod(pod)

    def refresh(self, *, everything: bool = False) -> tuple[ServiceView, ...]:
        """
        Rebuild the marked views and call the listeners.

        All views are rebuilt with `everything`, since time alone may have changed them, and when the caches become stale or
        current again, or a gap is over. A service with unreadable objects gets a view that is not current; the others are
        not affected.
        """
        sight = self._sights()
        everything = everything or sight != self._sight
        names = set(self.catalog.services) if everything else self._dirty & set(self.catalog.services)
        before, self._sight, self._dirty = self._sight, sight, set()
        made = tuple(self._view(self._selectors.services[name], before) for name in sorted(names))
        self.views.update({view.name: view for view in made})
        self._last_current.update({view.name: view for view in made if view.is_current})
        for view in made:
            self.on_view.notify(view.name, view)
        return made

    def _sights(self) -> dict[Resource, Sight]:
        """Return how well services are seen, by the kind of their workload; a clock in doubt ends what was counted by it."""
        monotonic, problem = asyncio.get_running_loop().time(), self.clock_problem
        if problem:
            self.templates.forget_all()
            self._last_current = {name: without_times(view) for name, view in self._last_current.items()}
        kinds = {each.workload.resource for each in self.catalog.services.values()}
        found = {each: self._caches.sight(each, monotonic, self._stale_after) for each in kinds}
        return {each: sight._replace(is_current=sight.is_current and not problem) for each, sight in found.items()}

    def _view(self, service: Service, sight_before: Mapping[Resource, Sight]) -> ServiceView:
        """Build one view; where that fails, one without any facts, which is never current."""
        with self._containment.around(FailureScope.SERVICE, service.name):
            return self._make(service, sight_before.get(service.workload.resource))
        self.templates.forget(service.name)
        self._last_current.pop(service.name, None)
        return unreadable(service)

    async def run(self, every: timedelta) -> None:
        """Refresh what is marked, at most `every` so often, and not most of the time, until cancelled."""
        clock = asyncio.get_running_loop()
        while True:
            if all(each.is_current for each in self._sight.values()):
                with suppress(TimeoutError):
                    async with asyncio.timeout(IDLE.total_seconds()):
                        await self._news.wait()
            self._news.clear()
            began = clock.time()
            self.refresh()
            await asyncio.sleep(max(every.total_seconds(), PAUSE_FACTOR * (clock.time() - began)))

    def good_revisions(self, lasting: timedelta) -> tuple[GoodRevision, ...]:
        """Return the revisions that have been healthy for `lasting` with all of their pods."""
        return self.templates.good(self.views.values(), lasting, self._clock())

    def _on_change(self, change: Change[Object]) -> None:
        """Apply a change. One that fails leaves views unreadable until the next change of the same object is applied."""
        try:
            self._mark(change)
            if self._unapplied:
                self._unapplied.discard(_named(change.subject))
        # Contained: one unreadable object must not keep the services from seeing all others.
        except Exception as error:  # noqa: BLE001
            name = _named(change.subject)
            self._unapplied.add(name)
            self._dirty |= self._selectors.names_in(change.subject.metadata.namespace)
            self._containment.contain(FailureScope.OBJECT, " ".join(name), error)
        if self._dirty:
            self._news.set()

    def _mark(self, change: Change[Object]) -> None:
        """Mark the services that a change concerns: of a pod those that select it, of other objects all in the namespace."""
        subject = change.subject
        if not isinstance(subject, Pod):
            self._dirty |= self._selectors.names_in(subject.metadata.namespace)
            if isinstance(subject, Workload) and self._selectors.seen(subject):
                self._place_all()
                self.on_new_selector.notify(subject.metadata.name)
            return
        before = change.old if isinstance(change.old, Pod) else None
        if before is not None and _moves(before, change.new):
            self._remove(before)
            before = None
        if isinstance(change.new, Pod):
            self._place(change.new, before)

    def _place_all(self) -> None:
        self._pods.clear()
        for pod in self._caches.pods.store.values():
            self._place(pod)

    def _place(self, pod: Pod, before: Pod | None = None) -> None:
        """Give a pod to its services; where its last state was theirs, `before`, the cache shares what has not changed."""
        restarted = before is None or before.status.container_statuses is not pod.status.container_statuses
        for service in self.services_of(pod):
            self._dirty.add(service.name)
            self._pods[service.name][pod.metadata.uid] = pod
            if restarted:
                self._count_restarts(service.name, pod)

    def _remove(self, pod: Pod) -> None:
        for service in self.services_of(pod):
            self._dirty.add(service.name)
            self._pods[service.name].pop(pod.metadata.uid, None)
            self._tallies[service.name].forget(pod.metadata.uid)

    def _count_restarts(self, service: str, pod: Pod) -> None:
        tally = self._tallies[service]
        for status in pod.status.container_statuses:
            key = (pod.metadata.uid, status.name)
            before = tally.seen.get(key, status.restart_count)
            tally.seen[key] = status.restart_count
            if status.restart_count <= before:
                continue
            tally.restarted(pod.metadata.uid, status.restart_count - before, self._clock())

    def _make(self, service: Service, sight_before: Sight | None) -> ServiceView:
        self._check_readable(service)
        before, now, sight = self._last_current.get(service.name), self._clock(), self._sight[service.workload.resource]
        workload = self._workload(service)
        replicas = self.replicas.note(workload, now) if sight.is_current else None
        objects = self._objects(service, workload, replicas)
        view = view_of(service, objects, self._tallies[service.name].restarts, is_current=sight.is_current)
        if before is not None and sight.is_current and sight != sight_before:
            before = after_gap(view, before)
            if before.healthy is None:
                self.templates.forget(service.name)
        view = with_replicas(with_missing_since(view, before, now=now), replicas)
        unmet = frozenset(check for name, check in self._unmet if name == service.name)
        warnings = self._warnings.get(service.name, ())
        view = replace(view, counts=self.counts.of(service.name), unmet=unmet, warnings=warnings)
        view = with_health(with_serving(view, before, now=now), before, health_names(view), now=now)
        self.templates.note(view, now)
        self._note_revision(view)
        _note_missing(view, before)
        return view

    def _check_readable(self, service: Service) -> None:
        """Raise KubeError when an object of the service could not be read or applied: the view would be wrong without it."""
        for kind, namespace, name in self._unapplied:
            if namespace == service.namespace:
                raise KubeError(f"{kind} {name} in {namespace} could not be taken in")
        reflector = self._workloads.get(service.workload.resource)
        reason = reflector.undecodable_objects.get((service.namespace, service.workload.name)) if reflector else None
        if reason is not None:
            raise KubeError(f"{service.workload} in {service.namespace} cannot be read: {reason}")

    def _note_revision(self, view: ServiceView) -> None:
        """Log once that a Deployment's revision is no number: it counts for none."""
        written = view.workload.metadata.annotations.get(REVISION, "") if isinstance(view.workload, Deployment) else ""
        odd = written if written and not revision_number(written) else ""
        if odd and self._odd_revisions.get(view.name) != odd:
            log.warning("deployment revision is not a number", service=view.name, revision=odd[:80])
        self._odd_revisions[view.name] = odd

    def _objects(self, service: Service, workload: Workload | None, replicas: SeenReplicas | None) -> ServiceObjects:
        namespace = service.namespace
        pods = tuple(sorted(self._pods[service.name].values(), key=lambda pod: pod.metadata.name))
        leading = leading_services(workload, self._kube_services.within(namespace))
        kube_service = next(iter(leading), None) or self._meant_for(service, workload)
        if leading:
            self._last_hosts[service.name] = host_of(kube_service)
        elif workload is None:
            self._last_hosts.pop(service.name, None)
        owner = workload.metadata.uid if workload is not None else ""
        replica_sets = tuple(
            each for each in self._replica_sets.within(namespace) if owner and is_owned_by(each.metadata, owner)
        )
        makers = {owner, *(each.metadata.uid for each in replica_sets)} - {""}
        made = (pod for pod in pods if (by := controller_of(pod)) is not None and by.uid in makers)
        from_zero = service.replicas or (replicas.replicas if replicas is not None else None)
        claims, there = PvcNames.of(made, workload, from_zero=from_zero), self._pvcs.within(namespace)
        own = tuple(each for each in there if each.metadata.name in claims)
        labelled = (each for each in there if service.selector.matches(each.metadata.labels))
        return ServiceObjects(
            pods=pods,
            pvcs=own,
            labelled_pvcs=tuple(each for each in labelled if each.metadata.name not in claims),
            endpoints=self._endpoints_of(kube_service),
            kube_service=kube_service,
            selects_its_pods=bool(leading) or kube_service is None,
            lost_service=self._lost(service),
            derived_check=derived_check(workload, leading, self.counts.urls(service.name)),
            workload=workload,
            replica_sets=replica_sets,
            autoscalers=tuple(self._autoscalers.within(namespace)),
        )

    def _meant_for(self, service: Service, workload: Workload | None) -> KubeService | None:
        """
        Return the Kubernetes Service that should lead to a service's pods where none does.

        It leads nowhere: one that leads elsewhere is somebody else's by now.
        """
        there = self._kube_services.within(service.namespace)
        meant = meant_for(workload, there, self._last_hosts.get(service.name, ""))
        return None if meant is None or ready_endpoints(meant, self._endpoints_of(meant)) else meant

    def _lost(self, service: Service) -> str:
        """Name the Kubernetes Service that was seen to lead to a service's pods and is gone, "" for none."""
        there, led = self._kube_services.within(service.namespace), self._last_hosts.get(service.name, "")
        return "" if not led or led in map(host_of, there) else led.partition(".")[0]

    def _endpoints_of(self, kube_service: KubeService | None) -> tuple[EndpointSlice, ...]:
        if kube_service is None:
            return ()
        name = kube_service.metadata.name
        within = self._endpoints.within(kube_service.metadata.namespace)
        return tuple(each for each in within if each.metadata.labels.get(SERVICE_NAME) == name)

    def _workload(self, service: Service) -> Workload | None:
        reflector = self._workloads.get(service.workload.resource)
        return reflector.store.get((service.namespace, service.workload.name)) if reflector is not None else None


def _named(subject: Object) -> tuple[str, str, str]:
    return type(subject).__name__, subject.metadata.namespace, subject.metadata.name


def _moves(old: Pod, new: Object | None) -> bool:
    """Return whether a pod may leave services: those of one that keeps its labels stay the same."""
    return new is None or new.metadata.labels != old.metadata.labels


def _note_missing(view: ServiceView, before: ServiceView | None) -> None:
    """Log once that a service names a workload that does not exist: likely a typing error."""
    if view.workload_missing and (before is None or before.workload is not None):
        workload, namespace = str(view.service.workload), view.service.namespace
        log.warning("workload not found", service=view.name, workload=workload, namespace=namespace)
