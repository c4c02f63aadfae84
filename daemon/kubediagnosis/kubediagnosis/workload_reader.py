"""
Reads one workload for a diagnosis from the API: once, with reads alone, and bounded.

Objects that cannot be read, for instance for want of a right, are listed as not known; only the workload itself is required.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from itertools import chain

from kubediagnosis import object_facts, services, words
from kubediagnosis.causes import Keeping
from kubediagnosis.facts import (
    ConfigurationFacts,
    ConfigurationType,
    DeclaredFacts,
    LogFacts,
    MissingFacts,
    NodeFacts,
    PodFacts,
    WebhookFacts,
    WorkloadFacts,
)
from kubediagnosis.ports import KeptTemplate, KeptTemplates
from kubediagnosis.references import references
from kubediagnosis.related_reader import RelatedReader, TolerantReads
from kubediagnosis.scheduling import NODE_UNDER_WAY
from kubediagnosis.templates import template_of
from kubediagnosis.workload_revisions import Revision, find_revisions
from kubeobjects import predicates, resources, unstructured
from kubeobjects.errors import ObjectNotFound
from kubeobjects.kept import KEPT, DaemonSet, Deployment, Event, KubeService, ReplicaSet, StatefulSet
from kubeobjects.metadata import Metadata
from kubeobjects.owners import helm_release, managers, operators, recreating_command
from kubeobjects.resources import (
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    NODES,
    PODS,
    REPLICASETS,
    SERVICES,
    Resource,
)
from kubeobjects.selectors import selector_of
from kubeobjects.specified import SpecifiedPod
from kubeobjects.unstructured import Unstructured

MOST_PODS = 50
EVENT_SELECTORS = ("type=Warning", *(f"reason={reason}" for reason in ("Killing", *NODE_UNDER_WAY)))
"""The selectors of the Events that are read: warnings, and other reasons that say something about a cause."""

MOST_EVENTS = 500
MOST_LOGS = 4
MOST_CONFIGURATIONS = 20
MOST_SERVICES = 5

_WEBHOOKS = tuple(
    Resource(
        kind=f"{word}WebhookConfiguration",
        plural=f"{word.lower()}webhookconfigurations",
        singular=f"{word.lower()}webhookconfiguration",
        group="admissionregistration.k8s.io",
        namespaced=False,
    )
    for word in ("Validating", "Mutating")
)
_KINDS = {ConfigurationType.CONFIG_MAP: CONFIGMAPS, ConfigurationType.SECRET: resources.SECRETS}


@dataclass(kw_only=True, slots=True)
class WorkloadReader(TolerantReads):
    """
    Reads one workload: a Deployment, StatefulSet or DaemonSet.

    `declared` are facts about it that no object has: its checks, and the observer's health. `templates` keeps good templates that
    Kubernetes has forgotten, None without such.
    """

    resource: Resource
    name: str
    declared: DeclaredFacts = field(default_factory=DeclaredFacts)
    templates: KeptTemplates | None = None

    @property
    def reference(self) -> str:
        """Return the workload as kubectl writes it."""
        return f"{self.resource.singular}/{self.name}"

    async def read(self, now: datetime) -> WorkloadFacts:
        """
        Read everything; of a workload that its service names and that is absent, what is known of it.

        Raises ReadError or SelectorError where the workload itself cannot be read, ObjectNotFound where it is absent and belongs to no service.
        """
        try:
            workload = await self.client.get(self.resource, self.name, self.namespace)
        except ObjectNotFound:
            if not self.declared.service:
                raise
            return await self._missing(now)
        return await self._there(workload, now)

    async def _there(self, workload: Unstructured, now: datetime) -> WorkloadFacts:
        """Read everything of a workload that is there. Raises ReadError."""
        kept = unstructured.convert(workload, KEPT[self.resource])
        assert isinstance(kept, Deployment | StatefulSet | DaemonSet), "a diagnosis is of a workload"
        selector, metadata = str(selector_of(kept.spec.selector)), kept.metadata
        sets, revisions, items, services = await asyncio.gather(
            self._replica_sets(selector, metadata.uid),
            self.known("its revisions", find_revisions(self.client, self.resource, workload), ()),
            self._list("its pods", PODS, labels=selector),
            self.listed("the Services of the namespace", SERVICES),
        )
        before = await self._kept(workload) if len(revisions) == 1 else None
        owners = frozenset({metadata.uid, *(each.metadata.uid for each in sets)})
        pods = self._most(object_facts.pods_of_facts(items, owners))
        known = WorkloadFacts(
            reference=self.reference,
            namespace=self.namespace,
            now=now,
            created=metadata.creation_timestamp,
            desired=kept.status.desired_number_scheduled if isinstance(kept, DaemonSet) else kept.spec.replicas,
            labels=kept.spec.template.metadata.labels,
            selector=kept.spec.selector.match_labels,
            template=unstructured.convert(unstructured.nested_map(template_of(workload), "spec"), SpecifiedPod),
            revisions=object_facts.compared_revisions(revisions, pods, before),
            pods=pods,
            conditions=(
                *((self.reference, each) for each in kept.status.conditions),
                *((_set(each), one) for each in sets for one in each.status.conditions),
            ),
            services=tuple(unstructured.convert(each, KubeService) for each in services or ()),
            services_known=services is not None,
            governing=kept.spec.service_name if isinstance(kept, StatefulSet) else "",
            scaled=object_facts.written_by(workload, "f:replicas"),
            deleted=metadata.deletion_timestamp,
            finalizers=metadata.finalizers,
            hosts=tuple(object_facts.hosts_of(workload)),
            declared=self.declared,
            keeping=_keeping(metadata, revisions),
            paused_before_start=object_facts.paused_before_start(workload),
            templated=object_facts.written_by(workload, "f:template"),
        )
        completed = await self._completed(known, frozenset(_set(each) for each in sets))
        around = RelatedReader(
            client=self.client, namespace=self.namespace, redact=self.redact, unknown=self.unknown, owners=owners
        )
        found = await around.complete(completed)
        return replace(found, unknown=tuple(self.unknown))

    async def _missing(self, now: datetime) -> WorkloadFacts:
        """Return what is known of a workload that is not there."""
        kept = None
        if self.templates is not None:
            manifest = self.templates.manifest(self.resource.singular, self.namespace, self.name)
            kept = await self.known("its manifest", manifest, None)
        items = await self.listed("workloads with a similar name", self.resource) or ()
        similar = _similar(self.name, [unstructured.name(each) for each in items])
        known = MissingFacts(similar=f"{self.resource.singular}/{similar}" if similar else "")
        if kept is not None:
            known = replace(
                known,
                last_good=kept.seen,
                owner=", ".join(str(each) for each in operators(kept.metadata)),
                command=recreating_command(kept.metadata),
                lacks=kept.missing,
            )
        return WorkloadFacts(
            reference=self.reference,
            namespace=self.namespace,
            now=now,
            desired=0,
            labels={},
            selector={},
            template=SpecifiedPod(),
            revisions=(),
            pods=(),
            declared=replace(self.declared, checks=(), serving=None, lost_service=""),
            missing=known,
            unknown=tuple(self.unknown),
        )

    async def _completed(self, known: WorkloadFacts, sets: frozenset[str]) -> WorkloadFacts:
        """Add the objects that those read first refer to."""
        about = sets | {known.reference, *(pod.reference for pod in known.pods)}
        event_lists, configurations, logs, selected, nodes = await asyncio.gather(
            asyncio.gather(*(self._list("Events", EVENTS, fields=each) for each in EVENT_SELECTORS)),
            self._configurations([known.template, *(pod.spec for pod in known.pods)]),
            self._logs(known.pods),
            self._selected(known),
            self._nodes(known.pods),
        )
        events = self._newest(object_facts.events_of_facts(chain(*event_lists), about))
        texts = (*(each.message for each in events), *(each.message for _, each in known.conditions))
        webhooks = await self._webhooks(texts)
        return replace(
            known,
            events=events,
            configurations=configurations,
            logs=logs,
            selected=selected,
            nodes=nodes,
            webhooks=webhooks,
        )

    async def _list(
        self, what: str, resource: Resource, *, labels: str = "", fields: str = ""
    ) -> Sequence[Unstructured]:
        return await self.listed(what, resource, labels=labels, fields=fields) or ()

    async def _kept(self, workload: Unstructured) -> KeptTemplate | None:
        """Return the last good template of a workload whose own history begins with the one in force."""
        if self.templates is None:
            return None
        template = self.templates.find(self.resource.singular, self.namespace, self.name, workload)
        found = await self.known("its last good template", template, None)
        if found is not None and found.missing:
            self.unknown[f"its last good template: not kept are the values of {', '.join(found.missing)}"] = None
        return found

    async def _replica_sets(self, selector: str, owner: str) -> Sequence[ReplicaSet]:
        if self.resource != DEPLOYMENTS:
            return ()
        found = await self._list("its ReplicaSets", REPLICASETS, labels=selector)
        sets = (unstructured.convert(each, ReplicaSet) for each in found)
        return [each for each in sets if any(one.uid == owner for one in each.metadata.owner_references)]

    def _most(self, pods: Sequence[PodFacts]) -> tuple[PodFacts, ...]:
        """Return the first `MOST_PODS` pods, those that are not ready first."""
        if len(pods) > MOST_PODS:
            self.unknown[f"its pods: {len(pods)} exist, and {MOST_PODS} were read"] = None
        return tuple(sorted(pods, key=predicates.ready)[:MOST_PODS])

    def _newest(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """Return the newest `MOST_EVENTS` Events."""
        found = sorted(events, key=lambda each: each.at.timestamp() if each.at is not None else 0.0)
        if len(found) > MOST_EVENTS:
            self.unknown[f"Events: {len(found)} exist, and the newest {MOST_EVENTS} were read"] = None
        return tuple(found[-MOST_EVENTS:])

    async def _configurations(self, specs: Iterable[SpecifiedPod]) -> tuple[ConfigurationFacts, ...]:
        """Read what the template and the pods name; of many, those that are named first."""
        named = list(dict.fromkeys((each.type, each.name) for spec in specs for each in references(spec) if each.name))
        if len(named) > MOST_CONFIGURATIONS:
            self.unknown[f"ConfigMaps and Secrets: {len(named)} are named, and {MOST_CONFIGURATIONS} were read"] = None
        return tuple(await asyncio.gather(*(self._configuration(*each) for each in named[:MOST_CONFIGURATIONS])))

    async def _configuration(self, kind: ConfigurationType, name: str) -> ConfigurationFacts:
        """Read the metadata of a ConfigMap or Secret: which key was written when, and no value."""
        resource = _KINDS[kind]
        what = f"{resource.plural} of {self.namespace}"
        obj, is_known = await self.got(what, resource, name, metadata_alone=True)
        if obj is None:
            return ConfigurationFacts(type=kind, name=name, exists=False if is_known else None)
        return object_facts.configuration_facts(kind, name, obj)

    async def _logs(self, pods: Sequence[PodFacts]) -> tuple[LogFacts, ...]:
        """Read the last lines of containers that have ended and are not ready, of a few pods."""
        ended = [
            (pod, status.name, status.state.terminated is None)
            for pod in pods
            if not predicates.terminating(pod)
            for status, _ in pod.statuses()
            if not status.ready and (status.state.terminated or status.last_state.terminated) and status.restart_count
        ]
        return await self.logs_of(
            self.logged(pod, container, previous=previous) for pod, container, previous in ended[:MOST_LOGS]
        )

    async def _selected(self, known: WorkloadFacts) -> frozenset[str]:
        """Return the Services that other pods are behind, of those that do not select this workload; more than a few are left out."""
        others = list(services.elsewhere(known))
        near = [each for each in others if each.spec.selector.keys() & known.labels.keys()]
        asked = await asyncio.gather(
            *(
                self._list("pods of other Services", PODS, labels=services.as_labels(each.spec.selector))
                for each in near[:MOST_SERVICES]
            )
        )
        empty = {each.metadata.name for each, pods in zip(near, asked, strict=False) if not pods}
        return frozenset(each.metadata.name for each in others) - empty

    async def _nodes(self, pods: Sequence[PodFacts]) -> tuple[NodeFacts, ...]:
        """Read nodes where a pod finds none."""
        if not any(predicates.unschedulable(pod) for pod in pods):
            return ()
        return tuple(object_facts.node_facts(each) for each in await self._list("nodes", NODES))

    async def _webhooks(self, texts: Iterable[str]) -> tuple[WebhookFacts, ...]:
        """Read who has which webhook, where one refuses pods or fails."""
        if not any(words.of_webhook(text) for text in texts):
            return ()
        found = await asyncio.gather(*(self._list(each.plural, each) for each in _WEBHOOKS))
        return tuple(
            object_facts.webhooks_of(resource.singular, each)
            for resource, items in zip(_WEBHOOKS, found, strict=True)
            for each in items
        )


def _keeping(metadata: Metadata, revisions: Sequence[Revision]) -> Keeping:
    return Keeping(
        managers=tuple(str(each) for each in managers(metadata)),
        release=helm_release(metadata),
        previous=max((each.number for each in revisions if not each.current), default=0),
    )


def _set(found: ReplicaSet) -> str:
    return f"{REPLICASETS.singular}/{found.metadata.name}"


def _similar(name: str, names: Sequence[str]) -> str:
    """Return the name that a misspelt or shortened one may mean, "" for none."""
    holding = [each for each in names if each.startswith(name) or name.startswith(each)]
    return next(iter([*holding, *get_close_matches(name, names, n=1)]), "")
