"""
`kubectl cordon` and `uncordon`: keep new pods off a node, or let them on again. `kubectl drain`: cordon a node, then evict its
pods one by one, as their PodDisruptionBudgets allow.

All of a drain is judged before anything is changed, as kubectl judges it: pods of DaemonSets, pods with an `emptyDir` and pods
that no controller would recreate prevent it. The cordon is the first effect; an eviction of each pod follows, and at
last the probe that all of them are gone, each of them an effect of its own with the gate before it. An eviction that a
budget forbids is asked for again until the step's time is over. Its undo is `kubectl uncordon`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions import api_objects, preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan, Intent, undone_by
from kintsugi.actions.loaded_target import LoadedTarget, load_target
from kintsugi.actions.verb_bases import ObjectVerb, VerbClients
from kintsugi.commands import arg_types, encode, flags
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.references import objects, single
from kintsugi.commands.verb_definition import PolicyRule
from kintsugi.commands.words import duration, number, option, switch
from kintsugi.errors import NotYet, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command, ObjectName, Verb
from kintsugi.verbs.evict import Evict, check_ours_to_evict, is_going, is_past
from kubeobjects import predicates, unstructured
from kubeobjects.kept import Node, Pod
from kubeobjects.resources import DAEMONSETS, NODES, PODS
from kubeobjects.unstructured import Unstructured

_NOT_FORCED = "a pod without a controller is not recreated: move it by hand"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cordon(Command):
    """Keep new pods off nodes, or (`on` False) let them on again."""

    objects: tuple[ObjectName, ...]
    on: bool


class CordonIntent(Intent, frozen=True, kw_only=True):
    """The intent of a cordon; `unschedulable` is whether the node was cordoned before."""

    unschedulable: bool


class CordonVerb(ObjectVerb[Cordon]):
    """One of the two directions; its undo is the other one, if the node was not so before."""

    command = Cordon
    intent = CordonIntent
    rules = (PolicyRule(api_group="", resource="nodes", verb="patch"),)

    def __init__(self, *, on: bool) -> None:
        verb = Verb.CORDON if on else Verb.UNCORDON
        self._on = on
        self.outlasts_run = on
        self.spec = CommandSpec(
            verb=verb,
            changes=True,
            usage=f"{verb} NODE…",
            example=f"{verb} node-1",
            flags=(*flags.KUBECTL, *flags.CHANGES),
            arguments=(arg_types.BARE, arg_types.NAME),
            build=self.build,
            resources=(NODES,),
            bare=NODES,
        )

    def build(self, parsed: ParsedCommand) -> Cordon:
        """Build the command."""
        found = objects(parsed)
        assert all(each.resource == NODES for each in found), "the row takes nodes only"
        return Cordon(objects=found, on=self._on)

    @override
    def is_of(self, command: Cordon) -> bool:
        return command.on is self._on

    @override
    def words(self, command: Cordon) -> Iterator[str]:
        yield from (each.name for each in command.objects)

    @override
    def objects(self, command: Cordon) -> tuple[ObjectName, ...]:
        return command.objects

    @override
    def split(self, command: Cordon) -> tuple[Command, ...]:
        return tuple(replace(command, objects=(each,)) for each in command.objects)

    def conflict_key(self, command: Cordon) -> object:
        """Return that both directions are about the same."""
        return Cordon

    def opposes(self, command: Cordon, undo: Cordon) -> bool:
        """Return whether both go in one direction."""
        return command.on is undo.on

    @override
    async def plan_effect(self, clients: VerbClients, command: Cordon, context: ChangeContext) -> EffectPlan:
        loaded = await load_target(clients.kube, command.objects[0], "", context)
        bound = replace(command, objects=(loaded.asked,))
        present = _is_cordoned(loaded)
        intent = CordonIntent(uid=loaded.uid, unschedulable=present)
        if present is command.on:
            return loaded.already(bound, intent)
        if command.on:
            after = await _cordoned(clients.kube, loaded)
        else:
            after = unstructured.without_field(loaded.obj, "spec", "unschedulable")
        return loaded.patch(bound, after, intent, undone_by(replace(bound, on=not command.on)))

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} {'cordoned' if self._on else 'uncordoned'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Drain(Command):
    """Evict every pod of a node that `pod_selector` chooses (all, where it is empty), once no new ones come."""

    object: ObjectName
    ignore_daemonsets: bool = False
    delete_emptydir_data: bool = False
    grace: timedelta | None = None
    timeout: timedelta | None = None
    pod_selector: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AwaitDrained(Command):
    """See that no pod is left on a node that a drain was to evict; by when as for `Evict`."""

    object: ObjectName
    ignore_daemonsets: bool = False
    pod_selector: str = ""
    until: str = ""


class DrainIntent(Intent, frozen=True, kw_only=True):
    """Whether the node was cordoned before, and how many pods are to be evicted."""

    unschedulable: bool
    pods: int


def build(parsed: ParsedCommand) -> Drain:
    """Build `kubectl drain` of one node, its pods always with grace."""
    grace = parsed.number("grace")
    if grace == 0:
        raise CommandProblem("kubectl drain: --grace-period=0 kills without warning: leave it out")
    return Drain(
        object=single(parsed),
        ignore_daemonsets=parsed.on("ignore_daemonsets"),
        delete_emptydir_data=parsed.on("delete_emptydir_data"),
        grace=None if grace is None or grace < 0 else timedelta(seconds=grace),
        timeout=parsed.duration("timeout") or None,
        pod_selector=parsed.text("pod_selector"),
    )


class DrainVerb(ObjectVerb[Drain]):
    """The drain itself: judges all of it, and cordons the node."""

    command = Drain
    intent = DrainIntent
    outlasts_run = True
    spec = CommandSpec(
        verb="kubectl drain",
        changes=True,
        usage="kubectl drain NODE [--ignore-daemonsets] [--delete-emptydir-data] [--grace-period=SECONDS] "
        "[--timeout=DURATION] [--pod-selector=SELECTOR]",
        example="kubectl drain node-1 --ignore-daemonsets",
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES),
            Flag(names=("--ignore-daemonsets",), key="ignore_daemonsets"),
            Flag(names=("--delete-local-data", "--delete-emptydir-data"), key="delete_emptydir_data"),
            Flag(names=("--force",), refused=_NOT_FORCED),
            Flag(
                names=("--disable-eviction",), refused="it deletes pods past their PodDisruptionBudgets: leave it out"
            ),
            Flag(names=("--grace-period",), key="grace", kind=arg_types.INTEGER),
            Flag(names=("--timeout",), key="timeout", kind=arg_types.DURATION, waits=True),
            Flag(names=("--pod-selector",), key="pod_selector", kind=arg_types.SELECTOR),
        ),
        arguments=(arg_types.BARE, arg_types.NAME),
        build=build,
        resources=(NODES,),
        bare=NODES,
    )
    rules = (
        PolicyRule(api_group="", resource="nodes", verb="patch"),
        PolicyRule(api_group="", resource="pods", verb="list"),
        PolicyRule(api_group="", resource="pods/eviction", verb="create"),
    )

    @override
    def words(self, command: Drain) -> Iterator[str]:
        yield command.object.name
        yield from switch("--ignore-daemonsets", command.ignore_daemonsets)
        yield from switch("--delete-emptydir-data", command.delete_emptydir_data)
        yield from number("--grace-period=", int(command.grace.total_seconds()) if command.grace else None)
        yield from [*duration("--timeout=", command.timeout), *option("--pod-selector=", command.pod_selector)]

    @override
    def objects(self, command: Drain) -> tuple[ObjectName, ...]:
        return (command.object,)

    def opposing_command(self, command: Drain) -> Command:
        """Return its cordon, which is what it may take another rule's change back by."""
        return Cordon(objects=(command.object,), on=True)

    async def plan_effect(self, clients: VerbClients, command: Drain, context: ChangeContext) -> EffectPlan:
        """Judge a drain: refused as a whole for a pod that kubectl would not evict, or that we never touch."""
        loaded = await load_target(clients.kube, command.object, "", context)
        bound = replace(command, object=loaded.asked)
        pods = await _pods_on(clients.kube, command.object.name, command.pod_selector)
        preconditions.check(*_objections(pods, command))
        evicted = [each for each in pods if _is_evicted(each) and not is_going(each)]
        for each in evicted:
            check_ours_to_evict(each, context)
        until = "" if command.timeout is None else (context.now + command.timeout).isoformat()
        follow: list[Command] = [_eviction(each, command, until) for each in evicted]
        follow.append(
            AwaitDrained(
                object=loaded.asked,
                ignore_daemonsets=command.ignore_daemonsets,
                pod_selector=command.pod_selector,
                until=until,
            )
        )
        cordoned = _is_cordoned(loaded)
        intent = DrainIntent(
            uid=loaded.uid,
            unschedulable=cordoned,
            pods=len(evicted),
            then=tuple(encode(each) for each in follow),
        )
        if cordoned:
            return loaded.already(bound, intent)
        after = await _cordoned(clients.kube, loaded)
        return loaded.patch(bound, after, intent, undone_by(Cordon(objects=(loaded.asked,), on=False)))

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} cordoned to be drained of {plan.remembered(DrainIntent).pods} pods"


