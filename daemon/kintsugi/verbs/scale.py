"""`kubectl scale`: set the replicas of workloads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from msgspec import UNSET, UnsetType, structs
from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.change_verb import ObjectVerb
from kintsugi.actions.effect_plan import EffectPlan, Intent, undone_by
from kintsugi.actions.loaded_target import load_target
from kintsugi.actions.replica_changes import check_replicas
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.references import objects, place_of
from kintsugi.commands.verb_definition import PolicyRule
from kintsugi.commands.words import named_objects, namespace_option, number
from kintsugi.model.command import Command, ObjectName, Verb
from kubeobjects import unstructured
from kubeobjects.resources import DEPLOYMENTS, REPLICASETS, STATEFULSETS


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale(Command):
    """Set the replicas of workloads; `current` is kubectl's --current-replicas precondition."""

    objects: tuple[ObjectName, ...]
    namespace: str
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


class ScaleVerb(ObjectVerb[Scale]):
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
    )
    rules = tuple(
        PolicyRule(api_group=each.group, resource=each.plural, verb="patch")
        for each in (DEPLOYMENTS, STATEFULSETS, REPLICASETS)
    )

    @override
    def words(self, command: Scale) -> Iterator[str]:
        yield from [*named_objects(command.objects), f"--replicas={command.replicas}"]
        yield from [*number("--current-replicas=", command.current), *namespace_option(command.namespace)]

    @override
    def objects(self, command: Scale) -> tuple[ObjectName, ...]:
        return command.objects

    @override
    def namespace(self, command: Scale) -> str:
        return command.namespace

    @override
    def split(self, command: Scale) -> tuple[Command, ...]:
        return tuple(replace(command, objects=(each,)) for each in command.objects)

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
        present = unstructured.replicas(loaded.obj)
        intent = ScaleIntent(uid=loaded.uid, replicas=present, wanted=command.replicas)
        bound = replace(command, objects=(loaded.asked,))
        preconditions.check(preconditions.not_as_expected(loaded.asked, present, command.current))
        if command.replicas == present:
            return loaded.already(bound, intent)
        preconditions.check(preconditions.managed(loaded.asked, loaded.obj, context))
        scalers = await check_replicas(clients.kube, loaded, present, command.replicas, expected=command.current)
        intent = structs.replace(intent, autoscalers=scalers or UNSET)
        back = replace(bound, replicas=present, current=command.replicas)
        after = unstructured.with_field(loaded.obj, "spec", "replicas", value=command.replicas)
        return loaded.patch(bound, after, intent, undone_by(back))

    @override
    def summary(self, plan: EffectPlan) -> str:
        assert isinstance(plan.command, Scale), plan.command
        if plan.already:
            return f"{self.object_of(plan)} has {plan.command.replicas} replicas"
        return f"{self.object_of(plan)} scaled from {plan.remembered(ScaleIntent).replicas} to {plan.command.replicas}"


VERBS = (ScaleVerb(),)
