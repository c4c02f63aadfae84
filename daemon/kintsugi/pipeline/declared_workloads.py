"""The facts for a diagnosis that no object shows: the workload's dependencies, its checks, and the observer's health."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from kintsugi.decisions.breaker import ObserverHealth, breaker_reason
from kintsugi.model.catalog import Catalog
from kintsugi.model.hosts import service_of
from kintsugi.model.records import Target
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kubediagnosis.related_objects import CheckFacts, DeclaredFacts, ObserverFacts
from kubeobjects.predicates import START_UP_ALLOWANCE
from kubeobjects.resources import find


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceFacts(DeclaredFacts):
    """
    The declared facts of a workload, with its neighbours: other workloads that may be the cause.

    `upstreams` are the workloads of the services that it depends on, `exposed` those of all services, by the names of their
    Kubernetes Services (`NAME.NAMESPACE`): what a variable names is likely an upstream, too.
    """

    upstreams: tuple[Target, ...] = ()
    exposed: Mapping[str, Target] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredWorkloads:
    """
    The catalog's services, by their workloads.

    `answers` returns the last results of a service's checks, `observer` the observer's health. A failing `share` of
    nodes or services puts the observer in doubt. `view` returns the view of a service, None where that is not current.
    `start_up` is the time that a pod may take to become ready.
    """

    catalog: Callable[[], Catalog]
    answers: Callable[[str], tuple[CheckFacts, ...]]
    observer: Callable[[], ObserverHealth]
    share: float
    view: Callable[[str], ServiceView | None] = lambda _: None
    start_up: timedelta = START_UP_ALLOWANCE

    def __call__(self, target: Target) -> ServiceFacts:
        """Return the declared facts of a workload; for one without a service only the observer's health."""
        services, observer = self.catalog().services, self.observer()
        sight = ObserverFacts(stale=observer.stale_reason, doubt=breaker_reason(observer, self.share))
        service = next((each for each in services.values() if _is_of(each, target)), None)
        if service is None:
            return ServiceFacts(observer=sight, start_up=self.start_up)
        upstreams, view = (services[name] for name in service.depends_on if name in services), self.view(service.name)
        return ServiceFacts(
            service=service.name,
            checks=self.answers(service.name),
            upstreams=tuple(_target(each) for each in upstreams),
            exposed=self._exposed(services, service),
            observer=sight,
            serving=view.serving if view is not None else None,
            lost_service=view.lost_service if view is not None else "",
            missing_since=view.missing_since if view is not None else None,
            recreate=f"kintsugi manifest {service.name} | kubectl apply -f -",
            start_up=self.start_up,
        )

    def _exposed(self, services: Mapping[str, Service], asking: Service) -> Mapping[str, Target]:
        """Return the workloads of the other services by the names of their Kubernetes Services."""
        found: dict[str, Target] = {}
        for each in services.values():
            view = self.view(each.name) if each.name != asking.name else None
            host = service_of(view.host) if view is not None and view.host else None
            if host is not None:
                found[str(host)] = _target(each)
        return found


def _is_of(service: Service, target: Target) -> bool:
    workload = service.workload
    return (service.namespace, workload.name) == (target.namespace, target.name) and workload.resource == find(
        target.kind
    )


def _target(service: Service) -> Target:
    return Target(kind=service.workload.resource.kind, namespace=service.namespace, name=service.workload.name)
