"""
A diagnosis on demand: it reads one workload and its upstreams, then decides.

Some facts are shown by no object: the workload's dependencies, its checks, and the observer's health.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.actions.workload_reads import read_workload
from kintsugi.decisions.breaker import ObserverHealth, breaker_reason
from kintsugi.errors import KubeError, LedgerUnavailable, NotFound, NotRecorded
from kintsugi.kube.client import KubeClient
from kintsugi.model.catalog import Catalog
from kintsugi.model.command import ObjectName
from kintsugi.model.hosts import service_of
from kintsugi.model.records import Incident, Target
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kubediagnosis import answering
from kubediagnosis.causes import Diagnosis, ObjectChange
from kubediagnosis.diagnose import diagnose
from kubediagnosis.facts import CheckFacts, DeclaredFacts, ObserverFacts, WorkloadFacts
from kubeobjects.predicates import START_UP_ALLOWANCE
from kubeobjects.resources import WORKLOADS, Resource, find


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


MOST_UPSTREAMS = 8
"""The most upstream workloads that are read: the end of a longer chain stays unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnoser:
    """
    Reads and decides; changes nothing and keeps nothing.

    `declared` returns the facts of a workload that its objects do not show, `templates` are the good templates of the ledger,
    `incidents` returns the newest incident of a service.
    """

    kube: KubeClient
    clock: Callable[[], datetime]
    declared: Callable[[Target], ServiceFacts] = lambda _: ServiceFacts()
    templates: GoodTemplates = field(default_factory=GoodTemplates)
    incidents: Callable[[str], Awaitable[Sequence[Incident]]] | None = None

    async def diagnose(self, target: Target, *, upstreams: bool = True) -> Diagnosis:
        """
        Return what is wrong with a workload; without `upstreams` they are not read.

        Raises NotRecorded where it is not there, or is no workload, and KubeError where it cannot be read.
        """
        facts = await self.facts(target, upstreams=upstreams)
        return await asyncio.to_thread(diagnose, facts)

    async def facts(self, target: Target, *, upstreams: bool = True) -> WorkloadFacts:
        """Return the facts of a workload, and of its upstreams where it has a problem. Raises as `diagnose`."""
        resource = find(target.kind)
        if resource is None or resource not in WORKLOADS:
            known = ", ".join(each.singular for each in WORKLOADS)
            raise NotRecorded(f"the type {target.kind} cannot be diagnosed; supported types: {known}")
        try:
            if not upstreams:
                return await self._read(resource, target, self.declared(target))
            return await self._with_upstreams(resource, target, {_key(resource, target)})
        except NotFound as error:
            raise NotRecorded(f"there is no {resource.singular}/{target.name} in {target.namespace}") from error

    async def _with_upstreams(
        self, resource: Resource, target: Target, seen: set[tuple[str, str, str]]
    ) -> WorkloadFacts:
        """
        Read a workload and, where it has a problem, its upstreams: each once, and up to a limit.

        `seen` are the workloads that are read already, so that a cycle ends.
        """
        declared = self.declared(target)
        facts = await self._read(resource, target, declared)
        if not answering.has_problem(facts):
            return facts
        upstreams, unknown = [], list(facts.unknown)
        guessed = _named(facts, declared)
        for each in (*declared.upstreams, *guessed):
            found = find(each.kind)
            if found is None or found not in WORKLOADS or _key(found, each) in seen:
                continue
            if len(seen) > MOST_UPSTREAMS:
                unknown.append(
                    f"{found.singular}/{each.name}: not read, because {MOST_UPSTREAMS} upstreams is the limit"
                )
                continue
            seen.add(_key(found, each))
            try:
                upstream = await self._with_upstreams(found, each, seen)
                upstreams.append(replace(upstream, is_guessed=each in guessed))
            except KubeError as error:
                unknown.append(f"upstream {found.singular}/{each.name}: {error}")
        theirs = (policy for each in upstreams for policy in each.policies)
        policies = {(one.metadata.namespace, one.metadata.name): one for one in (*facts.policies, *theirs)}
        had = [change for each in upstreams for change in await self._incidents_of(each.declared.service, unknown)]
        return replace(
            facts,
            upstreams=tuple(upstreams),
            policies=tuple(policies.values()),
            changed_around=(*facts.changed_around, *had),
            unknown=tuple(dict.fromkeys(unknown)),
        )

    async def _read(self, resource: Resource, target: Target, declared: ServiceFacts) -> WorkloadFacts:
        asked = ObjectName(resource=resource, name=target.name)
        return await read_workload(
            self.kube, self.templates, asked, target.namespace, declared=declared, now=self.clock()
        )

    async def _incidents_of(self, upstream: str, unknown: list[str]) -> Sequence[ObjectChange]:
        """Return the newest incident of an upstream, as an entry of the timeline."""
        if self.incidents is None or not upstream:
            return ()
        try:
            found = await self.incidents(upstream)
        except LedgerUnavailable as error:
            unknown.append(f"incidents of {upstream}: {error}")
            return ()
        return [
            ObjectChange(
                object=f"incident/{each.id}", field=upstream, at=each.opened, after=str(each.state), shown=True
            )
            for each in found
        ]


def _named(facts: WorkloadFacts, declared: ServiceFacts) -> Sequence[Target]:
    """Return the workloads of other services whose Kubernetes Service a variable names, and that are not declared as upstreams."""
    hosts = (service_of(each.host_in(facts.namespace)) for each in facts.hosts)
    named = {declared.exposed.get(str(host)): None for host in hosts}
    return [each for each in named if each is not None and each not in declared.upstreams]


def _key(resource: Resource, target: Target) -> tuple[str, str, str]:
    return resource.plural, target.namespace, target.name
