"""`kubectl evict-pod`: evict one pod as its PodDisruptionBudgets allow. It is krew's plugin; kubectl has no verb of its own."""

import shlex
from collections.abc import Iterator

import orjson
from typing_extensions import override

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.change_verb import SingleObjectVerb, removal_status, send
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.references import place_of, single
from kintsugi.commands.verb_definition import PolicyRule
from kintsugi.commands.words import namespace_option
from kintsugi.kube.client import KubeClient
from kintsugi.verbs.eviction import Evict, EvictIntent, manifest_of, plan_eviction
from kubeobjects.resources import PODS
from kubeobjects.unstructured import Unstructured


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

    @override
    async def plan_effect(self, clients: VerbClients, command: Evict, context: ChangeContext) -> EffectPlan:
        return await plan_eviction(clients.kube, command, context)

    async def write(self, clients: VerbClients, plan: EffectPlan) -> Unstructured | None:
        """Create the eviction. Raises TooManyRequests where a budget does not allow it now: nothing has changed then."""
        await send(clients.kube, plan, self.object_of(plan), self.namespace_of(plan))
        return None

    async def effect_status(self, kube: KubeClient, plan: EffectPlan) -> EffectStatus:
        """Return whether the pod is gone, or going."""
        return removal_status(await self.find(kube, plan))

    @override
    def summary(self, plan: EffectPlan) -> str:
        assert isinstance(plan.command, Evict), plan.command
        return f"{plan.command.object} evicted"


VERBS = (EvictVerb(),)
