"""`nc -z`: check whether a TCP port accepts a connection."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, results
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.words import seconds
from kintsugi.model.command import Command, Verb
from kintsugi.model.hosts import PodAddress


@dataclass(frozen=True, kw_only=True, slots=True)
class NcZ(Command):
    """See whether a TCP port accepts a connection."""

    host: str
    port: int
    timeout: timedelta | None = None


def build(parsed: ParsedCommand) -> NcZ:
    """Build `nc -z HOST PORT`: it only knocks, nothing is sent."""
    if not parsed.on("knock"):
        raise parsed.misused("only nc -z is understood: it sees whether a port accepts connections, and sends nothing")
    host, port = parsed.exactly(2)
    assert isinstance(port.value, int), "the second place takes a port"
    return NcZ(host=host.text, port=port.value, timeout=parsed.duration("timeout"))


class NcZVerb(ProbeVerb[NcZ]):
    """A closed one is a failure, as of the tool."""

    command = NcZ
    spec = CommandSpec(
        verb=Verb.NC,
        changes=False,
        usage="nc -z HOST PORT [-w SECONDS]",
        example="nc -z web.production 80",
        flags=(
            Flag(names=("-z",), key="knock"),
            Flag(names=("-w",), key="timeout", kind=arg_types.SECONDS),
            *(Flag(names=(name,)) for name in ("-v", "-n")),
        ),
        arguments=(arg_types.HOST, arg_types.PORT),
        build=build,
        result=results.CONNECTION,
    )

    @override
    def words(self, command: NcZ) -> Iterator[str]:
        yield from [command.host, str(command.port), *seconds("-w", command.timeout)]

    @override
    async def read(
        self, clients: VerbClients, command: NcZ, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        within = min(command.timeout or deadline, deadline)
        why = await clients.clients.tcp.opens(command.host, command.port, within=within)
        summary = why or f"{command.host}:{command.port} is open"
        return Result(names={"open": not why}, summary=summary, failed=why)

    @override
    def at_pod(self, command: NcZ, pod: PodAddress) -> NcZ | None:
        port = pod.port_behind(command.host, command.port)
        return None if port is None else replace(command, host=pod.ip, port=port)


VERBS = (NcZVerb(),)
