"""Reads a workload, its upstreams and its revisions, and diagnoses it, with the daemon's client, good templates, redaction and errors."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kintsugi.actions.api_objects import as_kube_errors
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.errors import KubeError, LedgerUnavailable, NotFound, NotRecorded
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi.model.hosts import service_of
from kintsugi.model.records import Incident, Target
from kintsugi.telemetry import SECRETS
from kubediagnosis import answering, workload_revisions
from kubediagnosis.causes import Diagnosis, ObjectChange
from kubediagnosis.diagnose import diagnose
from kubediagnosis.facts import DeclaredFacts, WorkloadFacts
from kubediagnosis.workload_reader import WorkloadReader
from kubediagnosis.workload_revisions import Revision
from kubeobjects.resources import WORKLOADS, Resource, find
from kubeobjects.unstructured import Unstructured


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceFacts(DeclaredFacts):
    """
    The declared facts of a workload, with its neighbours: other workloads that may be the cause.

    `upstreams` are the workloads of the services that it depends on, `exposed` those of all services, by the names of their
    Kubernetes Services (`NAME.NAMESPACE`): what a variable names is likely an upstream, too.
    """

    upstreams: tuple[Target, ...] = ()
    exposed: Mapping[str, Target] = field(default_factory=dict)


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
        try:
            facts = await self.facts(target, upstreams=upstreams)
        except NotFound as error:
            raise NotRecorded(
                f"there is no {_workload(target).singular}/{target.name} in {target.namespace}"
            ) from error
        return await asyncio.to_thread(diagnose, facts)

    async def facts(self, target: Target, *, upstreams: bool = True) -> WorkloadFacts:
        """Return the facts of a workload, and of its upstreams where it has a problem. Raises KubeError, NotRecorded for another type."""
        resource = _workload(target)
        if not upstreams:
            return await self._read(resource, target, self.declared(target))
        return await self._with_upstreams(resource, target, {_key(resource, target)})

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
        reader = WorkloadReader(
            client=self.kube,
            namespace=target.namespace,
            redact=SECRETS.text,
            resource=resource,
            name=target.name,
            declared=declared,
            templates=self.templates,
        )
        with as_kube_errors():
            return await reader.read(self.clock())

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


def _workload(target: Target) -> Resource:
    resource = find(target.kind)
    if resource is None or resource not in WORKLOADS:
        known = ", ".join(each.singular for each in WORKLOADS)
        raise NotRecorded(f"the type {target.kind} cannot be diagnosed; supported types: {known}")
    return resource


def _key(resource: Resource, target: Target) -> tuple[str, str, str]:
    return resource.plural, target.namespace, target.name


async def find_revisions(
    kube: KubeClient, asked: ObjectName, workload: Unstructured, good: Collection[str]
) -> tuple[Revision, ...]:
    """Read the revisions of a workload, oldest number first. Raises KubeError."""
    with as_kube_errors():
        return await workload_revisions.find_revisions(kube, asked.resource, workload, good)


def last_good_of(revisions: Sequence[Revision]) -> Revision | None:
    """Return the newest revision that was seen good and is not the current one, None without one."""
    return next((revision for revision in reversed(revisions) if revision.good and not revision.current), None)
