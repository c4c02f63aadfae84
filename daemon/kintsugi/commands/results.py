"""
The names that an expression sees after a command: its result's columns, with their types.

`actions` fill them with exactly these names. Columns that hold objects depend on what was asked for, so `columns` is
asked with the command.
"""

from collections.abc import Callable, Mapping

from kintsugi.expressions import ANY, BOOL, INT, STRING, TIMESTAMP, ListOf, MapOf, Struct, Type, struct_type
from kintsugi.model.command import (
    Command,
    Cordon,
    Delete,
    Describe,
    Events,
    Exec,
    Get,
    Mark,
    ObjectName,
    Patch,
    Scale,
    Wait,
)
from kintsugi.model.command import Rollout as RolloutCommand
from kintsugi.objects.kept import KEPT
from kintsugi.objects.resources import EVENTS, Resource

REVISION = Struct(
    "Revision",
    {
        "workload": STRING,
        "number": INT,
        "current": BOOL,
        "good": BOOL,
        "cause": STRING,
        "images": ListOf(STRING),
        "created": TIMESTAMP,
    },
)
"""One revision of a workload; `good`: it was seen healthy while it was current."""

USE = Struct(
    "Use",
    {
        "name": STRING,
        "namespace": STRING,
        "cpu_millicores": INT,
        "memory_bytes": INT,
        "cpu_percent": INT,
        "memory_percent": INT,
    },
)
"""What one pod or node uses; per cent of what a node can give, of what a pod may take (0 where it has no limit)."""

FINDING = Struct(
    "Finding",
    {"severity": STRING, "means": STRING, "line": STRING, "pod": STRING, "sqlstate": STRING, "start": STRING},
)
"""
A line that a `scan` recognised; `sqlstate` is "" where the line carries none.

`start` tells the starts of a container apart: the container's id, "" where it is not sure which start the line is of.
"""

START = Struct("Start", {"pod": STRING, "start": STRING, "means": ListOf(STRING)})
"""One start of a container, by its id, and what the lines of its log mean."""

LINES: Mapping[str, Type] = {"lines": ListOf(STRING), "sources": ListOf(STRING)}
SCANNED: Mapping[str, Type] = {"findings": ListOf(FINDING), "starts": ListOf(START)}
DESCRIPTION: Mapping[str, Type] = {"text": STRING}
REVISIONS: Mapping[str, Type] = {"revisions": ListOf(REVISION)}
PROGRESS: Mapping[str, Type] = {"complete": BOOL, "message": STRING}
USAGE: Mapping[str, Type] = {"items": ListOf(USE)}
DECISION: Mapping[str, Type] = {"allowed": BOOL, "reason": STRING}
RESPONSE: Mapping[str, Type] = {"status": INT, "body": STRING, "headers": MapOf(STRING), "json": ANY}
LOOKUP: Mapping[str, Type] = {"addresses": ListOf(STRING)}
CONNECTION: Mapping[str, Type] = {"open": BOOL}
OUTPUT: Mapping[str, Type] = {"lines": ListOf(STRING), "text": STRING, "exit_code": INT}
DISK: Mapping[str, Type] = {"disk": Struct("Disk", {"size": INT, "used": INT, "free": INT})}
"""The file system that a path is on, in bytes; `free` is what may still be written."""

TABLE: Mapping[str, Type] = {"rows": ListOf(MapOf(ANY)), "value": ANY}
"""What a query gives: its rows by column, and the first column of the first row; no `value` where there is no row."""

_PROGRAMS: Mapping[str, Mapping[str, Type]] = {"psql": TABLE, "df": {**OUTPUT, **DISK}}

ObjectType = Callable[[Resource], Type]


def object_type(resource: Resource) -> Type:
    """Give the type of one kind of object: the fields that are kept, ANY where none are."""
    kept = KEPT.get(resource)
    return struct_type(kept) if kept else ANY


def columns(command: Command, fixed: Mapping[str, Type], type_of: ObjectType = object_type) -> Mapping[str, Type]:
    """
    Give every name of a command's result: the row's fixed ones, and the objects that it read or touched.

    One kind is `items`, and `item` when one object was named; several kinds stand under the words they were asked
    with (`kubectl get pv,pvc`: pv and pvc).
    """
    return {**fixed, **_objects(command, type_of)}


def _objects(command: Command, type_of: ObjectType) -> Mapping[str, Type]:
    match command:
        case Get(resources=(_, _, *_)):
            return {
                column_name(word): ListOf(type_of(of))
                for word, of in zip(command.words, command.resources, strict=True)
            }
        case Get() | Describe() | Wait():
            return _items(command.objects, _kinds_asked(command), type_of)
        case Delete() | Scale() | Cordon() | Mark():
            return _items(command.objects, (), type_of)
        case RolloutCommand(object=ObjectName(name="")):
            return _items((), (command.object.resource,), type_of)
        case Patch() | RolloutCommand():
            return _items((command.object,), (), type_of)
        case Exec():
            return _PROGRAMS.get(command.argv[0], OUTPUT)
        case Events():
            return {"items": ListOf(type_of(EVENTS))}
        case _:
            return {}


def _kinds_asked(command: Get | Describe | Wait) -> tuple[Resource, ...]:
    if isinstance(command, Get):
        return command.resources
    return (command.resource,) if command.resource else ()


def _items(named: tuple[ObjectName, ...], kinds: tuple[Resource, ...], type_of: ObjectType) -> Mapping[str, Type]:
    found = {*kinds, *(each.resource for each in named)}
    of = type_of(next(iter(found))) if len(found) == 1 else ANY
    return {"items": ListOf(of), "item": of} if len(named) == 1 else {"items": ListOf(of)}


def column_name(word: str) -> str:
    """Give the name under which a kind stands that was asked for among others: `deployments.apps` is `deployments`."""
    return word.lower().partition(".")[0]