class AwaitDrainedVerb(ObjectVerb[AwaitDrained]):
    """The end of a drain: it writes nothing, and is not done before the pods are gone."""

    command = AwaitDrained

    def words(self, command: AwaitDrained) -> Iterator[str]:
        """Yield what lists the pods that are waited for."""
        yield from ["pods", "-A", f"--field-selector=spec.nodeName={command.object.name}"]
        yield from option("-l", command.pod_selector)

    def argv(self, command: AwaitDrained) -> list[str]:
        """Return the words of `kubectl get`."""
        return ["kubectl", "get", *self.words(command)]

    @override
    def objects(self, command: AwaitDrained) -> tuple[ObjectName, ...]:
        return (command.object,)

    async def plan_effect(self, clients: VerbClients, command: AwaitDrained, context: ChangeContext) -> EffectPlan:
        """Raise NotYet while pods are stopping, Refused for one that has come before the node was cordoned."""
        loaded = await load_target(clients.kube, command.object, "", context)
        left = [
            each
            for each in await _pods_on(clients.kube, command.object.name, command.pod_selector)
            if _is_evicted(each)
        ]
        if staying := [each for each in left if not is_going(each)]:
            raise Refused(f"{_named(staying)} came onto {command.object} before it was cordoned: drain the node again")
        if left and is_past(command.until, context.now):
            raise Refused(f"{_named(left)} did not stop within the drain's --timeout")
        if left:
            raise NotYet(f"{_named(left)} of {command.object} are still stopping")
        return loaded.already(replace(command, object=loaded.asked), Intent(uid=loaded.uid))

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} is drained"


