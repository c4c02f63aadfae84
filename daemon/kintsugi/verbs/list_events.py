"""`kubectl events`: read Events, newest last."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions.description import events_about
from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.arg_types import REFERENCE
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import READABLE
from kintsugi.commands.references import place_of, resource_of
from kintsugi.commands.results import ObjectType
from kintsugi.commands.words import namespace_option, option
from kintsugi.expressions import ListOf, Type
from kintsugi.model.command import Command, ObjectName, Verb
from kubeobjects import unstructured
from kubeobjects.resources import EVENTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Events(Command):
    """Read Events, newest last; `about` narrows them to one object."""

    namespace: str | None
    about: ObjectName | None = None
    types: tuple[str, ...] = ()


def build(parsed: ParsedCommand) -> Events:
    """Build `kubectl events`: of a namespace, of all, or about one object."""
    if parsed.arguments:
        raise parsed.misused("it takes flags only; one object is named with --for TYPE/NAME")
    types = tuple(word for word in parsed.text("types").split(",") if word)
    return Events(namespace=None if parsed.on("everywhere") else place_of(parsed), about=_about(parsed), types=types)


def _about(parsed: ParsedCommand) -> ObjectName | None:
    word, slash, name = parsed.text("about").partition("/")
    if not word:
        return None
    if not slash or not name:
        raise parsed.misused(f"--for takes TYPE/NAME, not {word!r}")
    return ObjectName(resource=resource_of(parsed.spec, word), name=name)


class EventsVerb(ProbeVerb[Events]):
    """All, or those about one object."""

    command = Events
    allowed_in_page = True
    spec = CommandSpec(
        verb=Verb.EVENTS,
        changes=False,
        usage="kubectl events [--for=TYPE/NAME] [--types=Warning,Normal] [-n NS | -A]",
        example="kubectl events --for=pod/web-1 --types=Warning",
        flags=(
            *flags.KUBECTL,
            *(flags.EVERYWHERE, flags.WATCH, flags.OUTPUT, flags.NO_HEADERS),
            Flag(names=("--for",), key="about", kind=REFERENCE),
            Flag(names=("--types",), key="types", kind=arg_types.TYPES),
        ),
        arguments=(),
        build=build,
        resources=READABLE,
        discovered=True,
    )

    @override
    def words(self, command: Events) -> Iterator[str]:
        yield from option("--for=", str(command.about) if command.about else "")
        yield from [*option("--types=", ",".join(command.types)), *(namespace_option(command.namespace) or ["-A"])]

    @override
    def columns(self, command: Events, type_of: ObjectType) -> Mapping[str, Type]:
        return {"items": ListOf(type_of(EVENTS))}

    async def read(
        self, clients: VerbClients, command: Events, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """List Events; of `types`, when given, only those."""
        found = await events_about(clients.kube, command.about, command.namespace)
        wanted = {word.lower() for word in command.types}
        items = [
            unstructured.without_managed_fields(event)
            for event in found
            if not wanted or unstructured.nested_string(event, "type").lower() in wanted
        ]
        warnings = sum(unstructured.nested_string(event, "type") == "Warning" for event in items)
        return Result(names={"items": items}, summary=f"{len(items)} events, {warnings} warnings")


VERBS = (EventsVerb(),)
