"""References to objects on a command line: `TYPE NAME…`, `TYPE/NAME…`, `TYPE,TYPE`, and their namespace."""

from dataclasses import dataclass

from kintsugi.commands.arg_types import NAME
from kintsugi.commands.command_problem import BY_A_PERSON, CommandProblem
from kintsugi.commands.command_spec import Argument, CommandSpec, ParsedCommand
from kintsugi.commands.kinds import is_built_in, not_changed
from kintsugi.model.command import ObjectName
from kubeobjects.discovery import find_any, suggest_any
from kubeobjects.resources import Resource

NOT_BUILT_IN = (
    "it is not built in; for a type of your cluster, `kintsugi init` writes the types of the cluster to kinds.yaml"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """The objects that the arguments name, or whole kinds by the words that were used for them."""

    objects: tuple[ObjectName, ...] = ()
    resources: tuple[Resource, ...] = ()
    words: tuple[str, ...] = ()


def resource_of(spec: CommandSpec, word: str) -> Resource:
    """Find the kind that a word means, if the row takes it. Raises CommandProblem with the nearest known word."""
    resource = find_any(word)
    if resource is None:
        near = suggest_any(word)
        hint = f"; {NOT_BUILT_IN}" if spec.discovered else "" if near else _by_a_person(spec)
        raise CommandProblem(f"{spec.verb}: {word!r} is not a known type of object{hint}", meant=near)
    if not is_built_in(resource):
        if not spec.discovered:
            raise CommandProblem(
                f"{spec.verb} does not take {resource.singular}: a type that is not built in can be read, with "
                "kubectl get, describe, wait, events --for and auth can-i, and changed with kubectl label, annotate, "
                "patch and scale"
            )
        if spec.changes and (why := not_changed(resource)):
            raise CommandProblem(f"{spec.verb}: {why}")
    elif spec.resources and resource not in spec.resources:
        known = ", ".join(allowed.singular for allowed in spec.resources)
        only = spec.only or f"it takes {known}"
        raise CommandProblem(f"{spec.verb} does not take {resource.singular}: {only}{_by_a_person(spec)}")
    return resource


def _by_a_person(spec: CommandSpec) -> str:
    return f"; {BY_A_PERSON}" if spec.changes else ""


def named(parsed: ParsedCommand, arguments: tuple[Argument, ...] | None = None) -> Named:
    """Read the arguments as objects or kinds. Raises CommandProblem for mixtures that kubectl refuses too."""
    arguments = parsed.arguments if arguments is None else arguments
    if not arguments:
        raise parsed.misused("it names no object")
    if any("/" in argument.text for argument in arguments):
        return Named(objects=tuple(_slashed(parsed, argument) for argument in arguments))
    first, *rest = arguments
    if first.object is not None and first.object.kind:
        return Named(objects=tuple(_object(parsed, argument, None) for argument in arguments))
    if parsed.spec.bare is not None:
        return Named(objects=tuple(_object(parsed, argument, parsed.spec.bare) for argument in arguments))
    words = tuple(first.text.split(","))
    resources = tuple(resource_of(parsed.spec, word) for word in words)
    if not rest:
        return Named(resources=resources, words=words)
    if len(resources) > 1:
        raise parsed.misused(f"names cannot follow several types ({first.text}): write TYPE/NAME for each")
    return Named(objects=tuple(_object(parsed, argument, resources[0]) for argument in rest))


def objects(parsed: ParsedCommand, arguments: tuple[Argument, ...] | None = None) -> tuple[ObjectName, ...]:
    """Read the arguments as objects that are all named: what a change may touch is never a whole kind."""
    found = named(parsed, arguments)
    if not found.objects:
        word = ",".join(found.words)
        raise parsed.misused(f"it names no object, only the type {word}: every object that a change touches is named")
    return found.objects


def single(parsed: ParsedCommand) -> ObjectName:
    """Read the arguments as one object. Raises CommandProblem when there are more."""
    found = objects(parsed)
    if len(found) > 1:
        raise parsed.misused(f"it takes one object, not {len(found)}: use forEach")
    return found[0]


def namespace_for(parsed: ParsedCommand, resources: tuple[Resource, ...]) -> str:
    """Return the namespace that a command runs in, "" when none of its kinds lives in one."""
    if not any(resource.namespaced for resource in resources):
        return ""
    return place_of(parsed)


def place_of(parsed: ParsedCommand) -> str:
    """Return the namespace of a command, which must be known: -n, else the service's."""
    if not (namespace := parsed.text("namespace") or parsed.namespace):
        raise CommandProblem(f"{parsed.spec.verb}: the namespace is not known: write -n NAMESPACE")
    return namespace


def kinds_of(found: tuple[ObjectName, ...]) -> tuple[Resource, ...]:
    """Return the kind of each object."""
    return tuple(each.resource for each in found)


def _slashed(parsed: ParsedCommand, argument: Argument) -> ObjectName:
    word, slash, name = argument.text.partition("/")
    if not slash:
        raise parsed.misused(f"{argument.text!r} has no type, but others do: write TYPE/{argument.text}")
    resource = resource_of(parsed.spec, word)
    _check_object(parsed, argument, resource)
    return ObjectName(
        resource=resource, name=_checked_name(parsed, name), uid=argument.object.uid if argument.object else ""
    )


def _object(parsed: ParsedCommand, argument: Argument, resource: Resource | None) -> ObjectName:
    if resource is None:
        assert argument.object is not None, "a kind comes from the word or from the object"
        resource = resource_of(parsed.spec, argument.object.word)
    _check_object(parsed, argument, resource)
    name = _checked_name(parsed, argument.text)
    return ObjectName(resource=resource, name=name, uid=argument.object.uid if argument.object else "")


def _checked_name(parsed: ParsedCommand, name: str) -> str:
    try:
        NAME.convert(name)
    except ValueError as error:
        raise CommandProblem(f"{parsed.spec.verb}: {error}") from error
    return name


def _check_object(parsed: ParsedCommand, argument: Argument, resource: Resource) -> None:
    """Refuse an object of another kind or namespace than the line says: acting on a namesake would be worse than not acting."""
    put = argument.object
    if put is None:
        return
    if put.kind and (put.kind, put.group) not in ((resource.kind, resource.group), (resource.kind, None)):
        raise CommandProblem(f"{parsed.spec.verb}: {put.name!r} is a {put.word}, not a {resource.singular}")
    if parsed.spec.changes and not put.uid:
        raise CommandProblem(
            f"{parsed.spec.verb}: the uid of {put.name!r} is not known, and another object may have its name by now"
        )
    if resource.namespaced and put.namespace and put.namespace != place_of(parsed):
        raise CommandProblem(
            f"{parsed.spec.verb}: {put.name!r} is in namespace {put.namespace!r}, but the command runs in {place_of(parsed)!r}: "
            f"write -n {put.namespace}"
        )


def scope_of(parsed: ParsedCommand, resources: tuple[Resource, ...]) -> str | None:
    """Return the namespace to list in; None for all of them, and for kinds that live in none."""
    if parsed.on("everywhere") or not any(resource.namespaced for resource in resources):
        return None
    return place_of(parsed)


def one_kind(parsed: ParsedCommand, resources: tuple[Resource, ...]) -> Resource | None:
    """Return the one type that a command takes, None where objects are named."""
    if len(resources) > 1:
        raise parsed.misused("it takes one type at a time")
    return resources[0] if resources else None