VERBS = (CordonVerb(on=True), CordonVerb(on=False), DrainVerb(), AwaitDrainedVerb())


def _is_cordoned(loaded: LoadedTarget) -> bool:
    return unstructured.nested_field(loaded.obj, "spec", "unschedulable") is True


async def _cordoned(kube: KubeClient, loaded: LoadedTarget) -> Unstructured:
    """Return a node without new pods. Raises Refused for the only one that they could go to."""
    others = [each async for each in kube.iter_objects(NODES, Node) if each.metadata.name != loaded.asked.name]
    if not any(predicates.ready(each) and not each.spec.unschedulable for each in others):
        raise Refused(f"{loaded.asked} is the last node that takes new pods: after the cordon no pod could start")
    return unstructured.with_field(loaded.obj, "spec", "unschedulable", value=True)


async def _pods_on(kube: KubeClient, node: str, selector: str) -> Sequence[Unstructured]:
    return (await kube.list(PODS, labels=selector, fields=f"spec.nodeName={node}")).items


def _objections(pods: Sequence[Unstructured], command: Drain) -> Iterator[str]:
    """Yield why kubectl would not drain a node of these pods, all of a kind together."""
    unfinished = [each for each in pods if _is_evicted(each, daemonsets=True) and not _is_finished(each)]
    daemons = [] if command.ignore_daemonsets else [each for each in unfinished if _is_of_daemonset(each)]
    local = [each for each in unfinished if not _is_of_daemonset(each) and _has_emptydir(each)]
    bare = [each for each in unfinished if predicates.controller_of(api_objects.convert(each, Pod)) is None]
    for found, what in (
        (daemons, "belongs to a DaemonSet, which would recreate it there: --ignore-daemonsets leaves it"),
        (bare, f"has no controller: {_NOT_FORCED}"),
        (
            [] if command.delete_emptydir_data else local,
            "has an emptyDir, which is deleted with it: --delete-emptydir-data",
        ),
    ):
        if found:
            yield f"{command.object} is not drained: {_named(found)} {what}"


def _is_evicted(pod: Unstructured, *, daemonsets: bool = False) -> bool:
    """Return whether a drain is about a pod: not about static ones, and of a DaemonSet's only about those that have ended."""
    if "kubernetes.io/config.mirror" in unstructured.nested_map(pod, "metadata", "annotations"):
        return False
    return daemonsets or not _is_of_daemonset(pod) or _is_finished(pod)


def _is_of_daemonset(pod: Unstructured) -> bool:
    owner = predicates.controller_of(api_objects.convert(pod, Pod))
    return owner is not None and owner.kind == DAEMONSETS.kind


def _is_finished(pod: Unstructured) -> bool:
    return predicates.finished(api_objects.convert(pod, Pod))


def _has_emptydir(pod: Unstructured) -> bool:
    return any("emptyDir" in volume for volume in unstructured.nested_maps(pod, "spec", "volumes"))


def _eviction(pod: Unstructured, command: Drain, until: str) -> Evict:
    namespace = unstructured.nested_string(pod, "metadata", "namespace")
    return Evict(object=api_objects.named(PODS, pod), namespace=namespace, grace=command.grace, until=until)


def _named(pods: Sequence[Unstructured]) -> str:
    names = sorted(
        f"{unstructured.nested_string(each, 'metadata', 'namespace')}/{unstructured.name(each)}" for each in pods
    )
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
