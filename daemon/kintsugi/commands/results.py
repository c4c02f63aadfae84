"""
The names that an expression sees after a command: its result's columns, with their types.

`actions` fill them with exactly these names. Columns that hold objects depend on the command, so a verb's `columns` is
called with it. One kind is `items`, and `item` when one object was named; several kinds are named by the words of the
command (`kubectl get pv,pvc`: pv and pvc).
"""

from collections.abc import Callable, Mapping

from kintsugi.expressions import (
    ANY,
    BOOL,
    DOUBLE,
    DURATION,
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
from kubeobjects.kept import KEPT
from kubeobjects.resources import SECRETS, Resource

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
"""
The usage of one pod or node; in per cent of a node's allocatable resources, or of a pod's limit (0 without a limit).
"""

SECRET = Struct(
    "Secret",
    {**dict.fromkeys(("kind", "name", "namespace", "type"), STRING), "keys": INT, "age": DURATION},
)
"""
The row of a Secret: `keys` says how many there are, `age` is rounded down as kubectl prints it, and absent where the server does not
know it.
"""

FINDING = Struct(
    "Finding",
    {"severity": STRING, "means": STRING, "line": STRING, "pod": STRING, "sqlstate": STRING, "start": STRING},
)
"""
A line that a `scan` recognised; `sqlstate` is "" where the line carries none.

`start` distinguishes the starts of a container: the container's id, "" where the start of the line is not certain.
"""

START = Struct("Start", {"pod": STRING, "start": STRING, "means": ListOf(STRING)})
"""One start of a container, by its id, and what the lines of its log mean."""

PART = "kept"
"""The name of the kept part of a step's result."""

LINES: Mapping[str, Type] = {"lines": ListOf(STRING), "sources": ListOf(STRING)}
SCANNED: Mapping[str, Type] = {"findings": ListOf(FINDING), "starts": ListOf(START)}
DESCRIPTION: Mapping[str, Type] = {"text": STRING}
REVISIONS: Mapping[str, Type] = {"revisions": ListOf(REVISION), "lastGood": REVISION}
"""`lastGood`: the newest revision of a named workload that was good and is not the current one; absent without one."""

PROGRESS: Mapping[str, Type] = {"complete": BOOL, "message": STRING}
USAGE: Mapping[str, Type] = {"items": ListOf(USE)}
TARGET = Struct("Target", dict.fromkeys(("kind", "name", "namespace", "uid"), STRING))
"""An object as it was read; a command that gets it refuses another object of its name."""

DIAGNOSIS: Mapping[str, Type] = {
    **dict.fromkeys(("cause", "object", "field", "confidence", "text", "remedy", "reason", "template", "kept"), STRING),
    "target": TARGET,
    **dict.fromkeys(("container", "amount", "request"), STRING),
    "pods": ListOf(STRING),
    "revision": INT,
    "good": INT,
}
"""
The likeliest cause, all "" without one, and the remedy: a word of `model.remedies.RemedyKind` with its reason.

`target` is the pod that is restarted first, the node that is left, or the claim that grows to `amount`. `container` is
the one whose memory limit is raised to `amount`, with `request` as its request. `pods` are the uids of the pods whose
limit is raised, or that are on that node. All are "" and empty for all other remedies. `revision` is the number of the one in force, 0 where its controller has not made it, `template` its
name (of a Deployment the pod-template-hash, else the ControllerRevision's), and `good` the number of the last good one
besides it, 0 where Kubernetes has none. `kept` is the change that the ledger's last good template would make, where
Kubernetes has none; "" where the ledger has no complete one.
"""

ANSWER: Mapping[str, Type] = {"met": BOOL, "answer": STRING}
"""The result of `kintsugi check`: whether a single pod meets the checks of its service, and its answer."""

DECISION: Mapping[str, Type] = {"allowed": BOOL, "reason": STRING}
RULE = Struct(
    "Rule",
    dict.fromkeys(("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"), ListOf(STRING)),
)
"""Rights of our own identity, as RBAC writes them: without `resourceNames` for each object."""

RULES: Mapping[str, Type] = {"rules": ListOf(RULE), "incomplete": BOOL}
"""`incomplete`: the API server cannot list all rights, so that a missing one may be granted."""

BODY: Mapping[str, Type] = {"status": INT, "body": STRING, "json": ANY}
RESPONSE: Mapping[str, Type] = {**BODY, "headers": MapOf(STRING)}
LOOKUP: Mapping[str, Type] = {"addresses": ListOf(STRING)}
CONNECTION: Mapping[str, Type] = {"open": BOOL}
OUTPUT: Mapping[str, Type] = {"lines": ListOf(STRING), "text": STRING, "exitCode": INT}
DISK: Mapping[str, Type] = {"disk": Struct("Disk", {"size": INT, "used": INT, "free": INT})}
"""The file system that a path is on, in bytes; `free` is what may still be written."""

TABLE: Mapping[str, Type] = {"rows": ListOf(MapOf(ANY)), "value": ANY}
"""The result of a query: its rows by column, and the first column of the first row; no `value` without a row."""

SAMPLE = Struct("Sample", {"labels": MapOf(STRING), "value": DOUBLE, "text": STRING})
"""One sample, with its number as Prometheus writes it; no `value` where that cannot be compared: NaN, an infinity."""

SAMPLES: Mapping[str, Type] = {"samples": ListOf(SAMPLE), "value": DOUBLE, "warnings": ListOf(STRING)}
"""The result of an instant query; `value` is the number of its one sample, absent for no sample or several."""

ObjectType = Callable[[Resource], Type]


def object_type(resource: Resource) -> Type:
    """Return the type of one kind of object: the fields that are kept, ANY where none are; of a Secret its row."""
    if resource == SECRETS:
        return SECRET
    kept = KEPT.get(resource)
    return struct_type(kept) if kept else ANY


def items(named: tuple[ObjectName, ...], kinds: tuple[Resource, ...], type_of: ObjectType) -> Mapping[str, Type]:
    """Return `items` of what was named or asked for, and `item` when one object was named."""
    found = {*kinds, *(each.resource for each in named)}
    of = type_of(next(iter(found))) if len(found) == 1 else ANY
    return {"items": ListOf(of), "item": of} if len(named) == 1 else {"items": ListOf(of)}


def column_name(word: str) -> str:
    """Return the result name of a kind that was asked for among others: `deployments.apps` is `deployments`."""
    return word.lower().partition(".")[0]
