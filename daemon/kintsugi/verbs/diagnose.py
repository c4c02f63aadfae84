"""`kintsugi diagnose`: find the causes of a workload's problem, and the remedy."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from kintsugi.actions import api_objects
from kintsugi.actions.probe import OwnWorkload, ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.actions.workload_reads import Diagnoser, find_revisions
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.command_spec import CommandSpec, ParsedCommand
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.commands.references import place_of, single
from kintsugi.commands.words import namespace_option
from kintsugi.decisions.recurrence import failed_remedies
from kintsugi.decisions.remedies import remedy
from kintsugi.model.command import ObjectCommand, ObjectName, Verb
from kintsugi.model.outages import Fault
from kintsugi.model.records import Target
from kintsugi.model.remedies import (
    ClaimSize,
    ContainerMemory,
    KeptTemplateFacts,
    Remedy,
    RemedyKind,
    RevisionFacts,
    WorkloadState,
)
from kubediagnosis import last_change
from kubediagnosis.containers import pending_resize
from kubediagnosis.diagnose import diagnose
from kubediagnosis.facts import PodFacts, WorkloadFacts
from kubediagnosis.ports import KeptTemplate
from kubediagnosis.templates import changed_fields, difference, template_fields, template_of
from kubediagnosis.workload_revisions import alike, current_of
from kubeobjects import predicates, unstructured
from kubeobjects.metadata import Object
from kubeobjects.owners import helm_release, managers
from kubeobjects.resources import NODES, PODS, PVCS
from kubeobjects.unstructured import Unstructured

_TARGETS = {
    RemedyKind.RESTART_CANARY: PODS,
    RemedyKind.ROLLOUT_RESTART: PODS,
    RemedyKind.RESTART: PODS,
    RemedyKind.MOVE_PODS: NODES,
    RemedyKind.GROW_CLAIM_ASKED: PVCS,
}
"""The kinds of the objects that remedies name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnose(ObjectCommand):
    """Find out what is wrong with one workload, and what helps against it."""


def build(parsed: ParsedCommand) -> Diagnose:
    """Build `kintsugi diagnose` of one workload."""
    return Diagnose(object=single(parsed), namespace=place_of(parsed))


