"""`kubectl wait`: wait until a condition holds for every named object."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from typing_extensions import override

from kintsugi.actions import api_objects
from kintsugi.actions.jsonpath import JsonPath, as_text
from kintsugi.actions.probe import ProbeContext, Result, of_objects
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.arg_types import NAME, REFERENCE
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import READABLE, SECRETS_STAY
from kintsugi.commands.references import kinds_of, named, namespace_for, one_kind
from kintsugi.commands.results import ObjectType
from kintsugi.commands.words import duration, kind, named_objects, namespace_option, option
from kintsugi.errors import CommandError, NotFound, ServerUnavailable, TooManyRequests
from kintsugi.expressions import Type
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command, ObjectName, Verb
from kubeobjects import unstructured
from kubeobjects.resources import Resource
from kubeobjects.unstructured import Unstructured

_WAIT = timedelta(seconds=30)
"""kubectl's own default for `wait --timeout`."""

_TIMED_OUT = "timed out waiting for the condition on"

_INTERVAL = 1.0
"""Seconds between two reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait(Command):
    """Wait until a condition, a JSONPath value or a deletion holds for every object named."""

    objects: tuple[ObjectName, ...] = ()
    resource: Resource | None = None
    labels: str = ""
    namespace: str
    condition: str
    timeout: timedelta


def build(parsed: ParsedCommand) -> Wait:
    """Build `kubectl wait`: for named objects, or for those that a selector chooses."""
    found = named(parsed)
    resource = one_kind(parsed, found.resources)
    labels = parsed.text("labels")
    if (resource is None) == bool(labels):
        raise parsed.misused("it takes names, or else one type and a selector (-l)")
    return Wait(
        objects=found.objects,
        resource=resource,
        labels=labels,
        namespace=namespace_for(parsed, found.resources + kinds_of(found.objects)),
        condition=parsed.text("condition"),
        timeout=parsed.duration("timeout") or _WAIT,
    )


class WaitVerb(ProbeVerb[Wait]):
    """It ends well or badly when its time is over."""

    command = Wait
    spec = CommandSpec(
        verb=Verb.WAIT,
        changes=False,
        usage="kubectl wait TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR --for=CONDITION [--timeout=DURATION] [-n NS]",
        example="kubectl wait pod/web-1 --for=condition=Ready --timeout=2m",
        flags=(
            *flags.KUBECTL,
            *(flags.LABELS, flags.TIMEOUT, flags.OUTPUT),
            Flag(names=("--for",), key="condition", kind=arg_types.CONDITION, required=True),
            Flag(names=("--all",), refused="--all may match no object: name the objects, or choose them with -l"),
        ),
        arguments=(REFERENCE, NAME),
        build=build,
        resources=READABLE,
        discovered=True,
        only=SECRETS_STAY,
    )
    lasts = True

    @override
    def words(self, command: Wait) -> Iterator[str]:
        yield from [*named_objects(command.objects), *kind(command.resource), *option("-l", command.labels)]
        yield from [f"--for={command.condition}", *duration("--timeout=", command.timeout)]
        yield from namespace_option(command.namespace)

    @override
    def columns(self, command: Wait, type_of: ObjectType) -> Mapping[str, Type]:
        return results.items(command.objects, (command.resource,) if command.resource else (), type_of)

    @override
    def objects(self, command: Wait) -> tuple[ObjectName, ...]:
        return command.objects

    async def read(
        self, clients: VerbClients, command: Wait, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """
        Wait for all objects at once, for the command's own timeout or `deadline` if that is shorter.

        Raises NotFound for a named object that is not there, unless its creation or deletion is waited for.
        """
        goal = goal_of(command.condition)
        objects = command.objects or await _selected(clients.kube, command)
        if not objects and command.condition.lower() != "delete":
            return of_objects([], named=0, summary="no matching resources found", failed="no matching resources found")

        async def read() -> Sequence[Unstructured | None]:
            return [await _read(clients.kube, asked, command.namespace, goal) for asked in objects]

        seen = await poll_until(read, lambda found: all(map(goal.holds, found)), within=min(deadline, command.timeout))
        items = [unstructured.without_managed_fields(obj) for obj in seen if obj is not None]
        unmet = [asked for asked, obj in zip(objects, seen, strict=True) if not goal.holds(obj)]
        failed = "; ".join(f"{_TIMED_OUT} {asked.resource.plural}/{asked.name}" for asked in unmet)
        summary = failed or f"{', '.join(map(str, objects)) or 'nothing left'}: {command.condition} met"
        return of_objects(items, named=len(command.objects), summary=summary, failed=failed)


VERBS = (WaitVerb(),)


@dataclass(frozen=True, slots=True)
class Goal:
    """The condition to wait for. `holds` judges an object, or its absence (None); `may_be_absent`: absence is no error."""

    holds: Callable[[Unstructured | None], bool]
    may_be_absent: bool = False


async def _selected(kube: KubeClient, command: Wait) -> tuple[ObjectName, ...]:
    assert command.resource is not None, "a wait without names has a kind"
    listing = await kube.list(command.resource, command.namespace or None, labels=command.labels)
    return tuple(api_objects.named(command.resource, item) for item in listing.items)


async def _read(kube: KubeClient, asked: ObjectName, namespace: str, goal: Goal) -> Unstructured | None:
    try:
        with api_objects.naming_the_right(asked.resource):
            obj = await kube.get(asked.resource, asked.name, namespace or None)
    except NotFound:
        if goal.may_be_absent:
            return None
        raise
    is_another = bool(asked.uid) and unstructured.uid(obj) != asked.uid
    return None if is_another and goal.may_be_absent else obj


def goal_of(condition: str) -> Goal:
    """Read `--for`: delete, create, condition=NAME[=VALUE], jsonpath={PATH}[=VALUE]. Raises CommandError."""
    kind, _, rest = condition.partition("=")
    match kind.lower():
        case "delete" if not rest:
            return Goal(lambda obj: obj is None, may_be_absent=True)
        case "create" if not rest:
            return Goal(lambda obj: obj is not None, may_be_absent=True)
        case "condition" if rest:
            name, _, value = rest.partition("=")
            return Goal(_condition(name, value or "true"))
        case "jsonpath" if rest:
            path, end, value = rest.strip("'\"").rpartition("}")
            return Goal(_value_at(JsonPath.parse(path + end), value.removeprefix("=").strip("'\"") if value else None))
        case _:
            raise CommandError(
                f"--for={condition} is not understood: delete, create, condition=NAME or jsonpath={{.PATH}}=VALUE"
            )


def _condition(name: str, value: str) -> Callable[[Unstructured | None], bool]:
    def holds(obj: Unstructured | None) -> bool:
        for each in unstructured.nested_maps(obj, "status", "conditions"):
            if unstructured.nested_string(each, "type").lower() == name.lower():
                return (
                    not _is_outdated(obj, each) and unstructured.nested_string(each, "status").lower() == value.lower()
                )
        return False

    return holds


def _is_outdated(obj: Unstructured | None, condition: Unstructured) -> bool:
    """Return whether the condition speaks of an older generation of the object than the present one."""
    observed = unstructured.nested_field(condition, "observedGeneration")
    if observed is None:
        observed = unstructured.nested_field(obj, "status", "observedGeneration")
    return isinstance(observed, int) and observed < unstructured.nested_int(obj, "metadata", "generation")


def _value_at(path: JsonPath, wanted: str | None) -> Callable[[Unstructured | None], bool]:
    """Make the test of a path: it has the value wanted, or, with None, it has any."""

    def holds(obj: Unstructured | None) -> bool:
        found = path.find(obj)
        if len(found) > 1:
            raise CommandError(f"the path {path.text} matches more than one value")
        if not found:
            return False
        if isinstance(found[0], dict | list):
            raise CommandError(f"the path {path.text} matches an object or a list, not a value")
        return wanted is None or as_text(found[0]).strip() == wanted.strip()

    return holds


Seen = TypeVar("Seen")


async def poll_until(read: Callable[[], Awaitable[Seen]], holds: Callable[[Seen], bool], *, within: timedelta) -> Seen:
    """
    Read until it holds, and return what was seen last, whether it held or not.

    An API server that does not answer is asked again; its error is raised only when the time is up.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within.total_seconds()
    while True:
        try:
            seen = await read()
        except (ServerUnavailable, TooManyRequests):
            if loop.time() >= end:
                raise
        else:
            if holds(seen) or loop.time() >= end:
                return seen
        await asyncio.sleep(max(0.0, min(_INTERVAL, end - loop.time())))
