"""`kintsugi diagnose`: find the causes of a workload's problem, and the remedy."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from kintsugi.actions.probe_context import ProbeContext
from kintsugi.actions.probe_verb import ProbeVerb
from kintsugi.actions.remedy_facts import read_revisions
from kintsugi.actions.result import Result
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.actions.workload_reads import read_workload
from kintsugi.actions.workload_state import state_of
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.command_spec import CommandSpec, ParsedCommand
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.commands.references import place_of, single
from kintsugi.commands.results import ObjectType
from kintsugi.commands.words import namespace_option
from kintsugi.decisions.remedies import remedy
from kintsugi.expressions import Type
from kintsugi.model.command import Command, ObjectName, Verb
from kintsugi.model.remedies import Remedy, RemedyKind
from kubediagnosis.diagnose import diagnose
from kubediagnosis.facts import PodFacts, WorkloadFacts
from kubeobjects.resources import NODES, PODS, PVCS

_TARGETS = {
    RemedyKind.RESTART_CANARY: PODS,
    RemedyKind.ROLLOUT_RESTART: PODS,
    RemedyKind.RECREATE_ONE: PODS,
    RemedyKind.MOVE_PODS: NODES,
    RemedyKind.GROW_CLAIM_ASKED: PVCS,
}
"""The kinds of the objects that remedies name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnose(Command):
    """Find out what is wrong with one workload, and what helps against it."""

    object: ObjectName
    namespace: str


def build(parsed: ParsedCommand) -> Diagnose:
    """Build `kintsugi diagnose` of one workload."""
    return Diagnose(object=single(parsed), namespace=place_of(parsed))


class DiagnoseVerb(ProbeVerb[Diagnose]):
    """Reads alone: of the workload, its pods and Events, and what they name."""

    command = Diagnose
    knows_tried = True
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
    def columns(self, command: Diagnose, type_of: ObjectType) -> Mapping[str, Type]:
        return {}

    @override
    async def read(
        self, clients: VerbClients, command: Diagnose, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        asked = command.object
        seen = probe_context.seen_of(str(asked), command.namespace)
        now = probe_context.now or datetime.now(UTC)
        facts = await read_workload(
            clients.kube, clients.templates, asked, command.namespace, declared=seen.declared, now=now
        )
        revisions = await read_revisions(clients, asked, facts, probe_context)
        found = await asyncio.to_thread(diagnose, facts)
        helps = remedy(found, revisions, state_of(facts, seen))
        cause = next(iter(found.causes), None)
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
    """Return whether a pod's memory limit is raised, or the pod is on the node that is left."""
    return pod.metadata.name in helps.pods or (helps.kind is RemedyKind.MOVE_PODS and pod.spec.node_name == helps.name)
