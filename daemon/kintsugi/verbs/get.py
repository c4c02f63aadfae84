"""`kubectl get`: read objects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cmp_to_key

from typing_extensions import override

from kintsugi.actions.api_objects import by_name, check_entries, listed, summary
from kintsugi.actions.jsonpath import JsonPath
from kintsugi.actions.probe import ProbeContext, Result, of_objects
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import flags, results
from kintsugi.commands.arg_types import NAME, REFERENCE, TEXT
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import OR_ROWS, SECRETS_STAY, USE_TOP
from kintsugi.commands.references import kinds_of, named, scope_of
from kintsugi.commands.results import ObjectType, column_name
from kintsugi.commands.words import named_objects, option, scope, switch
from kintsugi.errors import CommandError
from kintsugi.expressions import ListOf, Type
from kintsugi.model.command import Command, ObjectName, Verb
from kubeobjects import resources as of
from kubeobjects.quantities import parse_quantity
from kubeobjects.resources import Resource
from kubeobjects.unstructured import Unstructured


@dataclass(frozen=True, kw_only=True, slots=True)
class Get(Command):
    """Read objects: by name, or lists of one or several kinds. `namespace` None means all of them (-A)."""

    resources: tuple[Resource, ...] = ()
    words: tuple[str, ...] = ()
    objects: tuple[ObjectName, ...] = ()
    namespace: str | None
    labels: str = ""
    fields: str = ""
    sort_by: str = ""
    ignore_not_found: bool = False


ALL = ",".join(
    each.qualified
    for each in (
        *(of.PODS, of.REPLICATIONCONTROLLERS, of.SERVICES, of.DAEMONSETS, of.DEPLOYMENTS, of.REPLICASETS),
        *(of.STATEFULSETS, of.HPAS, of.CRONJOBS, of.JOBS),
    )
)
"""The built-in types of the category `all` (kubernetes.io, *kubectl get*)."""


def build(parsed: ParsedCommand) -> Get:
    """Build `kubectl get`: names, or lists of one or several kinds; `all` means those of its category."""
    first, rest = parsed.arguments[:1], parsed.arguments[1:]
    found = named(parsed, (*(replace(each, text=ALL) if each.text == "all" else each for each in first), *rest))
    labels, fields = parsed.text("labels"), parsed.text("fields")
    everywhere = parsed.on("everywhere")
    if of.SECRETS in found.resources + kinds_of(found.objects):
        _check_secrets(parsed)
    if found.objects and (labels or fields):
        raise parsed.misused("names and a selector exclude each other")
    if found.objects and everywhere:
        raise parsed.misused("-A does not take the name of an object: write -n NAMESPACE")
    return Get(
        resources=found.resources,
        words=found.words,
        objects=found.objects,
        namespace=scope_of(parsed, found.resources + kinds_of(found.objects)),
        labels=labels,
        fields=fields,
        sort_by=parsed.text("sort_by"),
        ignore_not_found=parsed.on("ignore_not_found"),
    )


def _check_secrets(parsed: ParsedCommand) -> None:
    """Refuse what asks for more of Secrets than is read of them, which would silently be something else."""
    formatted = "" if parsed.text("output") in ("", "wide", "name") else f"-o {parsed.text('output')}"
    keys = ("template", "label_columns", "show_labels", "sort_by")
    if more := formatted or next((f"--{key.replace('_', '-')}" for key in keys if parsed.on(key)), ""):
        raise CommandProblem(
            f"{parsed.spec.verb}: of a Secret a step gets the name, type, number of keys and age, and {more} asks for more: "
            f"{SECRETS_STAY}; write a step for a person: `manual:`"
        )
    if parsed.on("everywhere"):
        raise CommandProblem(
            f"{parsed.spec.verb}: of Secrets in all namespaces the namespaces are not read; write -n NAMESPACE"
        )


class GetVerb(ProbeVerb[Get]):
    """Objects by name, or lists of one kind or several."""

    command = Get
    allowed_in_page = True
    previewed = True
    spec = CommandSpec(
        verb=Verb.GET,
        changes=False,
        usage="kubectl get TYPE[,TYPE…] | TYPE NAME… | TYPE/NAME… [-n NS | -A] [-l SELECTOR] [--field-selector=FIELDS] "
        "[--sort-by=FIELD] [--ignore-not-found]",
        example="kubectl get pods -l app=web",
        flags=(
            *flags.KUBECTL,
            *(flags.EVERYWHERE, flags.LABELS, flags.FIELDS, flags.SORT_BY, flags.OUTPUT, flags.NO_HEADERS),
            *(flags.SHOW_LABELS, Flag(names=("-L", "--label-columns"), key="label_columns", kind=TEXT)),
            Flag(names=("--template",), key="template", kind=TEXT),
            *(Flag(names=(name,)) for name in ("--show-kind", "--show-managed-fields")),
            Flag(names=("--chunk-size",), kind=TEXT),
            *(flags.WATCH, Flag(names=("--ignore-not-found",), key="ignore_not_found")),
        ),
        arguments=(REFERENCE, NAME),
        build=build,
        resources=OR_ROWS,
        discovered=True,
        only=USE_TOP,
    )

    @override
    def words(self, command: Get) -> Iterator[str]:
        yield from [*named_objects(command.objects), *([",".join(command.words)] if command.words else [])]
        yield from scope(command.namespace, *command.resources, *(each.resource for each in command.objects))
        yield from [*option("-l", command.labels), *option("--field-selector=", command.fields)]
        yield from [*option("--sort-by=", command.sort_by), *switch("--ignore-not-found", command.ignore_not_found)]

    @override
    def columns(self, command: Get, type_of: ObjectType) -> Mapping[str, Type]:
        if len(command.resources) > 1:
            return {
                results.column_name(word): ListOf(type_of(of))
                for word, of in zip(command.words, command.resources, strict=True)
            }
        return results.items(command.objects, command.resources, type_of)

    @override
    def objects(self, command: Get) -> tuple[ObjectName, ...]:
        return command.objects

    async def read(
        self, clients: VerbClients, command: Get, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Read objects by name, or lists of one or several kinds. Raises NotFound in kubectl's words, for all at once."""
        if command.objects:
            items = await by_name(clients.kube, command.objects, command.namespace, missing_ok=command.ignore_not_found)
            return of_objects(_ordered(items, command), named=len(command.objects), summary=summary(items))
        lists: list[list[Unstructured]] = []
        for resource in command.resources:
            lists.append(
                await listed(clients.kube, resource, command.namespace, labels=command.labels, fields=command.fields)
            )
            check_entries(lists)
        everything = [item for items in lists for item in items]
        if len(lists) == 1:
            return of_objects(_ordered(everything, command), named=0, summary=summary(everything))
        columns = {
            column_name(word): _ordered(items, command) for word, items in zip(command.words, lists, strict=True)
        }
        return Result(names=columns, summary=summary(everything))


