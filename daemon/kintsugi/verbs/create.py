"""`kubectl create` of a claim: the undo of its deletion. No line of a runbook means it."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

import orjson
from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.api_objects import found
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.command_secrets import json_content
from kintsugi.actions.effect_plan import (
    NOTHING_CHANGED,
    RUN_ANNOTATION,
    CreateWrite,
    EffectPlan,
    EffectStatus,
    Intent,
    record_without_undo,
)
from kintsugi.actions.verb_bases import SingleObjectVerb, VerbClients, is_marked
from kintsugi.commands.verb_definition import Content
from kintsugi.commands.words import content, namespace_option
from kintsugi.errors import NotYet, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Create
from kubeobjects import unstructured
from kubeobjects.resources import PVCS
from kubeobjects.unstructured import Unstructured

_UNDONE_BEFORE = "the undo of the preceding deletion removes this claim and restores the former claim"


class CreateVerb(SingleObjectVerb[Create]):
    """The creation of a claim."""

    command = Create

    def words(self, command: Create) -> Iterator[str]:
        """Yield where it is made; what is made is the command's input."""
        yield from [*namespace_option(command.namespace), "-f", "-"]

    def argv(self, command: Create) -> list[str]:
        """Return the words of `kubectl create`."""
        return ["kubectl", "create", *self.words(command)]

    def text(self, command: Create) -> str:
        """Return the command with its input, or with which key that is kept encrypted."""
        manifest = content(command.manifest, encrypted=command.encrypted)
        return f"{shlex.join(self.argv(command))} <<<{shlex.quote(manifest)}"

    @override
    def content(self, command: Create) -> Content:
        return Content(text=command.manifest, kind="create", encrypted=command.encrypted)

    @override
    def with_content(self, command: Create, content: Content) -> Create:
        return replace(command, manifest=content.text, encrypted=content.encrypted)

    def payload(self, command: Create) -> object:
        """Return what is made, unless it is encrypted."""
        return [] if command.encrypted else json_content(command.manifest)

    async def plan_effect(self, clients: VerbClients, command: Create, context: ChangeContext) -> EffectPlan:
        """
        Plan the creation of a claim. Raises Refused when another one has the name, NotYet while the former one is being
        deleted.

        An existing claim of that name that is not being deleted suffices where no particular volume is wanted.
        """
        asked, mark = command.object, context.mark
        manifest = orjson.loads(command.manifest)
        if not isinstance(manifest, Mapping) or asked.resource != PVCS:
            raise Refused(f"{asked} is not created: only claims are created")
        preconditions.check(preconditions.protected(command.namespace, context))
        wanted = unstructured.nested_string(manifest, "spec", "volumeName")
        present = await found(clients.kube, PVCS, asked.name, command.namespace)
        if present is not None:
            if preconditions.terminating(asked, present):
                raise NotYet(f"the {asked} before it is still being deleted")
            has = unstructured.nested_string(present, "spec", "volumeName")
            if wanted and has != wanted:
                raise Refused(
                    f"{asked} is bound to {has or 'no volume'}: its name is taken, {wanted} cannot be bound to it"
                )
            intent = Intent(uid=unstructured.uid(present), already=True)
            return EffectPlan(command=command, intent=intent, undo=NOTHING_CHANGED)
        marked = unstructured.with_field(manifest, "metadata", "annotations", RUN_ANNOTATION, value=mark)
        return EffectPlan(
            command=command,
            intent=Intent(uid="", mark=mark),
            undo=record_without_undo(_UNDONE_BEFORE),
            write=CreateWrite(manifest=marked),
        )

    async def find(self, kube: KubeClient, plan: EffectPlan) -> Unstructured | None:
        """Read what was made: it has our mark, since its uid is known only afterwards."""
        if plan.already:
            return await super().find(kube, plan)
        asked = self.object_of(plan)
        obj = await found(kube, asked.resource, asked.name, self.namespace_of(plan))
        return unstructured.without_managed_fields(obj) if obj is not None and is_marked(obj, plan) else None

    async def effect_status(self, kube: KubeClient, plan: EffectPlan) -> EffectStatus:
        """Return whether it is there."""
        return EffectStatus.NOT_DONE if await self.find(kube, plan) is None else EffectStatus.DONE

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} created"


VERBS = (CreateVerb(),)
