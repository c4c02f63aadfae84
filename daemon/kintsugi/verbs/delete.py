"""
`kubectl delete`: delete a pod that its controller recreates, or a claim whose volume is kept.

A pod is deleted only when that can help; its description and logs are kept first, and it needs no undo, since its
controller makes a successor. A pod that a StatefulSet would end anyway may be deleted, too: one that is scaled to 0 in
order ends no pod before its predecessors are ready, nor one of an earlier template (kubernetes.io, StatefulSets,
"Forced rollback"). `pvcs` judges claims.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions import api_objects, job_effect, preconditions, pvcs
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.description import evidence_of_pod
from kintsugi.actions.effect_plan import (
    DeleteIntent,
    DeleteWrite,
    EffectPlan,
    EffectStatus,
    Evidence,
    record_without_undo,
)
from kintsugi.actions.loaded_target import LoadedTarget, load_target
from kintsugi.actions.verb_bases import SeveralObjectsVerb, VerbClients, removal_status
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.references import objects, place_of
from kintsugi.commands.selectors import selects
from kintsugi.commands.verb_definition import PolicyRule
from kintsugi.commands.words import named_objects, namespace_option, number
from kintsugi.errors import NotFound, NotYet, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Delete, ObjectName, Verb
from kintsugi.model.records import Phase
from kubeobjects import predicates, unstructured
from kubeobjects.kept import Node, Pod, PodDisruptionBudget, StatefulSet
from kubeobjects.resources import JOBS, NODES, PDBS, PODS, PVCS, STATEFULSETS
from kubeobjects.unstructured import Unstructured

_STATIC_POD = "kubernetes.io/config.mirror"
_REVISION = "controller-revision-hash"
_SUCCESSOR = "nothing to undo: its controller makes a successor, and the successor counts"
_NO_SUCCESSOR = "nothing to undo: its StatefulSet is scaled to 0, and recreates it when it is scaled up"
_ONLY_PODS = (
    "only pods are deleted, because their controllers make new ones, and claims whose volume is kept: other objects are "
    "not recreated"
)


def build(parsed: ParsedCommand) -> Delete:
    """Build `kubectl delete`: of objects by name, always with grace."""
    found = objects(parsed)
    grace = parsed.number("grace")
    if grace is not None and grace < 1:
        raise CommandProblem(
            f"kubectl delete: --grace-period={grace} kills without warning, and a second pod may run beside the first: "
            "leave it out, the pod's own grace period is kept"
        )
    return Delete(
        objects=found,
        namespace=place_of(parsed),
        grace=None if grace is None else timedelta(seconds=grace),
    )


class DeleteVerb(SeveralObjectsVerb[Delete]):
    """The delete of pods and claims; and of a Job of the run, which no runbook can contain."""

    command = Delete
    intent = DeleteIntent
    removes = True
    has_undo = False
    spec = CommandSpec(
        verb=Verb.DELETE,
        changes=True,
        usage="kubectl delete pod|pvc NAME… [--grace-period=SECONDS] [-n NS]",
        example="kubectl delete pod web-1",
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES, *flags.KILLS, flags.WAITS),
            Flag(names=("--grace-period",), key="grace", kind=arg_types.INTEGER),
            Flag(names=("--ignore-not-found",)),
        ),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build,
        resources=(PODS, PVCS),
        only=_ONLY_PODS,
    )
    rules = tuple(PolicyRule(api_group="", resource=each.plural, verb="delete") for each in (PODS, PVCS))

    @override
    def words(self, command: Delete) -> Iterator[str]:
        yield from [*named_objects(command.objects), *namespace_option(command.namespace)]
        yield from number("--grace-period=", int(command.grace.total_seconds()) if command.grace else None)

    def removed_pod(self, command: Delete) -> str:
        """Return the pod's name, where one is deleted alone."""
        one = command.objects[0]
        return one.name if len(command.objects) == 1 and one.resource == PODS else ""

    def replaces_data(self, command: Delete) -> bool:
        """Return whether a claim is deleted, whose service then gets an empty volume."""
        return any(each.resource is PVCS for each in command.objects)

    async def plan_effect(self, clients: VerbClients, command: Delete, context: ChangeContext) -> EffectPlan:
        """Judge a delete. Raises Refused for all kinds but pods, claims and the run's own Jobs: nothing would bring them back."""
        asked = command.objects[0]
        if asked.resource not in (PODS, PVCS, JOBS):
            raise Refused(
                f"{asked} is not deleted: only pods are recreated by their controllers, and claims by their volume"
            )
        if context.phase is Phase.UNDO and asked.resource == PVCS:
            return await pvcs.plan_undo(clients.kube, command, context)
        loaded = await load_target(clients.kube, asked, command.namespace, context)
        bound = replace(command, objects=(loaded.asked,))
        if asked.resource == PODS:
            return await _pod(clients.kube, bound, loaded)
        if asked.resource == JOBS:
            return await job_effect.plan_end(clients.kube, bound, loaded)
        return await pvcs.plan_delete(clients.kube, bound, loaded)

    async def effect_status(self, kube: KubeClient, plan: EffectPlan) -> EffectStatus:
        """Return whether the object is gone or terminating."""
        return removal_status(await self.find(kube, plan))

    @override
    def summary(self, plan: EffectPlan) -> str:
        status = plan.remembered(DeleteIntent).status or "it had been read before"
        return f"{self.object_of(plan)} deleted ({status})"


VERBS = (DeleteVerb(),)


