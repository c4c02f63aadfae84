"""`kubectl auth can-i`: ask whether our own identity has a right, or which it has."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from typing_extensions import override

from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.arg_types import NAME, REFERENCE
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.references import place_of, resource_of, scope_of
from kintsugi.commands.words import namespace_option, option, scope
from kintsugi.errors import KubeError
from kintsugi.model.command import Command, Verb
from kubeobjects.resources import Resource


@dataclass(frozen=True, kw_only=True, slots=True)
class CanI(Command):
    """Ask whether our own identity may do something."""

    verb: str
    resource: Resource
    name: str = ""
    subresource: str = ""
    namespace: str | None


def build(parsed: ParsedCommand) -> CanI:
    """Build `kubectl auth can-i`: may our own identity do this."""
    verb, target = parsed.exactly(2)
    word, _, name = target.text.partition("/")
    resource = resource_of(parsed.spec, word)
    if name and parsed.on("everywhere"):
        raise CommandProblem(f"{parsed.spec.verb}: one object is in one namespace: leave out -A, or the name")
    return CanI(
        verb=verb.text,
        resource=resource,
        name=name,
        subresource=parsed.text("subresource"),
        namespace=scope_of(parsed, (resource,)),
    )


class CanIVerb(ProbeVerb[CanI]):
    """A no is a failure, as of the tool."""

    command = CanI
    spec = CommandSpec(
        verb=Verb.CAN_I,
        changes=False,
        usage="kubectl auth can-i VERB TYPE[/NAME] [--subresource=NAME] [-n NS | -A]",
        example="kubectl auth can-i delete pods",
        flags=(
            *flags.KUBECTL,
            *(flags.EVERYWHERE, Flag(names=("--subresource",), key="subresource", kind=NAME)),
            Flag(names=("-q", "--quiet")),
        ),
        arguments=(arg_types.WORD, REFERENCE),
        build=build,
        discovered=True,
        result=results.DECISION,
    )

    @override
    def words(self, command: CanI) -> Iterator[str]:
        target = f"{command.resource.qualified}/{command.name}" if command.name else command.resource.qualified
        yield from [command.verb, target, *option("--subresource=", command.subresource)]
        yield from scope(command.namespace, command.resource)

    @override
    async def read(
        self, clients: VerbClients, command: CanI, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        allowed = await clients.kube.can_i(
            command.verb, command.resource, command.namespace, subresource=command.subresource, name=command.name
        )
        what = f"{command.verb} {command.resource.qualified}"
        reason = "" if allowed else f"our identity may not {what}"
        return Result(
            names={"allowed": allowed, "reason": reason},
            summary=reason or f"our identity may {what}",
            failed=reason,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ListRights(Command):
    """Ask for all rights of our own identity in a namespace."""

    namespace: str


def build_list(parsed: ParsedCommand) -> ListRights:
    """Build `kubectl auth can-i --list` of a namespace."""
    if parsed.arguments:
        raise parsed.misused("it takes no arguments")
    return ListRights(namespace=place_of(parsed))


class ListRightsVerb(ProbeVerb[ListRights]):
    """The rights by their rules."""

    command = ListRights
    spec = CommandSpec(
        verb=Verb.CAN_I_LIST,
        changes=False,
        usage="kubectl auth can-i --list [-n NS]",
        example="kubectl auth can-i --list -n production",
        flags=(*flags.KUBECTL, Flag(names=("--list",)), flags.NO_HEADERS),
        arguments=(),
        build=build_list,
        result=results.RULES,
    )

    @override
    def words(self, command: ListRights) -> Iterator[str]:
        yield from namespace_option(command.namespace)

    @override
    async def read(
        self, clients: VerbClients, command: ListRights, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        status = await clients.kube.rules(command.namespace)
        try:
            found = msgspec.convert(status, _Rights)
        except msgspec.ValidationError as error:
            raise KubeError(f"the API server's list of our rights cannot be read: {error}") from error
        rules = [
            msgspec.to_builtins(rule) for rule in (*(found.resource_rules or ()), *(found.non_resource_rules or ()))
        ]
        unlisted = f", and others that are not listed: {found.evaluation_error}" if found.incomplete else ""
        return Result(
            names={"rules": rules, "incomplete": found.incomplete},
            summary=f"our identity has the rights of {len(rules)} rules in {command.namespace}{unlisted}",
        )


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    verbs: list[str]
    api_groups: list[str] = []
    resources: list[str] = []
    resource_names: list[str] = []
    non_resource_urls: list[str] = msgspec.field(default_factory=list, name="nonResourceURLs")


class _Rights(msgspec.Struct, frozen=True, rename="camel"):
    resource_rules: tuple[_Rule, ...] | None = None
    non_resource_rules: tuple[_Rule, ...] | None = None
    incomplete: bool = False
    evaluation_error: str = ""


VERBS = (CanIVerb(), ListRightsVerb())
