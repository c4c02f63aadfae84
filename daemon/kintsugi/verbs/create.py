"""`kubectl create` of a claim: the undo of its deletion. No line of a runbook means it."""

import shlex
from collections.abc import Iterator
from dataclasses import replace

from typing_extensions import override

from kintsugi.actions import pvcs
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.command_secrets import json_content
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.actions.verb_bases import SingleObjectVerb, VerbClients, is_marked
from kintsugi.commands.verb_definition import Content
from kintsugi.commands.words import content, namespace_option
from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Create
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured


class CreateVerb(SingleObjectVerb[Create]):
    """The creation of a claim, judged by `actions.pvcs`."""

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

    @override
    async def plan_effect(self, clients: VerbClients, command: Create, context: ChangeContext) -> EffectPlan:
        return await pvcs.plan_create(clients.kube, command, context)

    async def find(self, kube: KubeClient, plan: EffectPlan) -> Unstructured | None:
        """Read what was made: it has our mark, since its uid is known only afterwards."""
        if plan.already:
            return await super().find(kube, plan)
        asked = self.object_of(plan)
        try:
            obj = await kube.get(asked.resource, asked.name, self.namespace_of(plan))
        except NotFound:
            return None
        return unstructured.without_managed_fields(obj) if is_marked(obj, plan) else None

    async def effect_status(self, kube: KubeClient, plan: EffectPlan) -> EffectStatus:
        """Return whether it is there."""
        return EffectStatus.NOT_DONE if await self.find(kube, plan) is None else EffectStatus.DONE

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} created"


VERBS = (CreateVerb(),)
