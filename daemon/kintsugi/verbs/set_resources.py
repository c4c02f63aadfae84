"""`kubectl set resources`: set requests and limits of a workload's containers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from typing_extensions import override

from kintsugi.actions.difference import restoring_patch
from kintsugi.actions.effect_plan import EffectPlan, Intent, undone_by
from kintsugi.actions.loaded_target import LoadedTarget
from kintsugi.actions.verb_bases import VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.commands.references import place_of, single
from kintsugi.commands.template_args import AMOUNTS, CONTAINERS, amounts_of
from kintsugi.commands.words import namespace_option, option
from kintsugi.model.records import UndoRecord
from kintsugi.verbs.set_template import SetCommand, SetVerb, chosen, containers_of, name_of, no_matching_container
from kubediagnosis.templates import template_of, unstamped_digest
from kubeobjects import unstructured
from kubeobjects.quantities import quantity
from kubeobjects.unstructured import Unstructured

_KINDS = ("limits", "requests")


@dataclass(frozen=True, kw_only=True, slots=True)
class SetResources(SetCommand):
    """Set amounts by resource; `containers` chooses as kubectl's -c."""

    containers: str = "*"
    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)


class SetResourcesIntent(Intent, frozen=True, kw_only=True):
    """By container the former amounts of what is set: `limits.memory`, None for none."""

    former: Mapping[str, Mapping[str, str | None]]


def build(parsed: ParsedCommand) -> SetResources:
    """Build `kubectl set resources` of one workload."""
    limits, requests = (amounts_of(parsed.text(kind)) for kind in _KINDS)
    if not limits and not requests:
        raise parsed.misused("it sets nothing")
    return SetResources(
        object=single(parsed),
        namespace=place_of(parsed),
        containers=parsed.text("containers") or "*",
        limits=limits,
        requests=requests,
    )


class SetResourcesVerb(SetVerb[SetResources]):
    """Its undo sets the former amounts, unless somebody has changed the template meanwhile."""

    command = SetResources
    intent = SetResourcesIntent
    spec = CommandSpec(
        verb="kubectl set resources",
        changes=True,
        usage="kubectl set resources TYPE/NAME [--limits=RESOURCE=QUANTITY,…] [--requests=RESOURCE=QUANTITY,…]"
        " [-c CONTAINERS] [-n NS]",
        example="kubectl set resources deployment/web --limits=memory=512Mi --requests=cpu=100m -c web",
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES),
            Flag(names=("--limits",), key="limits", kind=AMOUNTS),
            Flag(names=("--requests",), key="requests", kind=AMOUNTS),
            Flag(names=("-c", "--containers"), key="containers", kind=CONTAINERS),
        ),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build,
        resources=ROLLED_OUT,
    )

    @override
    def words(self, command: SetResources) -> Iterator[str]:
        yield str(command.object)
        for kind in _KINDS:
            amounts = _amounts(command, kind)
            yield from option(f"--{kind}=", ",".join(f"{name}={amount}" for name, amount in amounts.items()))
        yield from option("-c", "" if command.containers == "*" else command.containers)
        yield from namespace_option(command.namespace)

    def opposes(self, command: SetResources, undo: SetResources) -> bool:
        """Return whether the one container of a way back gets an amount that it had."""
        return chosen(command.containers, undo.containers) and any(
            name in former and quantity(former[name]) == quantity(amount)
            for kind in _KINDS
            for former in (_amounts(undo, kind),)
            for name, amount in _amounts(command, kind).items()
        )

    def objection(self, command: SetResources, loaded: LoadedTarget) -> str:
        """Refuse what would change no container."""
        return no_matching_container(loaded, command.containers)

    def changed(self, command: SetResources, container: Unstructured) -> Unstructured:
        """Return a container with the amounts beside those that it has of other resources."""
        if not chosen(command.containers, name_of(container)):
            return container
        for kind in _KINDS:
            if amounts := _amounts(command, kind):
                present = unstructured.nested_map(container, "resources", kind)
                container = unstructured.with_field(container, "resources", kind, value={**present, **amounts})
        return container

    @override
    async def planned(
        self, clients: VerbClients, command: SetResources, loaded: LoadedTarget, after: Unstructured
    ) -> EffectPlan:
        former = _former(command, loaded.obj, after)
        intent = SetResourcesIntent(uid=loaded.uid, former=former)
        return loaded.patch(command, after, intent, _back(command, loaded, after, former))

    @override
    def summary(self, plan: EffectPlan) -> str:
        of = ", ".join(sorted(plan.remembered(SetResourcesIntent).former))
        return f"{self.object_of(plan)} resource requirements updated{f' of {of}' if of else ''}"


VERBS = (SetResourcesVerb(),)


def _amounts(command: SetResources, kind: str) -> Mapping[str, str]:
    return command.limits if kind == "limits" else command.requests


def _former(command: SetResources, before: Unstructured, after: Unstructured) -> Mapping[str, Mapping[str, str | None]]:
    """Return by container the amounts that were there of those that have changed."""
    found = {}
    for old, new in zip(containers_of(before), containers_of(after), strict=True):
        changed = {
            f"{kind}.{name}": _amount(old, kind, name)
            for kind in _KINDS
            for name in _amounts(command, kind)
            if _amount(old, kind, name) != _amount(new, kind, name)
        }
        if changed:
            found[name_of(old)] = changed
    return found


def _amount(container: Unstructured, kind: str, name: str) -> str | None:
    value = unstructured.nested_field(container, "resources", kind, name)
    return None if value is None else str(value)


def _back(
    command: SetResources, loaded: LoadedTarget, after: Unstructured, former: Mapping[str, Mapping[str, str | None]]
) -> UndoRecord:
    """Return the way back: by a patch where kubectl has no word for it, of an amount that was not there before."""
    values = [amount for amounts in former.values() for amount in amounts.values()]
    if len(former) != 1 or None in values:
        return undone_by(restoring_patch(loaded.asked, loaded.namespace, loaded.obj, after))
    ((container, amounts),) = former.items()
    limits, requests = (
        {key.partition(".")[2]: str(amount) for key, amount in amounts.items() if key.startswith(f"{kind}.")}
        for kind in _KINDS
    )
    over = unstamped_digest(template_of(after))
    return undone_by(replace(command, containers=container, limits=limits, requests=requests, over=over))
