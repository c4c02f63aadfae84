"""`kubectl auth can-i`: ask whether our own identity has a right."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.arg_types import NAME, REFERENCE
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.references import resource_of, scope_of
from kintsugi.commands.words import option, scope
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


VERBS = (CanIVerb(),)
