"""`kubectl describe`: read objects with their events, for a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions import api_objects, secret_rows
from kintsugi.actions.api_objects import by_name, listed, summary
from kintsugi.actions.description import clip, described, events_about
from kintsugi.actions.probe import ProbeContext, Result, of_objects
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import flags, results
from kintsugi.commands.arg_types import NAME, REFERENCE
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import OR_ROWS, USE_TOP
from kintsugi.commands.references import kinds_of, named, namespace_for, one_kind
from kintsugi.commands.results import ObjectType
from kintsugi.commands.words import kind, named_objects, namespace_option, option
from kintsugi.expressions import Type
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command, ObjectName, Verb
from kubeobjects import unstructured
from kubeobjects.resources import SECRETS, Resource
from kubeobjects.unstructured import Unstructured


@dataclass(frozen=True, kw_only=True, slots=True)
class Describe(Command):
    """Read objects with their events, for a person."""

    objects: tuple[ObjectName, ...] = ()
    resource: Resource | None = None
    namespace: str
    labels: str = ""


def build(parsed: ParsedCommand) -> Describe:
    """Build `kubectl describe`: objects by name, or one kind, by a selector if one is given."""
    found = named(parsed)
    resource = one_kind(parsed, found.resources)
    if found.objects and parsed.text("labels"):
        raise parsed.misused("names and a selector exclude each other")
    return Describe(
        objects=found.objects,
        resource=resource,
        namespace=namespace_for(parsed, found.resources + kinds_of(found.objects)),
        labels=parsed.text("labels"),
    )


class DescribeVerb(ProbeVerb[Describe]):
    """One object, some, or all of a kind."""

    command = Describe
    allowed_in_page = True
    spec = CommandSpec(
        verb=Verb.DESCRIBE,
        changes=False,
        usage="kubectl describe TYPE NAME… | TYPE/NAME… | TYPE [-l SELECTOR] [-n NS]",
        example="kubectl describe pod web-1",
        flags=(*flags.KUBECTL, flags.LABELS, Flag(names=("--show-events",))),
        arguments=(REFERENCE, NAME),
        build=build,
        resources=OR_ROWS,
        discovered=True,
        only=USE_TOP,
        result=results.DESCRIPTION,
    )

    @override
    def words(self, command: Describe) -> Iterator[str]:
        yield from [*named_objects(command.objects), *kind(command.resource), *namespace_option(command.namespace)]
        yield from option("-l", command.labels)

    @override
    def columns(self, command: Describe, type_of: ObjectType) -> Mapping[str, Type]:
        return results.items(command.objects, (command.resource,) if command.resource else (), type_of)

    @override
    def objects(self, command: Describe) -> tuple[ObjectName, ...]:
        return command.objects

    async def read(
        self, clients: VerbClients, command: Describe, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Read objects with their Events, as text for a person."""
        if command.resource is None:
            items = await by_name(clients.kube, command.objects, command.namespace or None)
            kinds = [asked.resource for asked in command.objects]
        else:
            items = await listed(clients.kube, command.resource, command.namespace or None, labels=command.labels)
            kinds = [command.resource] * len(items)
        texts = [await _description(clients.kube, resource, item) for resource, item in zip(kinds, items, strict=True)]
        result = of_objects(items, named=len(command.objects), summary=summary(items))
        return replace(result, names={**result.names, "text": clip("\n\n".join(texts))})


VERBS = (DescribeVerb(),)


async def _description(kube: KubeClient, resource: Resource, item: Unstructured) -> str:
    if resource == SECRETS:
        return secret_rows.described(item)
    # Events about what lives in no namespace are in `default`; they carry no uid that could be relied on.
    asked = replace(api_objects.named(resource, item), uid=unstructured.uid(item) if resource.namespaced else "")
    namespace = unstructured.nested_string(item, "metadata", "namespace") or "default"
    return await described(item, await events_about(kube, asked, namespace))
