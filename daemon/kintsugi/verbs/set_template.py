"""
The common parts of the commands of `kubectl set` that change the containers of a pod template; each has a module of its own.

A template that another manager owns is not changed. A dry run shows the server's result first, so that this is judged,
written and undone, and a change that the server would refuse is refused before anything is committed.
"""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.difference import difference
from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.actions.loaded_target import LoadedTarget, load_target
from kintsugi.actions.verb_bases import SingleObjectVerb, VerbClients
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.commands.verb_definition import PolicyRule
from kintsugi.errors import Conflict, Invalid, NotYet, Refused
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.model.command import ObjectCommand
from kubediagnosis.templates import template_of, unstamped_digest
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

_GROUPS = ("initContainers", "containers")


@dataclass(frozen=True, kw_only=True, slots=True)
class SetCommand(ObjectCommand):
    """Change containers of one workload; `over` is the digest of the template that a way back was written for."""

    over: str = ""


S = TypeVar("S", bound=SetCommand)


class SetVerb(SingleObjectVerb[S]):
    """A verb of `kubectl set`: it says which containers it changes, how, and how that is taken back."""

    rules = tuple(PolicyRule(api_group=each.group, resource=each.plural, verb="patch") for each in ROLLED_OUT)
    writes_template = True

    @abstractmethod
    def objection(self, command: S, loaded: LoadedTarget) -> str:
        """Return why a command means no container that is there, "" where all are."""

    @abstractmethod
    def changed(self, command: S, container: Unstructured) -> Unstructured:
        """Return a container as a command wants it, itself where it is not meant."""

    @abstractmethod
    async def planned(self, clients: VerbClients, command: S, loaded: LoadedTarget, after: Unstructured) -> EffectPlan:
        """Return the plan that makes a workload what the server would have of it `after` the change, with its way back."""

    def conflict_key(self, command: S) -> object:
        """Return that it is about the same as others of its kind."""
        return self.command

    @override
    async def plan_effect(self, clients: VerbClients, command: S, context: ChangeContext) -> EffectPlan:
        loaded = await load_target(clients.kube, command.object, command.namespace, context)
        bound = replace(command, object=loaded.asked)
        preconditions.check(self.objection(bound, loaded))
        wanted = with_containers(loaded.obj, partial(self.changed, bound))
        return await self.planned(clients, bound, loaded, await dry_run(clients.kube, loaded, wanted, command.over))


def containers_of(obj: Unstructured) -> Iterator[Unstructured]:
    """Yield the containers of a workload's pods, those first that run before the others."""
    for group in _GROUPS:
        yield from unstructured.nested_maps(obj, "spec", "template", "spec", group)


def name_of(container: Unstructured) -> str:
    """Return a container's name."""
    return unstructured.nested_string(container, "name")


def with_containers(obj: Unstructured, change: Callable[[Unstructured], Unstructured]) -> Unstructured:
    """Copy a workload with each container as `change` returns it."""
    for group in _GROUPS:
        path = ("spec", "template", "spec", group)
        if present := unstructured.nested_maps(obj, *path):
            obj = unstructured.with_field(obj, *path, value=[change(each) for each in present])
    return obj


def chosen(pattern: str, name: str) -> bool:
    """Return whether `-c` means a container: `*` matches any letters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None


def no_matching_container(loaded: LoadedTarget, pattern: str) -> str:
    """Refuse what would change no container, in kubectl's words."""
    names = [name_of(each) for each in containers_of(loaded.obj)]
    if any(chosen(pattern, name) for name in names):
        return ""
    return f"{loaded.asked} does not have any containers matching {pattern!r}: it has {', '.join(names)}"


async def dry_run(kube: KubeClient, loaded: LoadedTarget, wanted: Unstructured, over: str) -> Unstructured:
    """
    Judge what a workload is to become, and return what the server makes of it; where nothing would change, as it is.

    `over` is the digest of the template that a way back was written for, "" for any other change. Raises Refused for the
    template of somebody who would take the change back, for one that others changed since (E17), and for what the server does
    not take; NotYet when the workload was changed while it was judged; KubeError.
    """
    asked = loaded.asked
    operations = difference(loaded.obj, wanted)
    if not operations:
        return loaded.obj
    preconditions.check(
        preconditions.managed(asked, loaded.obj, loaded.context),
        not_over(loaded, over) if over else "",
    )
    try:
        return await kube.patch(
            asked.resource, asked.name, loaded.namespace, operations, kind=PatchKind.JSON, dry_run=True
        )
    except Conflict as error:
        raise NotYet(f"{asked} was changed while it was checked: {error}") from error
    except Invalid as error:
        raise Refused(f"{asked} cannot be changed this way: {error}") from error


def not_over(loaded: LoadedTarget, over: str) -> str:
    """Refuse a way back over another template than the one that it was written for (E17)."""
    return "" if unstamped_digest(template_of(loaded.obj)) == over else edited(loaded)


def edited(loaded: LoadedTarget) -> str:
    """Say that somebody else has changed a workload."""
    return f"{loaded.asked} has been changed by another client since this run changed it: it is left as it is"