VERBS = (GetVerb(),)


def _ordered(items: list[Unstructured], command: Get) -> list[Unstructured]:
    return sorted_by(items, command.sort_by) if command.sort_by else items


def sorted_by(items: Sequence[Unstructured], field: str) -> list[Unstructured]:
    """
    Sort by a field; what lacks it comes first. Texts that are quantities are compared as numbers.

    Raises CommandError when no object has the field (kubectl's own sentence).
    """
    path = JsonPath.parse(field)
    keyed = [(next(iter(path.find(item)), None), item) for item in items]
    if items and all(key is None for key, _ in keyed):
        raise CommandError(f"couldn't find any field with path {field!r} in the list of objects")
    place = cmp_to_key(_compare)
    return [item for _, item in sorted(keyed, key=lambda each: place(each[0]))]


def _compare(one: object, other: object) -> int:
    if one is None or other is None:
        return (one is not None) - (other is not None)
    if isinstance(one, str) and isinstance(other, str):
        return _compare_texts(one, other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return (one > other) - (one < other)
    raise CommandError(f"cannot sort by a field that is a {type(one).__name__}")


def _compare_texts(one: str, other: str) -> int:
    amount, another = parse_quantity(one), parse_quantity(other)
    if amount is not None and another is not None:
        return (amount > another) - (amount < another)
    return (one > other) - (one < other)
