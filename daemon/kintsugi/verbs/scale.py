"""`kubectl scale`: set the replicas of workloads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET, UnsetType, structs
from typing_extensions import override

from kintsugi.actions import api_objects, preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.difference import difference, pointer, test
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus, Intent, PatchWrite, undone_by
from kintsugi.actions.loaded_target import LoadedTarget, load_target
from kintsugi.actions.verb_bases import SeveralObjectsVerb, VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import is_built_in
from kintsugi.commands.references import objects, place_of
from kintsugi.commands.selectors import selector_of
from kintsugi.commands.verb_definition import PolicyRule
from kintsugi.commands.words import named_objects, namespace_option, number
from kintsugi.errors import NotFound, Refused
from kintsugi.kube.client import SCALE, KubeClient
from kintsugi.model.command import ObjectsCommand, Verb
from kintsugi.model.records import Phase
from kubeobjects import predicates, unstructured
from kubeobjects.autoscalers import SCALED_OBJECTS, rests, scalers_of
from kubeobjects.kept import HorizontalPodAutoscaler, LabelSelector, Pod
from kubeobjects.resources import DEPLOYMENTS, HPAS, PODS, REPLICASETS, STATEFULSETS
from kubeobjects.unstructured import Unstructured

_REPLICAS = ("spec", "replicas")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale(ObjectsCommand):
    """Set the replicas of workloads; `current` is kubectl's --current-replicas precondition."""

    replicas: int
    current: int | None = None


def build(parsed: ParsedCommand) -> Scale:
    """Build `kubectl scale`."""
    replicas = parsed.number("replicas")
    assert replicas is not None, "--replicas is required"
    return Scale(
        objects=objects(parsed), namespace=place_of(parsed), replicas=replicas, current=parsed.number("current")
    )


class ScaleIntent(Intent, frozen=True, kw_only=True):
    """The replicas before and after, and the autoscalers that are inactive at 0 replicas."""

    replicas: int
    wanted: int
    autoscalers: tuple[Mapping[str, object], ...] | UnsetType = UNSET


class ScaleVerb(SeveralObjectsVerb[Scale]):
    """Its undo scales back, unless somebody else has scaled meanwhile."""

    command = Scale
    changes_replicas = True
    intent = ScaleIntent
    spec = CommandSpec(
        verb=Verb.SCALE,
        changes=True,
        usage="kubectl scale TYPE NAME… | TYPE/NAME… --replicas=N [--current-replicas=N] [-n NS]",
        example="kubectl scale deployment web --replicas=5",
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES),
            Flag(names=("--replicas",), key="replicas", kind=arg_types.NATURAL, required=True),
            Flag(names=("--current-replicas",), key="current", kind=arg_types.NATURAL),
        ),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build,
        resources=(DEPLOYMENTS, STATEFULSETS, REPLICASETS),
        discovered=True,
    )
    rules = tuple(
        PolicyRule(api_group=each.group, resource=each.plural, verb="patch")
        for each in (DEPLOYMENTS, STATEFULSETS, REPLICASETS)
    )

    @override
    def words(self, command: Scale) -> Iterator[str]:
        yield from [*named_objects(command.objects), f"--replicas={command.replicas}"]
        yield from [*number("--current-replicas=", command.current), *namespace_option(command.namespace)]

    def starts(self, command: Scale) -> bool:
        """Return whether it expects 0 replicas (`--current-replicas=0`)."""
        return command.current == 0

    def stops(self, command: Scale) -> bool:
        """Return whether it leaves 0 replicas."""
        return command.replicas == 0

    @override
    def conflict_key(self, command: Scale) -> object:
        return Scale

    def opposes(self, command: Scale, undo: Scale) -> bool:
        """Return whether it goes in the direction of the way back at all."""
        after = undo.current
        return after is not None and (command.replicas - after) * (undo.replicas - after) > 0

    @override
    async def plan_effect(self, clients: VerbClients, command: Scale, context: ChangeContext) -> EffectPlan:
        loaded = await load_target(clients.kube, command.objects[0], command.namespace, context)
        scale = await _scale_of(clients.kube, loaded)
        present = unstructured.replicas(loaded.obj) if scale is None else unstructured.nested_int(scale, *_REPLICAS)
        intent = ScaleIntent(uid=loaded.uid, replicas=present, wanted=command.replicas)
        bound = replace(command, objects=(loaded.asked,))
        if command.current not in (None, present):  # E17
            raise Refused(
                f"{loaded.asked} has {present} replicas, not {command.current} as expected: it has been scaled since"
            )
        if command.replicas == present:
            return loaded.already(bound, intent)
        preconditions.check(preconditions.managed(loaded.asked, loaded.obj, context))
        shown = loaded if scale is None else replace(loaded, obj=scale)
        scalers = await check_replicas(clients.kube, shown, present, command.replicas, expected=command.current)
        intent = structs.replace(intent, autoscalers=scalers or UNSET)
        back = replace(bound, replicas=present, current=command.replicas)
        after = unstructured.with_field(shown.obj, *_REPLICAS, value=command.replicas)
        if scale is None:
            return loaded.patch(bound, after, intent, undone_by(back))
        identity = test(pointer("metadata", "uid"), loaded.uid)
        write = PatchWrite(operations=(identity, *difference(scale, after)), subresource=SCALE)
        return EffectPlan(command=bound, intent=loaded.identified(intent), undo=undone_by(back), write=write)

    @override
    async def effect_status(self, kube: KubeClient, plan: EffectPlan) -> EffectStatus:
        asked = self.object_of(plan)
        assert isinstance(plan.command, Scale), plan.command
        if is_built_in(asked.resource):
            return await super().effect_status(kube, plan)
        if await self.find(kube, plan) is None:
            return EffectStatus.UNKNOWN
        # A Scale keeps no mark of ours.
        scale = await kube.get_scale(asked.resource, asked.name, self.namespace(plan.command))
        made = unstructured.nested_int(scale, *_REPLICAS) == plan.remembered(ScaleIntent).wanted
        return EffectStatus.DONE if made else EffectStatus.NOT_DONE

    @override
    def summary(self, plan: EffectPlan) -> str:
        assert isinstance(plan.command, Scale), plan.command
        if plan.already:
            return f"{self.object_of(plan)} has {plan.command.replicas} replicas"
        return f"{self.object_of(plan)} scaled from {plan.remembered(ScaleIntent).replicas} to {plan.command.replicas}"


