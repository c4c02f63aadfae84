"""`kubectl get --raw`: ask whether the API server is well, and for the usage of pods and nodes, as it answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import flags, results
from kintsugi.commands.arg_types import RAW_PATH
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.model.command import Command, Verb
from kintsugi.verbs.curl import json_in


@dataclass(frozen=True, kw_only=True, slots=True)
class GetRaw(Command):
    """Read a path of the API server, with its query."""

    path: str


def build(parsed: ParsedCommand) -> GetRaw:
    """Build `kubectl get --raw` of one path."""
    if parsed.arguments:
        raise parsed.misused("it takes a path alone")
    return GetRaw(path=parsed.text("path"))


class GetRawVerb(ProbeVerb[GetRaw]):
    """An answer that is no success is a result, too: it says what is wrong."""

    command = GetRaw
    previewed = True
    spec = CommandSpec(
        verb=Verb.GET_RAW,
        changes=False,
        usage="kubectl get --raw PATH",
        example="kubectl get --raw '/readyz?verbose'",
        flags=(*flags.KUBECTL, Flag(names=("--raw",), key="path", kind=RAW_PATH, required=True)),
        arguments=(),
        build=build,
        result=results.BODY,
    )

    @override
    def words(self, command: GetRaw) -> Iterator[str]:
        yield command.path

    @override
    async def read(
        self, clients: VerbClients, command: GetRaw, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Ask once. Raises Forbidden and other KubeErrors where nothing is said about the path."""
        answer = await clients.kube.raw(command.path, within=deadline)
        body = answer.body.decode(errors="replace")
        names: dict[str, object] = {"status": answer.status, "body": body}
        if (content := json_in(body)) is not None:
            names["json"] = content
        said = f"{command.path}: {answer.status} {answer.reason}"
        return Result(
            names=names,
            summary=f"{said}, {len(body)} characters",
            failed=said if answer.status >= 400 else "",
        )


VERBS = (GetRawVerb(),)