async def _pod(kube: KubeClient, command: Delete, loaded: LoadedTarget) -> EffectPlan:
    asked, pod = loaded.asked, api_objects.convert(loaded.obj, Pod)
    preconditions.check(
        preconditions.foreign_pod(asked, loaded.obj, loaded.context),
        without_successor(asked, pod),
        f"{asked} has finished ({pod.status.phase}): there is nothing to restart" if predicates.finished(pod) else "",
    )
    owning = await _stateful_set_of(kube, pod, loaded.namespace)
    to_go = owning is not None and owning.spec.replicas == 0
    may_go = to_go or (owning is not None and is_superseded(pod, owning))
    if not may_go:
        _check(asked, beyond_a_restart(asked, pod), owning)
    if pod.spec.node_name:
        await _check_node(kube, asked, pod.spec.node_name)
    if not may_go:
        _check(asked, healthy(asked, pod, loaded.context), owning)
    owner = predicates.controller_of(pod)
    return EffectPlan(
        command=command,
        intent=loaded.identified(
            DeleteIntent(
                uid=loaded.uid,
                status=predicates.status_of(pod),
                restarts=predicates.restarts(pod),
                node=pod.spec.node_name,
                controller=f"{owner.kind}/{owner.name}" if owner else "",
            )
        ),
        undo=record_without_undo(_NO_SUCCESSOR if to_go else _SUCCESSOR),
        evidence=(*await evidence_of_pod(kube, loaded.obj), *await _budgets(kube, loaded)),
        write=DeleteWrite(grace=command.grace),
    )


async def _stateful_set_of(kube: KubeClient, pod: Pod, namespace: str) -> StatefulSet | None:
    """Return the StatefulSet of a pod that is not ready, None for any other pod."""
    owner = predicates.controller_of(pod)
    if owner is None or owner.kind != STATEFULSETS.kind or predicates.ready(pod):
        return None
    try:
        found = api_objects.convert(await kube.get(STATEFULSETS, owner.name, namespace), StatefulSet)
    except NotFound:
        return None
    return found if found.metadata.uid == owner.uid else None


def _check(asked: ObjectName, refusal: str, owning: StatefulSet | None) -> None:
    """Raise Refused with a refusal; NotYet while the controller of the pod's StatefulSet has not seen the last change."""
    if refusal and owning is not None and owning.status.observed_generation < owning.metadata.generation:
        raise NotYet(
            f"the controller of statefulset/{owning.metadata.name} has not seen its last change yet: {refusal}"
        )
    preconditions.check(refusal)


async def _check_node(kube: KubeClient, asked: ObjectName, name: str) -> None:
    """Refuse a pod of a node that does not answer: the delete would wait for its kubelet."""
    try:
        node = api_objects.convert(await kube.get(NODES, name), Node)
    except NotFound as error:
        raise Refused(f"the node {name} of {asked} is gone: the cluster itself removes its pods") from error
    if not predicates.ready(node):
        raise Refused(
            f"the node {name} of {asked} is not ready: the pod would only stay Terminating, the node needs repair"
        )


async def _budgets(kube: KubeClient, loaded: LoadedTarget) -> tuple[Evidence, ...]:
    """Note the disruption budgets that cover the pod: an unready pod does not count against them (B19)."""
    notes = [
        f"PodDisruptionBudget {each.metadata.name} allows {each.status.disruptions_allowed} disruptions; "
        "the pod is not ready, so that deleting it costs no availability"
        async for each in kube.iter_objects(PDBS, PodDisruptionBudget, loaded.namespace)
        if _counts(each, loaded.obj)
    ]
    return (Evidence(kind="disruption budget", text="\n".join(notes)),) if notes else ()


def _counts(budget: PodDisruptionBudget, pod: Unstructured) -> bool:
    """Return whether a budget covers a pod: without a selector it covers none, with an empty one all."""
    selector = budget.spec.selector
    return selector is not None and selects(selector, unstructured.labels(pod))


def without_successor(asked: ObjectName, pod: Pod) -> str:
    """Refuse a pod that no controller would recreate."""
    owner = predicates.controller_of(pod)
    if owner is None:
        return f"{asked} is a bare pod: no controller would recreate it"
    if owner.kind == "Node" or _STATIC_POD in pod.metadata.annotations:
        return f"{asked} is a static pod: its kubelet runs it from a file, and deleting its mirror changes nothing"
    return ""


def beyond_a_restart(asked: ObjectName, pod: Pod) -> str:
    """Refuse a delete that cannot help: a new pod would have the same problem."""
    if predicates.unschedulable(pod):
        return f"{asked} cannot be scheduled: a new pod would find no node either"
    if predicates.image_failing(pod):
        return f"the image of {asked} cannot be pulled: a new pod could not pull it either"
    return ""


def is_superseded(pod: Pod, owning: StatefulSet) -> bool:
    """
    Return whether a pod is of an earlier template, and its StatefulSet would recreate it with the current one.

    A StatefulSet that is updated by hand, or only from some ordinal on, does not.
    """
    strategy, status = owning.spec.update_strategy, owning.status
    revision = pod.metadata.labels.get(_REVISION, "")
    return (
        strategy.type != "OnDelete"
        and strategy.rolling_update.partition == 0
        and status.observed_generation >= owning.metadata.generation
        and "" not in (revision, status.update_revision)
        and revision != status.update_revision
    )


def healthy(asked: ObjectName, pod: Pod, context: ChangeContext) -> str:
    """Refuse a pod that this read does not show to be unhealthy (B14), or that may still be starting."""
    if predicates.unhealthy(pod, context.now, context.startup):
        return ""
    condition = predicates.condition_of(pod.status.conditions, "Ready")
    if condition is not None and condition.status == "False":
        return (
            f"{asked} is not ready yet, but still within its start-up: it is not deleted before the start-up has ended"
        )
    return f"{asked} is not known to be unhealthy now ({predicates.status_of(pod)}): there is nothing to restart"
