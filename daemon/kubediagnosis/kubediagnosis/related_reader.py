"""
Reads the related objects of a workload, once for a diagnosis and bounded: nodes, claims, policies, budgets, autoscalers.

Some reads are made only for a workload that is not well. Each may be refused or fail: it is recorded as unknown then, and
the diagnosis continues without it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

import msgspec

from kubediagnosis import answering, last_change, object_facts, services, words
from kubediagnosis.facts import (
    DNS_NAMESPACE,
    DNS_SERVICE,
    ClaimFacts,
    LogFacts,
    NameServerFacts,
    NodeFacts,
    PodFacts,
    SharedService,
    WorkloadFacts,
)
from kubediagnosis.ports import KubeReader
from kubediagnosis.probes import TOLD_TO_END
from kubeobjects import predicates, unstructured
from kubeobjects.errors import ObjectNotFound, ReadError, ReadForbidden
from kubeobjects.metadata import Metadata
from kubeobjects.network import NetworkPolicy
from kubeobjects.resources import (
    ENDPOINTSLICES,
    HPAS,
    NAMESPACES,
    NETWORKPOLICIES,
    NODES,
    PDBS,
    POD_METRICS,
    PODS,
    PVCS,
    PVS,
    STORAGECLASSES,
    Resource,
)
from kubeobjects.storage import StorageClass
from kubeobjects.unstructured import Unstructured
from kubeobjects.workloads import HorizontalPodAutoscaler, PodDisruptionBudget, PodMetrics

Read = TypeVar("Read")

MOST_NODES = 10
MOST_CLAIMS = 10
MOST_SHARED = 5
MOST_RUNNING_LOGS = 2
MOST_SUSPECTED_NODES = 2
JUST_NOW = timedelta(minutes=2)
"""What is written in the log of a service that is well counts for so long."""

_OOM = "OOMKilled"


@dataclass(kw_only=True, slots=True)
class TolerantReads:
    """
    Reads of one namespace; `unknown` collects, once each, what could not be read and why.

    `redact` masks what may be a secret in the line of a log.
    """

    client: KubeReader
    namespace: str
    redact: Callable[[str], str]
    unknown: dict[str, None] = field(default_factory=dict)

    async def known(self, what: str, read: Awaitable[Read], instead: Read) -> Read:
        """
        Return the read value, or `instead` where it cannot be read: the failure is recorded in `unknown` and raises
        nothing.
        """
        try:
            return await read
        except ReadError as error:
            self.unknown[f"{what}: {error}"] = None
            return instead

    async def listed(
        self, what: str, resource: Resource, *, labels: str = "", fields: str = ""
    ) -> Sequence[Unstructured] | None:
        """Return the objects of a kind, of all namespaces where the kind has none; None where they cannot be read."""

        async def items() -> Sequence[Unstructured] | None:
            namespace = self.namespace if resource.namespaced else None
            return (await self.client.list(resource, namespace, labels=labels, fields=fields)).items

        return await self.known(what, items(), None)

    async def logged(
        self, pod: PodFacts, container: str, *, previous: bool, since: timedelta | None = None
    ) -> LogFacts | None:
        """Return the telling line of the end of a container's log, of its run before where that is asked for. Raises ReadError."""
        read = bytearray()
        chunks = self.client.logs(
            pod.metadata.name,
            self.namespace,
            container=container,
            previous=previous,
            since=since,
            tail=object_facts.LOG_LINES,
            limit_bytes=object_facts.LOG_BYTES,
            deadline=object_facts.LOG_TIME,
        )
        async for chunk in chunks:
            read += chunk
        line = words.error_line(bytes(read).decode(errors="replace").splitlines())
        return LogFacts(pod=pod.metadata.name, container=container, line=self.redact(line)) if line else None

    async def logs_of(self, reads: Iterable[Awaitable[LogFacts | None]]) -> tuple[LogFacts, ...]:
        """Return the telling lines of several logs, of those that can be read."""
        found = await asyncio.gather(*(self.known("logs", each, None) for each in reads))
        return tuple(each for each in found if each is not None)

    async def got(
        self, what: str, resource: Resource, name: str, *, metadata_alone: bool = False
    ) -> tuple[Unstructured | None, bool]:
        """Return one object, None where it does not exist; and whether that is known."""
        read = self.client.get_metadata if metadata_alone else self.client.get
        try:
            return await read(resource, name, self.namespace), True
        except ObjectNotFound:
            return None, True
        except ReadForbidden:
            self.unknown[f"{what}: no right to get them"] = None
        except ReadError as error:
            self.unknown[f"{resource.singular}/{name}: {error}"] = None
        return None, False


