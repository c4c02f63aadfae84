"""How objects are named on a command line: `TYPE NAME…`, `TYPE/NAME…`, `TYPE,TYPE`; and in which namespace."""

from dataclasses import dataclass

from kintsugi.commands.kinds import NAME
from kintsugi.commands.problem import CommandProblem
from kintsugi.commands.row import Argument, Bound, Row
from kintsugi.model.command import ObjectName
from kintsugi.objects.resources import Resource, find, suggest


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """What the arguments name: objects, or whole kinds by the words that were used for them."""

    objects: tuple[ObjectName, ...] = ()
    resources: tuple[Resource, ...] = ()
    words: tuple[str, ...] = ()


def resource_of(row: Row, word: str) -> Resource:
    """Find the kind that a word means, if the row takes it. Raises CommandProblem with the nearest known word."""
    resource = find(word)
    if resource is None:
        raise CommandProblem(f"{row.verb}: {word!r} is not a known type of object", meant=suggest(word) or "")
    if row.resources and resource not in row.resources:
        known = ", ".join(allowed.singular for allowed in row.resources)
        raise CommandProblem(f"{row.verb} does not take {resource.singular}: {row.only or f'it takes {known}'}")
    return resource


def named(bound: Bound, arguments: tuple[Argument, ...] | None = None) -> Named:
    """Read the arguments as objects or kinds. Raises CommandProblem for mixtures that kubectl refuses too."""
    arguments = bound.arguments if arguments is None else arguments
    if not arguments:
        raise bound.misused("it names no object")
    if any("/" in argument.text for argument in arguments):
        return Named(objects=tuple(_slashed(bound, argument) for argument in arguments))
    first, *rest = arguments
    if first.object is not None and first.object.kind:
        return Named(objects=tuple(_object(bound, argument, None) for argument in arguments))
    if bound.row.bare is not None:
        return Named(objects=tuple(_object(bound, argument, bound.row.bare) for argument in arguments))
    words = tuple(first.text.split(","))
    resources = tuple(resource_of(bound.row, word) for word in words)
    if not rest:
        return Named(resources=resources, words=words)
    if len(resources) > 1:
        raise bound.misused(f"names cannot follow several types ({first.text}): write TYPE/NAME for each")
    return Named(objects=tuple(_object(bound, argument, resources[0]) for argument in rest))


def objects(bound: Bound, arguments: tuple[Argument, ...] | None = None) -> tuple[ObjectName, ...]:
    """Read the arguments as objects that are all named: what a change may touch is never a whole kind."""
    found = named(bound, arguments)
    if not found.objects:
        word = ",".join(found.words)
        raise bound.misused(f"it names no object, only the type {word}: every object that a change touches is named")
    return found.objects


def single(bound: Bound) -> ObjectName:
    """Read the arguments as one object. Raises CommandProblem when there are more."""
    found = objects(bound)
    if len(found) > 1:
        raise bound.misused(f"it takes one object, not {len(found)}: use for_each")
    return found[0]


def namespace_for(bound: Bound, resources: tuple[Resource, ...]) -> str:
    """Give the namespace that a command runs in, "" when none of its kinds lives in one."""
    if not any(resource.namespaced for resource in resources):
        return ""
    return place_of(bound)


def place_of(bound: Bound) -> str:
    """Give the namespace of a command, which must be known: -n, else the service's."""
    if not (namespace := bound.text("namespace") or bound.namespace):
        raise CommandProblem(f"{bound.row.verb}: the namespace is not known: write -n NAMESPACE")
    return namespace


def kinds_of(found: tuple[ObjectName, ...]) -> tuple[Resource, ...]:
    """Give the kind of each object."""
    return tuple(each.resource for each in found)


def _slashed(bound: Bound, argument: Argument) -> ObjectName:
    word, slash, name = argument.text.partition("/")
    if not slash:
        raise bound.misused(f"{argument.text!r} has no type, but others do: write TYPE/{argument.text}")
    resource = resource_of(bound.row, word)
    _check_object(bound, argument, resource)
    return ObjectName(
        resource=resource, name=_checked_name(bound, name), uid=argument.object.uid if argument.object else ""
    )


def _object(bound: Bound, argument: Argument, resource: Resource | None) -> ObjectName:
    if resource is None:
        assert argument.object is not None, "a kind comes from the word or from the object"
        resource = resource_of(bound.row, argument.object.kind)
    _check_object(bound, argument, resource)
    name = _checked_name(bound, argument.text)
    return ObjectName(resource=resource, name=name, uid=argument.object.uid if argument.object else "")


def _checked_name(bound: Bound, name: str) -> str:
    try:
        NAME.convert(name)
    except ValueError as error:
        raise CommandProblem(f"{bound.row.verb}: {error}") from error
    return name


def _check_object(bound: Bound, argument: Argument, resource: Resource) -> None:
    """Refuse an object of another kind or namespace than the line says: acting on a namesake would be worse than not acting."""
    put = argument.object
    if put is None:
        return
    if put.kind and put.kind != resource.kind:
        raise CommandProblem(f"{bound.row.verb}: {put.name!r} is a {put.kind}, not a {resource.singular}")
    if resource.namespaced and put.namespace and put.namespace != place_of(bound):
        raise CommandProblem(
            f"{bound.row.verb}: {put.name!r} is in namespace {put.namespace!r}, but the command runs in {place_of(bound)!r}: "
            f"write -n {put.namespace}"
        )
