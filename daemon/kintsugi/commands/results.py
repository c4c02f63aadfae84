"""
The names that an expression sees after a command: its result's columns, with their types.

`actions` fill them with exactly these names. Columns that hold objects depend on what was asked for, so a verb's `columns`
is asked with the command. One kind is `items`, and `item` when one object was named; several kinds stand under the words that they
were asked with (`kubectl get pv,pvc`: pv and pvc).
"""

from collections.abc import Callable, Mapping

from kintsugi.expressions import (
    ANY,
    BOOL,
    DOUBLE,
    INT,
    STRING,
    TIMESTAMP,
    ListOf,
    MapOf,
    Struct,
    Type,
    struct_type,
)
from kintsugi.model.command import ObjectName
from kintsugi.objects.kept import KEPT
from kubeobjects.resources import Resource

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
        "cpuMillicores": INT,
        "memoryBytes": INT,
        "cpuPercent": INT,
        "memoryPercent": INT,
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

PART = "kept"
"""What is left of a result of which a step keeps a part."""

LINES: Mapping[str, Type] = {"lines": ListOf(STRING), "sources": ListOf(STRING)}
SCANNED: Mapping[str, Type] = {"findings": ListOf(FINDING), "starts": ListOf(START)}
DESCRIPTION: Mapping[str, Type] = {"text": STRING}
REVISIONS: Mapping[str, Type] = {"revisions": ListOf(REVISION)}
PROGRESS: Mapping[str, Type] = {"complete": BOOL, "message": STRING}
USAGE: Mapping[str, Type] = {"items": ListOf(USE)}
DIAGNOSIS: Mapping[str, Type] = {
    **dict.fromkeys(
        ("cause", "object", "field", "confidence", "text", "remedy", "reason", "name", "template", "kept"), STRING
    ),
    **dict.fromkeys(("amount", "request"), STRING),
    "pods": ListOf(STRING),
    "revision": INT,
    "good": INT,
}
"""
The likeliest cause, all "" where there is none, and what helps: a word of `model.remedies.RemedyKind` with its reason.

`name` is the pod that is restarted first, the node that is left, the container whose memory limit is raised to `amount`, in `pods`
(names), with `request` as its request, or the claim that grows to `amount`; "" and none for all else. `revision` is the number of the one in force, 0 where its
controller has not made it, `template` its name (of a Deployment the pod-template-hash, else the ControllerRevision's), and
`good` the number of the last good one besides it, 0 where Kubernetes has none. `kept` says what the last good template that the
ledger has would change, where Kubernetes has none; "" where the ledger has not all of one.
"""

ANSWER: Mapping[str, Type] = {"met": BOOL, "answer": STRING}
"""Whether a pod meets the checks of its service when it is asked by itself, and what it has answered."""

DECISION: Mapping[str, Type] = {"allowed": BOOL, "reason": STRING}
RESPONSE: Mapping[str, Type] = {"status": INT, "body": STRING, "headers": MapOf(STRING), "json": ANY}
LOOKUP: Mapping[str, Type] = {"addresses": ListOf(STRING)}
CONNECTION: Mapping[str, Type] = {"open": BOOL}
OUTPUT: Mapping[str, Type] = {"lines": ListOf(STRING), "text": STRING, "exitCode": INT}
DISK: Mapping[str, Type] = {"disk": Struct("Disk", {"size": INT, "used": INT, "free": INT})}
"""The file system that a path is on, in bytes; `free` is what may still be written."""

TABLE: Mapping[str, Type] = {"rows": ListOf(MapOf(ANY)), "value": ANY}
"""What a query gives: its rows by column, and the first column of the first row; no `value` where there is no row."""

SAMPLE = Struct("Sample", {"labels": MapOf(STRING), "value": DOUBLE, "text": STRING})
"""One sample, with its number as Prometheus writes it; no `value` where that is none that can be compared: NaN, an infinity."""

SAMPLES: Mapping[str, Type] = {"samples": ListOf(SAMPLE), "value": DOUBLE, "warnings": ListOf(STRING)}
"""What an instant query gives; `value` is the number of its one sample, absent where there is none, or more than one."""

PROGRAMS: Mapping[str, Mapping[str, Type]] = {"psql": TABLE, "df": {**OUTPUT, **DISK}}

ObjectType = Callable[[Resource], Type]


def object_type(resource: Resource) -> Type:
    """Return the type of one kind of object: the fields that are kept, ANY where none are."""
    kept = KEPT.get(resource)
    return struct_type(kept) if kept else ANY


def items(named: tuple[ObjectName, ...], kinds: tuple[Resource, ...], type_of: ObjectType) -> Mapping[str, Type]:
    """Return `items` of what was named or asked for, and `item` when one object was named."""
    found = {*kinds, *(each.resource for each in named)}
    of = type_of(next(iter(found))) if len(found) == 1 else ANY
    return {"items": ListOf(of), "item": of} if len(named) == 1 else {"items": ListOf(of)}


def column_name(word: str) -> str:
    """Return the name under which a kind stands that was asked for among others: `deployments.apps` is `deployments`."""
    return word.lower().partition(".")[0]
