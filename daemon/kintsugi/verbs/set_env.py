"""
`kubectl set env`: set and remove variables of a workload's containers.

A variable's value may be a secret: it is in no text, and the former value in no undo. The undo names the revision that
has the value, or is encrypted.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from typing_extensions import override

from kintsugi.actions.difference import restoring_patch
from kintsugi.actions.effect_plan import EffectPlan, Intent, record_without_undo, undone_by
from kintsugi.actions.loaded_target import LoadedTarget
from kintsugi.actions.verb_bases import VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.commands.references import place_of
from kintsugi.commands.template_args import CONTAINERS, VARIABLE, pairs, target
from kintsugi.commands.words import namespace_option, option
from kintsugi.mask import MASK
from kintsugi.model.records import UndoRecord
from kintsugi.verbs.rollout import undo_of
from kintsugi.verbs.set_template import SetCommand, SetVerb, chosen, containers_of, name_of, no_matching_container
from kubediagnosis.templates import template_of, unstamped_digest
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

_FROM = "write the reference into the workload's own file: its keys would have to be read from the Secret"
_LISTS = "it only reads: `kubectl get` has the workload, with its variables masked"


@dataclass(frozen=True, kw_only=True, slots=True)
class SetEnv(SetCommand):
    """Set variables, None to remove one; `containers` chooses as kubectl's -c."""

    containers: str = "*"
    env: Mapping[str, str | None] = field(default_factory=dict)


class SetEnvIntent(Intent, frozen=True, kw_only=True):
    """The containers that change, and the names of the variables; never what they hold."""

    containers: tuple[str, ...]
    variables: tuple[str, ...]


def build(parsed: ParsedCommand) -> SetEnv:
    """Build `kubectl set env` of one workload."""
    env = {name: None if value is None else str(value) for name, value in pairs(parsed).items()}
    containers = parsed.text("containers") or "*"
    return SetEnv(object=target(parsed), namespace=place_of(parsed), containers=containers, env=env)


class SetEnvVerb(SetVerb[SetEnv]):
    """Its undo removes what was not there before; else it goes back to the revision that has the former values."""

    command = SetEnv
    intent = SetEnvIntent
    spec = CommandSpec(
        verb="kubectl set env",
        changes=True,
        usage="kubectl set env TYPE/NAME KEY=VALUE… | KEY-… [-c CONTAINERS] [-n NS]",
        example="kubectl set env deployment/web LOG_LEVEL=debug",
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES),
            Flag(names=("-c", "--containers"), key="containers", kind=CONTAINERS),
            Flag(names=("--from",), kind=arg_types.TEXT, refused=_FROM),
            Flag(names=("--list",), refused=_LISTS),
        ),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build,
        resources=ROLLED_OUT,
        marks=True,
        mark=VARIABLE,
    )

    @override
    def words(self, command: SetEnv) -> Iterator[str]:
        yield str(command.object)
        yield from (f"{name}-" if value is None else f"{name}={value}" for name, value in command.env.items())
        yield from option("-c", "" if command.containers == "*" else command.containers)
        yield from namespace_option(command.namespace)

    def text(self, command: SetEnv) -> str:
        """Return the command without what the variables hold."""
        hidden = {name: MASK if value else value for name, value in command.env.items()}
        return shlex.join(self.argv(replace(command, env=hidden)))

    def payload(self, command: SetEnv) -> object:
        """Return the variables by their names: a runbook may say what `LOG_LEVEL` is, and never a password."""
        return dict(command.env)

    def opposes(self, command: SetEnv, undo: SetEnv) -> bool:
        """Return whether a variable is removed that was set, or gets the value that it had."""
        return any(name in undo.env and undo.env[name] == value for name, value in command.env.items())

    def objection(self, command: SetEnv, loaded: LoadedTarget) -> str:
        """Refuse what would change no container."""
        return no_matching_container(loaded, command.containers)

    def changed(self, command: SetEnv, container: Unstructured) -> Unstructured:
        """Return a container with the variables as kubectl orders them: in their places, new ones last."""
        if not chosen(command.containers, name_of(container)):
            return container
        present = _env_of(container)
        known = {str(each.get("name")) for each in present}
        kept: list[Mapping[str, object]] = []
        for each in present:
            name = str(each.get("name"))
            if name not in command.env:
                kept.append(each)
            elif (value := command.env[name]) is not None:
                kept.append(_variable(name, value))
        kept.extend(
            _variable(name, value) for name, value in command.env.items() if value is not None and name not in known
        )
        return unstructured.with_field(container, "env", value=kept) if kept or present else container

    async def planned(
        self, clients: VerbClients, command: SetEnv, loaded: LoadedTarget, after: Unstructured
    ) -> EffectPlan:
        """Return the plan; where no container gets other variables nothing is written."""
        changed = [
            (old, new)
            for old, new in zip(containers_of(loaded.obj), containers_of(after), strict=True)
            if _env_of(old) != _env_of(new)
        ]
        intent = SetEnvIntent(
            uid=loaded.uid,
            containers=tuple(name_of(old) for old, _ in changed),
            variables=tuple(command.env),
        )
        if not changed:
            return loaded.already(command, intent)
        former = {str(each.get("name")) for old, _ in changed for each in _env_of(old)}
        undo = await _back(clients, command, loaded, after, former)
        return loaded.patch(command, after, intent, undo)

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} env updated: {', '.join(plan.remembered(SetEnvIntent).variables)}"


VERBS = (SetEnvVerb(),)


def _env_of(container: Unstructured) -> tuple[Unstructured, ...]:
    return unstructured.nested_maps(container, "env")


def _variable(name: str, value: str) -> Mapping[str, object]:
    """Return a variable as the API keeps it: without a value where that is empty."""
    return {"name": name, "value": value} if value else {"name": name}


async def _back(
    clients: VerbClients, command: SetEnv, loaded: LoadedTarget, after: Unstructured, former: set[str]
) -> UndoRecord:
    """
    Return the way back. What was not there is removed; a reference is written back, for it holds no secret.

    Raises Refused where a former value would be lost: no revision has it, and there is no key to encrypt it with.
    """
    if command.over:
        return record_without_undo("it is itself the undo of a change")
    if not former & set(command.env) and None not in command.env.values():
        over = unstamped_digest(template_of(after))
        return undone_by(replace(command, env=dict.fromkeys(command.env), over=over))
    whole = restoring_patch(loaded.asked, loaded.namespace, loaded.obj, after)
    return await undo_of(clients, loaded, after, whole)