@dataclass(kw_only=True, slots=True)
class RelatedReader(TolerantReads):
    """Reads the related objects of one workload; `owners` are the uids of the workload and of its ReplicaSets."""

    owners: frozenset[str]

    async def complete(self, known: WorkloadFacts) -> WorkloadFacts:
        """Add the related objects to the facts that were read of the workload itself."""
        nodes, claims, autoscalers, policies, labels, shared = await asyncio.gather(
            self._nodes(known),
            self._claims(known),
            self.listed("autoscalers", HPAS),
            self.listed("NetworkPolicies", NETWORKPOLICIES),
            self._namespace_labels(),
            self._shared(known),
        )
        budgets = await self.listed("budgets", PDBS) if any(each.spec.unschedulable for each in nodes) else ()
        usage, running = await asyncio.gather(self._usage(known), self._running_logs(known))
        name_server = await self._name_server(known, running)
        return replace(
            known,
            nodes=nodes,
            claims=claims,
            autoscalers=tuple(unstructured.convert(each, HorizontalPodAutoscaler) for each in autoscalers or ()),
            policies=tuple(unstructured.convert(each, NetworkPolicy) for each in policies or ()),
            budgets=tuple(unstructured.convert(each, PodDisruptionBudget) for each in budgets or ()),
            namespace_labels=labels,
            shared=shared,
            usage=usage,
            running_logs=running,
            name_server=name_server,
            changed_around=tuple(object_facts.changes_of_autoscalers(autoscalers or (), known.reference)),
        )

    async def _nodes(self, known: WorkloadFacts) -> tuple[NodeFacts, ...]:
        """Read the nodes of the pods, besides all of them where a pod finds none; of a node whose pods fail alone, its other pods."""
        there = {each.metadata.name for each in known.nodes}
        wanted = [
            name for name in dict.fromkeys(pod.spec.node_name for pod in known.pods) if name and name not in there
        ]
        if len(wanted) > MOST_NODES:
            self.unknown[f"nodes: {len(wanted)} have pods of it, and {MOST_NODES} were read"] = None
        found = await asyncio.gather(*(self.got("nodes", NODES, name) for name in wanted[:MOST_NODES]))
        nodes = [*known.nodes, *(object_facts.node_facts(obj) for obj, _ in found if obj is not None)]
        suspected = [each.metadata.name for each in nodes if _fails_alone(known, each)][:MOST_SUSPECTED_NODES]
        return tuple([await self._with_others(each) if each.metadata.name in suspected else each for each in nodes])

    async def _with_others(self, node: NodeFacts) -> NodeFacts:
        async def items() -> Sequence[unstructured.Unstructured]:
            return (await self.client.list(PODS, None, fields=f"spec.nodeName={node.metadata.name}")).items

        return object_facts.with_others(node, await self.known("pods of a node", items(), ()), self.owners)

    async def _claims(self, known: WorkloadFacts) -> tuple[ClaimFacts, ...]:
        """Read the claims of pods that are not ready, with their volumes and classes."""
        unready = [pod for pod in last_change.living(known) if not predicates.ready(pod)]
        names = list(dict.fromkeys(name for pod in unready for name in predicates.claim_names(pod)))
        if len(names) > MOST_CLAIMS:
            self.unknown[f"claims: {len(names)} are named, and {MOST_CLAIMS} were read"] = None
        return tuple(await asyncio.gather(*(self._claim(name) for name in names[:MOST_CLAIMS])))

    async def _claim(self, name: str) -> ClaimFacts:
        obj, is_known = await self.got("persistentvolumeclaims", PVCS, name)
        if obj is None:
            return ClaimFacts(metadata=Metadata(name=name), exists=False if is_known else None)
        claim = unstructured.convert(obj, ClaimFacts)
        bound, class_name = claim.spec.volume_name, claim.spec.storage_class_name
        volume, _ = await self.got("persistentvolumes", PVS, bound) if bound else (None, True)
        found, is_known = await self.got("storageclasses", STORAGECLASSES, class_name) if class_name else (None, False)
        return msgspec.structs.replace(
            claim,
            volume_field=object_facts.source_of(volume),
            class_exists=found is not None if is_known else None,
            grows=unstructured.convert(found, StorageClass).allow_volume_expansion if found is not None else None,
        )

    async def _namespace_labels(self) -> dict[str, str] | None:
        obj, _ = await self.got("namespaces", NAMESPACES, self.namespace)
        return unstructured.labels(obj) if obj is not None else None

    async def _shared(self, known: WorkloadFacts) -> tuple[SharedService, ...]:
        """Read which other pods are behind Services that do not ask for all labels by which the workload knows its pods."""
        wide = [each for each in services.leading(known) if not services.is_own(known, each)][:MOST_SHARED]
        others = list(services.elsewhere(known))
        if not wide or not others:
            return ()
        read = await asyncio.gather(
            *(self.listed("pods of Services", PODS, labels=services.as_labels(each.spec.selector)) for each in wide)
        )
        found = (
            object_facts.shared_of(each, items or (), self.owners, others)
            for each, items in zip(wide, read, strict=True)
        )
        return tuple(each for each in found if each is not None)

    async def _usage(self, known: WorkloadFacts) -> tuple[PodMetrics, ...]:
        """Read what containers used last, where a pod is not ready, or a container was ended, for its memory or by its probe."""
        ends = (
            end
            for pod in known.pods
            for status, _ in pod.statuses()
            for end in (status.state.terminated, status.last_state.terminated)
        )
        is_ready = all(predicates.ready(pod) for pod in last_change.living(known))
        if is_ready and not any(
            end is not None and (end.reason == _OOM or end.exit_code in TOLD_TO_END) for end in ends
        ):
            return ()
        try:
            labels = services.as_labels(known.selector)
            items = (await self.client.list(POD_METRICS, self.namespace, labels=labels)).items
        except ObjectNotFound:
            return ()  # nobody has metrics here
        except ReadError as error:
            self.unknown[f"metrics of its pods: {error}"] = None
            return ()
        return tuple(unstructured.convert(each, PodMetrics) for each in items)

    async def _running_logs(self, known: WorkloadFacts) -> tuple[LogFacts, ...]:
        """
        Read the last lines of containers that run: of pods that are not ready, or of any while a check is not met.

        Of a service that is well only what was written just now counts: older lines are about what is over.
        """
        unmet, is_well = bool(answering.unmet(known)), answering.is_well(known)
        asked = [
            (pod, status.name)
            for pod in last_change.living(known)
            if unmet or is_well or not predicates.ready(pod)
            for status, _ in pod.statuses()
            if status.state.running is not None and not status.last_state.terminated
            if unmet or is_well or not status.ready
        ]
        since = JUST_NOW if is_well else None
        return await self.logs_of(self.logged(*each, previous=False, since=since) for each in asked[:MOST_RUNNING_LOGS])

    async def _name_server(self, known: WorkloadFacts, running: Sequence[LogFacts]) -> NameServerFacts | None:
        """Read whether the cluster's DNS has endpoints, where a pod is not ready, a check is not met or a log speaks of it."""
        heard = any(words.resolver_silent(each.line) for each in running)
        if not heard and not answering.unmet(known) and not answering.lacks_pods(known):
            return None

        async def items() -> Sequence[unstructured.Unstructured]:
            labels = f"kubernetes.io/service-name={DNS_SERVICE}"
            return (await self.client.list(ENDPOINTSLICES, DNS_NAMESPACE, labels=labels)).items

        found = await self.known("endpoints of the cluster's DNS", items(), ())
        return object_facts.name_server_of(DNS_SERVICE, found)


def _fails_alone(known: WorkloadFacts, node: NodeFacts) -> bool:
    """Return whether no pod of the workload on a node is ready, and one elsewhere is."""
    pods = [pod for pod in last_change.living(known) if pod.spec.node_name]
    here = [pod for pod in pods if pod.spec.node_name == node.metadata.name]
    return bool(here) and not any(predicates.ready(pod) for pod in here) and any(predicates.ready(pod) for pod in pods)
