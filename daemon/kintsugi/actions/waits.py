"""`kubectl wait`: until a condition, a JSONPath value, a creation or a deletion holds for every object asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.actions import live
from kintsugi.actions.jsonpath import JsonPath, as_text
from kintsugi.actions.live import Live
from kintsugi.actions.polling import until
from kintsugi.actions.result import Result, of_objects
from kintsugi.errors import CommandError, NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName, Wait

_TIMED_OUT = "timed out waiting for the condition on"


@dataclass(frozen=True, slots=True)
class Goal:
    """What is waited for. `holds` judges an object, or its absence (None); `may_be_absent`: absence is no error."""

    holds: Callable[[Live | None], bool]
    may_be_absent: bool = False


async def wait(kube: KubeClient, command: Wait, *, within: timedelta) -> Result:
    """
    Wait for all objects at once, for the command's own timeout or `within` if that is shorter.

    Raises NotFound for a named object that is not there, unless its creation or deletion is waited for.
    """
    goal = goal_of(command.condition)
    objects = command.objects or await _selected(kube, command)
    if not objects and command.condition.lower() != "delete":
        return of_objects([], named=0, summary="no matching resources found", failed="no matching resources found")

    async def look() -> Sequence[Live | None]:
        return [await _read(kube, asked, command.namespace, goal) for asked in objects]

    seen = await until(look, lambda found: all(map(goal.holds, found)), within=min(within, command.timeout))
    items = [live.shown(obj) for obj in seen if obj is not None]
    unmet = [asked for asked, obj in zip(objects, seen, strict=True) if not goal.holds(obj)]
    failed = "; ".join(f"{_TIMED_OUT} {asked.resource.plural}/{asked.name}" for asked in unmet)
    summary = failed or f"{', '.join(map(str, objects)) or 'nothing left'}: {command.condition} met"
    return of_objects(items, named=len(command.objects), summary=summary, failed=failed)


async def _selected(kube: KubeClient, command: Wait) -> tuple[ObjectName, ...]:
    assert command.resource is not None, "a wait without names has a kind"
    listing = await kube.list(command.resource, command.namespace or None, labels=command.labels)
    return tuple(live.named(command.resource, item) for item in listing.items)


async def _read(kube: KubeClient, asked: ObjectName, namespace: str, goal: Goal) -> Live | None:
    try:
        obj = await kube.get(asked.resource, asked.name, namespace or None)
    except NotFound:
        if goal.may_be_absent:
            return None
        raise
    is_another = bool(asked.uid) and live.uid(obj) != asked.uid
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


def _condition(name: str, value: str) -> Callable[[Live | None], bool]:
    def holds(obj: Live | None) -> bool:
        for each in live.entries(obj, "status", "conditions"):
            if live.text(each, "type").lower() == name.lower():
                return not _is_outdated(obj, each) and live.text(each, "status").lower() == value.lower()
        return False

    return holds


def _is_outdated(obj: Live | None, condition: Live) -> bool:
    """Tell whether the condition speaks of an older generation of the object than the present one."""
    observed = live.at(condition, "observedGeneration")
    if observed is None:
        observed = live.at(obj, "status", "observedGeneration")
    return isinstance(observed, int) and observed < live.number(obj, "metadata", "generation")


def _value_at(path: JsonPath, wanted: str | None) -> Callable[[Live | None], bool]:
    """Make the test of a path: it has the value wanted, or, with None, it has any."""

    def holds(obj: Live | None) -> bool:
        found = path.find(obj)
        if len(found) > 1:
            raise CommandError(f"the path {path.text} matches more than one value")
        if not found:
            return False
        if isinstance(found[0], dict | list):
            raise CommandError(f"the path {path.text} leads to an object or a list, not to a value")
        return wanted is None or as_text(found[0]).strip() == wanted.strip()

    return holds
