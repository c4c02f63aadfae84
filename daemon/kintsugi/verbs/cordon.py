"""`kubectl cordon` and `uncordon`: keep new pods off a node, or let them on again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.change_verb import ObjectVerb
from kintsugi.actions.effect_plan import EffectPlan, Intent, undone_by
from kintsugi.actions.loaded_target import load_target
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, ParsedCommand
from kintsugi.commands.references import objects
from kintsugi.commands.verb_definition import PolicyRule
from kintsugi.model.command import Command, ObjectName, Verb
from kubeobjects import unstructured
from kubeobjects.kept import Node
from kubeobjects.resources import NODES


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
        present = unstructured.nested_field(loaded.obj, "spec", "unschedulable") is True
        intent = CordonIntent(uid=loaded.uid, unschedulable=present)
        if present is command.on:
            return loaded.already(bound, intent)
        if command.on:
            nodes = clients.kube.iter_objects(NODES, Node)
            take = [preconditions.takes_pods(node) async for node in nodes if node.metadata.name != loaded.asked.name]
            preconditions.check(preconditions.last_node(loaded.asked, any(take)))
            after = unstructured.with_field(loaded.obj, "spec", "unschedulable", value=True)
        else:
            after = unstructured.without_field(loaded.obj, "spec", "unschedulable")
        return loaded.patch(bound, after, intent, undone_by(replace(bound, on=not command.on)))

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} {'cordoned' if self._on else 'uncordoned'}"


VERBS = (CordonVerb(on=True), CordonVerb(on=False))
