"""
`kubectl evict-pod`: evict one pod, through its `eviction` subresource: the API server asks the PodDisruptionBudgets.

It is krew's plugin; kubectl has no verb of its own. `kubectl drain` is one eviction for each pod. An eviction that a budget
forbids is asked for again until its time is over: the executor does that.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import orjson
from msgspec import UNSET, UnsetType, structs
from typing_extensions import override

from kintsugi.actions import api_objects, preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import (
    NOTHING_CHANGED,
    CreateWrite,
    EffectPlan,
    EffectStatus,
    Intent,
    record_without_undo,
)
from kintsugi.actions.loaded_target import check_loaded
from kintsugi.actions.verb_bases import SingleObjectVerb, VerbClients, removal_status, send
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.references import place_of, single
from kintsugi.commands.verb_definition import PolicyRule
from kintsugi.commands.words import namespace_option
from kintsugi.errors import NotFound, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectCommand, ObjectName
from kintsugi.verbs.delete import without_successor
from kubeobjects import predicates, unstructured
from kubeobjects.kept import Pod
from kubeobjects.resources import DAEMONSETS, PODS
from kubeobjects.unstructured import Unstructured

_SUCCESSOR = "nothing to undo: its controller makes a successor on another node"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evict(ObjectCommand):
    """Evict one pod, no later than `until` (ISO 8601, "" for as long as the step lasts); a drain says so, and the grace."""

    grace: timedelta | None = None
    until: str = ""


class EvictIntent(Intent, frozen=True, kw_only=True):
    """The pod's status and node."""

    status: str | UnsetType = UNSET
    node: str | UnsetType = UNSET


def build(parsed: ParsedCommand) -> Evict:
    """Build `kubectl evict-pod` of one pod."""
    return Evict(object=single(parsed), namespace=place_of(parsed))


class EvictVerb(SingleObjectVerb[Evict]):
    """One eviction; a drain makes one for each pod."""

    command = Evict
    intent = EvictIntent
    gone_is_done = True
    has_undo = False
    concerns_any_service = True
    spec = CommandSpec(
        verb="kubectl evict-pod",
        changes=True,
        usage="kubectl evict-pod POD [--retry] [-n NS]",
        example="kubectl evict-pod web-1",
        flags=(*flags.KUBECTL, *flags.CHANGES, *flags.KILLS, Flag(names=("--retry",))),
        arguments=(arg_types.BARE,),
        build=build,
        resources=(PODS,),
        bare=PODS,
    )
    rules = (PolicyRule(api_group="", resource="pods/eviction", verb="create"),)

    @override
    def words(self, command: Evict) -> Iterator[str]:
        yield command.object.name
        yield from namespace_option(command.namespace)

    def text(self, command: Evict) -> str:
        """Return the command; of a very pod what is created for it, which needs no plugin and names its uid."""
        if not command.object.uid:
            return super().text(command)
        path = PODS.path(command.namespace, command.object.name, "eviction")
        words = shlex.join(["kubectl", "create", "--raw", path, "-f", "-"])
        return f"{words} <<<{shlex.quote(orjson.dumps(manifest_of(command)).decode())}"

    @override
    def removed_pod(self, command: Evict) -> str:
        return command.object.name

    async def plan_effect(self, clients: VerbClients, command: Evict, context: ChangeContext) -> EffectPlan:
        """
        Plan an eviction; nothing is written where the pod is gone, or terminating.

        Raises Refused for a pod that no controller would recreate, or only on the same node, and for one that is never
        touched; NotFound for an unknown name without a uid.
        """
        asked = command.object
        intent = EvictIntent(uid=asked.uid)
        gone = EffectPlan(command=command, intent=structs.replace(intent, already=True), undo=NOTHING_CHANGED)
        try:
            obj = await clients.kube.get(PODS, asked.name, command.namespace)
        except NotFound:
            if not asked.uid:
                raise
            return gone
        if (asked.uid and unstructured.uid(obj) != asked.uid) or is_going(obj):
            return gone
        check_ours_to_evict(obj, context)
        pod = api_objects.convert(obj, Pod)
        if not predicates.finished(pod):
            preconditions.check(without_successor(asked, pod), _stays(asked, pod))
        if is_past(command.until, context.now):
            raise Refused(f"{asked} was not evicted within the drain's --timeout")
        bound = replace(command, object=api_objects.named(PODS, obj))
        intent = EvictIntent(
            uid=bound.object.uid,
            status=predicates.status_of(pod),
            node=unstructured.nested_string(obj, "spec", "nodeName"),
        )
        write = CreateWrite(manifest=manifest_of(bound), subresource="eviction")
        return EffectPlan(command=bound, intent=intent, undo=record_without_undo(_SUCCESSOR), write=write)

    async def write(self, clients: VerbClients, plan: EffectPlan) -> Unstructured | None:
        """Create the eviction. Raises TooManyRequests where a budget does not allow it now: nothing has changed then."""
        await send(clients.kube, plan, self.object_of(plan), self.namespace_of(plan))
        return None

    async def effect_status(self, kube: KubeClient, plan: EffectPlan) -> EffectStatus:
        """Return whether the pod is gone, or going."""
        return removal_status(await self.find(kube, plan))

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} evicted"


VERBS = (EvictVerb(),)


def check_ours_to_evict(pod: Unstructured, context: ChangeContext) -> None:
    """Refuse a pod that is never touched: of a protected namespace, of the cluster's DNS, of our own ledger's database."""
    asked, namespace = api_objects.named(PODS, pod), unstructured.nested_string(pod, "metadata", "namespace")
    preconditions.check(preconditions.protected(namespace, context))
    check_loaded(asked, pod, namespace, context)


def is_going(pod: Unstructured) -> bool:
    """Return whether a pod is being deleted."""
    return bool(unstructured.nested_string(pod, "metadata", "deletionTimestamp"))


def is_past(until: str, now: datetime) -> bool:
    """Return whether a moment that was set has come."""
    return bool(until) and now >= datetime.fromisoformat(until)


def manifest_of(command: Evict) -> Mapping[str, object]:
    """Write the eviction that is created."""
    options: dict[str, object] = {"preconditions": {"uid": command.object.uid}} if command.object.uid else {}
    if command.grace is not None:
        options["gracePeriodSeconds"] = int(command.grace.total_seconds())
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": command.object.name, "namespace": command.namespace},
        "deleteOptions": options,
    }


def _stays(asked: ObjectName, pod: Pod) -> str:
    """Refuse a pod of a DaemonSet: it comes back where it was, cordoned or not."""
    owner = predicates.controller_of(pod)
    if owner is None or owner.kind != DAEMONSETS.kind:
        return ""
    return f"{asked} belongs to the DaemonSet {owner.name}, which would recreate it on the same node"