VERBS = (ScaleVerb(),)


async def _scale_of(kube: KubeClient, loaded: LoadedTarget) -> Unstructured | None:
    """Read the Scale of an object of a kind that is not built in, None for a built-in one. Raises Refused where there is none."""
    asked = loaded.asked
    if is_built_in(asked.resource):
        return None
    try:
        return await kube.get_scale(asked.resource, asked.name, loaded.namespace)
    except NotFound as error:
        kind = asked.resource.qualified
        raise Refused(
            f"{asked} has no {SCALE} subresource, so {kind} cannot be scaled: write kubectl patch --type=merge with its field"
        ) from error


async def check_replicas(
    kube: KubeClient, loaded: LoadedTarget, present: int, wanted: int, *, expected: int | None = None
) -> tuple[Mapping[str, object], ...]:
    """
    Raise Refused when this workload's replicas may not be changed so; `expected` is what the command says that it has.

    Return the autoscalers that sleep while it is at zero, with their bounds, for the intent.
    """
    asked, context = loaded.asked, loaded.context
    may_rest = context.stops(asked, loaded.namespace) or context.phase is not Phase.FORWARD
    if wanted < present and not may_rest:  # E14
        raise Refused(f"{asked} has {present} replicas: a recovery never lowers them (to {wanted})")
    found = [each async for each in kube.iter_objects(HPAS, HorizontalPodAutoscaler, loaded.namespace)]
    scalers = scalers_of(asked.resource, asked.name, found)
    starts = present == 0 and not may_rest
    if starts:
        preconditions.check(_stays_at_zero(loaded, expected, scalers, await _scaled_objects(kube, loaded.namespace)))
    # An autoscaler sleeps while its workload is at zero: stopping writers and starting them again is no conflict with it.
    asleep = (may_rest or starts) and 0 in (present, wanted)
    if scalers and not context.allow_managed and not asleep:  # B21
        by = scalers[0].metadata.name
        raise Refused(f"{asked} is scaled by the HorizontalPodAutoscaler {by}, which would scale it back")
    if wanted > present and context.phase is Phase.FORWARD and (pods := await _waiting_pods(kube, loaded)):
        names = ", ".join(pods)
        raise Refused(f"{asked} has pods that cannot be scheduled ({names}): more of them would find no node either")
    return tuple(
        {"name": each.metadata.name, "min": each.spec.min_replicas, "max": each.spec.max_replicas} for each in scalers
    )


def _stays_at_zero(
    loaded: LoadedTarget,
    expected: int | None,
    scalers: Sequence[HorizontalPodAutoscaler],
    scaled: Sequence[Unstructured],
) -> str:
    """
    Refuse to start a workload that somebody has scaled to 0, unless the command expects 0 replicas; that of another service, of
    which it is unknown why; and one that may rest at 0. `scaled` are the namespace's ScaledObjects: a paused one has no autoscaler.
    """
    asked, context = loaded.asked, loaded.context
    if expected != 0:
        return f"{asked} is scaled to 0: only a step with --current-replicas=0 starts it (kubectl scale {asked} --current-replicas=0 …)"
    if (loaded.namespace, str(asked)) != (context.namespace, str(context.workload)):
        return f"{asked} in {loaded.namespace} is not the workload of {context.service}: only that is started from 0"
    if why := rests(scalers):
        return f"{asked} stays at 0: {why}"
    for each in scaled:
        target = unstructured.nested_map(each, "spec", "scaleTargetRef")
        kind = unstructured.nested_string(target, "kind") or DEPLOYMENTS.kind
        if (kind, unstructured.nested_string(target, "name")) == (asked.resource.kind, asked.name):
            return f"{asked} stays at 0: the ScaledObject {unstructured.name(each)} scales it and may let it rest at 0"
    return ""


async def _scaled_objects(kube: KubeClient, namespace: str) -> Sequence[Unstructured]:
    """Read KEDA's objects; none where the cluster does not know the kind."""
    try:
        return (await kube.list(SCALED_OBJECTS, namespace)).items
    except NotFound:
        return ()


async def _waiting_pods(kube: KubeClient, loaded: LoadedTarget) -> list[str]:
    """Read the names of the workload's pods that find no node."""
    obj = loaded.obj
    # That of a Scale is text (autoscaling/v1 ScaleStatus); it is empty where the kind does not say which pods are meant.
    selector = unstructured.nested_string(obj, "status", "selector")
    if is_built_in(loaded.asked.resource):
        selector = str(
            selector_of(api_objects.convert(unstructured.nested_map(obj, "spec", "selector"), LabelSelector))
        )
    if not selector:
        return []
    pods = kube.iter_objects(PODS, Pod, loaded.namespace, labels=selector)
    waiting = [each async for each in pods if predicates.unschedulable(each) and not predicates.terminating(each)]
    return sorted(each.metadata.name for each in waiting)