class DiagnoseVerb(ProbeVerb[Diagnose]):
    """Reads alone: of the workload, its pods and Events, what they name, and its upstreams."""

    command = Diagnose
    diagnoses = True
    spec = CommandSpec(
        verb=Verb.DIAGNOSE,
        changes=False,
        usage="kintsugi diagnose TYPE/NAME [-n NS]",
        example="kintsugi diagnose deployment/web",
        flags=(flags.NAMESPACE,),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build,
        resources=ROLLED_OUT,
        result=results.DIAGNOSIS,
    )

    @override
    def words(self, command: Diagnose) -> Iterator[str]:
        yield from [str(command.object), *namespace_option(command.namespace)]

    @override
    async def read(
        self, clients: VerbClients, command: Diagnose, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        asked = command.object
        seen = probe_context.seen_of(str(asked), command.namespace)
        now = probe_context.now or datetime.now(UTC)
        diagnoser = Diagnoser(
            kube=clients.kube, clock=lambda: now, declared=probe_context.declared, templates=clients.templates
        )
        target = Target(kind=asked.resource.singular, namespace=command.namespace, name=asked.name)
        facts = await diagnoser.facts(target)
        revisions = await read_revisions(clients, asked, facts, probe_context)
        found = await asyncio.to_thread(diagnose, facts)
        cause = next(iter(found.causes), None)
        fault = Fault.of(cause) if cause is not None else None
        state = replace(state_of(facts, seen), tried=failed_remedies(seen.tried, fault))
        helps = remedy(found, revisions, state)
        return Result(
            names={
                "cause": str(cause.kind) if cause is not None else "",
                "object": cause.object if cause is not None else "",
                "field": cause.field if cause is not None else "",
                "confidence": str(cause.confidence) if cause is not None else "",
                "text": cause.text if cause is not None else "",
                "remedy": str(helps.kind),
                "reason": helps.reason,
                "target": _target(facts, helps),
                "container": helps.name if helps.kind is RemedyKind.RAISE_MEMORY else "",
                "amount": helps.amount,
                "request": helps.request,
                "pods": [each.metadata.uid for each in facts.pods if _concerns(helps, each)],
                "revision": revisions.revision,
                "template": revisions.template,
                "good": revisions.good,
                "kept": revisions.to_kept,
            },
            summary=f"{found.summary}; {helps.kind}: {helps.reason}",
        )


VERBS = (DiagnoseVerb(),)


def _target(facts: WorkloadFacts, helps: Remedy) -> Mapping[str, str]:
    """Return the object that a remedy names, with the uid that was read; all "" where it names none."""
    resource = _TARGETS.get(helps.kind)
    if resource is None:
        return dict.fromkeys(results.TARGET.fields, "")
    uids = {
        PODS: {each.metadata.name: each.metadata.uid for each in facts.pods},
        NODES: {each.metadata.name: each.metadata.uid for each in facts.nodes},
        PVCS: {each.metadata.name: each.metadata.uid for each in facts.claims},
    }
    return {
        "kind": resource.kind,
        "name": helps.name,
        "namespace": facts.namespace if resource.namespaced else "",
        "uid": uids[resource].get(helps.name, ""),
    }


def _concerns(helps: Remedy, pod: PodFacts) -> bool:
    """Return whether a remedy is about a pod: it is named, or on the node that is left."""
    return pod.metadata.name in helps.pods or (helps.kind is RemedyKind.MOVE_PODS and pod.spec.node_name == helps.name)


async def read_revisions(
    clients: VerbClients, asked: ObjectName, facts: WorkloadFacts, probe_context: ProbeContext
) -> RevisionFacts:
    """Read the revisions of a workload whose diagnosis was made of `facts`. Raises KubeError, LedgerUnavailable."""
    workload = await clients.kube.get(asked.resource, asked.name, facts.namespace)
    revisions = await find_revisions(clients.kube, asked, workload, probe_context.good)
    metadata = api_objects.convert(workload, Object).metadata
    current = current_of(revisions)
    same = alike(revisions)
    good = [each for each in revisions if each.good and each not in same]
    kept = (
        None if good else await clients.templates.find(asked.resource.singular, facts.namespace, asked.name, workload)
    )
    last = good[-1].pods if good else kept.pods if kept is not None else None
    return RevisionFacts(
        revision=current.number if current is not None else 0,
        template=current.template if current is not None else "",
        known_good=any(each.good for each in same),
        good=good[-1].number if good else 0,
        adopted=bool(good) and good[-1].template in probe_context.adopted,
        none_good=probe_context.none_good,
        kept=_of_kept(workload, kept) if kept is not None else None,
        changed=changed_fields(template_fields(last), template_fields(template_of(workload))) if last else (),
        pods=frozenset(each.reference for each in facts.pods if current is not None and current.makes(each)),
        upstream=probe_context.upstream,
        managers=tuple(str(each) for each in managers(metadata)),
        release=helm_release(metadata),
        paused=unstructured.nested_field(workload, "spec", "paused") is True,
    )


def _of_kept(workload: Unstructured, found: KeptTemplate) -> KeptTemplateFacts:
    has, had = difference(template_fields(found.pods), template_fields(template_of(workload)))
    changed = f"{has} instead of {had}" if has and had else has
    return KeptTemplateFacts(difference=changed, missing=found.missing)


def state_of(facts: WorkloadFacts, seen: OwnWorkload) -> WorkloadState:
    """Return the state of a workload whose diagnosis was made from `facts`."""
    serving = sorted((each for each in facts.pods if predicates.serves(each)), key=_order)
    # an ordered StatefulSet recreates no pod before those of a lower ordinal are ready
    start_up = facts.declared.start_up
    failing = sorted((each for each in facts.pods if predicates.unhealthy(each, facts.now, start_up)), key=_order)
    return WorkloadState(
        serving=tuple(each.metadata.name for each in serving),
        failing=tuple(each.metadata.name for each in reversed(failing)),
        replicas=seen.replicas,
        rests=seen.rests,
        memory=tuple(_memory(facts)),
        claims=tuple(
            ClaimSize(
                name=each.metadata.name,
                requested=each.spec.resources.requests.get("storage", ""),
                capacity=each.capacity,
                grows=each.grows,
            )
            for each in facts.claims
        ),
        max_allowed=seen.max_allowed,
    )


def _memory(facts: WorkloadFacts) -> Iterator[ContainerMemory]:
    for pod in last_change.living(facts):
        for container in pod.spec.containers:
            yield ContainerMemory(
                pod=pod.metadata.name,
                container=container.name,
                limit=container.resources.limits.get("memory", ""),
                request=container.resources.requests.get("memory", ""),
                pending=pending_resize(pod),
            )


def _order(pod: PodFacts) -> tuple[int, str]:
    """Sort as a rolling update of a StatefulSet goes, the last ordinal first; all others by their names."""
    _, _, ordinal = pod.metadata.name.rpartition("-")
    return (-int(ordinal) if ordinal.isdecimal() and len(ordinal) < 10 else 0, pod.metadata.name)
