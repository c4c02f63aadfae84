"""`nslookup`: resolve a name."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, results
from kintsugi.commands.command_spec import CommandSpec, ParsedCommand
from kintsugi.model.command import Command, Verb


@dataclass(frozen=True, kw_only=True, slots=True)
class Nslookup(Command):
    """Resolve a name; `server` asks that one."""

    name: str
    server: str = ""


def build(parsed: ParsedCommand) -> Nslookup:
    """Build `nslookup NAME [SERVER]`."""
    if not 1 <= len(parsed.arguments) <= 2:
        raise parsed.misused(f"it takes a name and optionally a server, not {len(parsed.arguments)} arguments")
    name, *server = (argument.text for argument in parsed.arguments)
    return Nslookup(name=name, server=server[0] if server else "")


class NslookupVerb(ProbeVerb[Nslookup]):
    """By our own resolver, or the server that is named."""

    command = Nslookup
    spec = CommandSpec(
        verb=Verb.NSLOOKUP,
        changes=False,
        usage="nslookup NAME [SERVER]",
        example="nslookup web.production",
        flags=(),
        arguments=(arg_types.HOST,),
        build=build,
        result=results.LOOKUP,
    )

    @override
    def words(self, command: Nslookup) -> Iterator[str]:
        yield from [command.name, *([command.server] if command.server else [])]

    @override
    async def read(
        self, clients: VerbClients, command: Nslookup, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        addresses = await clients.clients.dns.resolve(command.name, server=command.server, within=deadline)
        return Result(names={"addresses": list(addresses)}, summary=f"{command.name} is {', '.join(addresses)}")


VERBS = (NslookupVerb(),)
