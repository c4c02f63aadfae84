"""`kubectl rollout pause` and `resume`: hold a Deployment's rollout, or let it go on."""

from dataclasses import replace

from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan, undone_by
from kintsugi.actions.loaded_target import load_target
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.errors import Refused
from kintsugi.model.command import Verb
from kintsugi.verbs.rollout import Rollout, RolloutIntent, RolloutVerb, changing
from kubeobjects import unstructured
from kubeobjects.resources import DEPLOYMENTS


class RolloutPauseVerb(RolloutVerb):
    """One of the two directions; its undo is the other one, if the Deployment was not so before."""

    def __init__(self, *, pause: bool) -> None:
        self.verb = Verb.ROLLOUT_PAUSE if pause else Verb.ROLLOUT_RESUME
        self._pause = pause
        self.spec = changing(self.verb, resources=(DEPLOYMENTS,))

    def conflict_key(self, command: Rollout) -> object:
        """Return that both directions are about the same."""
        return RolloutPauseVerb

    @override
    async def plan_effect(self, clients: VerbClients, command: Rollout, context: ChangeContext) -> EffectPlan:
        loaded = await load_target(clients.kube, command.object, command.namespace, context)
        bound = replace(command, object=loaded.asked)
        if loaded.asked.resource != DEPLOYMENTS:
            raise Refused(f"{loaded.asked}: only Deployments can be paused and resumed")
        preconditions.check(preconditions.managed(loaded.asked, loaded.obj, loaded.context))
        present = unstructured.nested_field(loaded.obj, "spec", "paused") is True
        intent = RolloutIntent(uid=loaded.uid, paused=present)
        if present is self._pause:
            return loaded.already(bound, intent)
        after = (
            unstructured.with_field(loaded.obj, "spec", "paused", value=True)
            if self._pause
            else unstructured.without_field(loaded.obj, "spec", "paused")
        )
        back = replace(bound, verb=Verb.ROLLOUT_RESUME if self._pause else Verb.ROLLOUT_PAUSE)
        return loaded.patch(bound, after, intent, undone_by(back))

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} {'paused' if self._pause else 'resumed'}"


VERBS = (RolloutPauseVerb(pause=True), RolloutPauseVerb(pause=False))
