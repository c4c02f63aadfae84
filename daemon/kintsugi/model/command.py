"""
Commands as values: the meaning of a runbook's line once it is parsed and its values are filled in.

`commands` parses text into these and renders them back; `actions` performs them. Nothing here is ever given to a shell.
Here are those that a package below `verbs` makes or inspects; any other is in the module of its verb.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from enum import StrEnum

from kubeobjects.resources import Resource


class Command:
    """
    The base of commands, the parsed lines of runbooks: a frozen value; `commands.registry` knows the module of its
    verb.
    """

    __slots__ = ()


class Verb(StrEnum):
    """A row of the grammar: the words that start a command."""

    GET = "kubectl get"
    GET_RAW = "kubectl get --raw"
    DESCRIBE = "kubectl describe"
    DELETE = "kubectl delete"
    SCALE = "kubectl scale"
    ROLLOUT_HISTORY = "kubectl rollout history"
    ROLLOUT_UNDO = "kubectl rollout undo"
    ROLLOUT_STATUS = "kubectl rollout status"
    ROLLOUT_RESTART = "kubectl rollout restart"
    ROLLOUT_PAUSE = "kubectl rollout pause"
    ROLLOUT_RESUME = "kubectl rollout resume"
    LOGS = "kubectl logs"
    TOP = "kubectl top"
    EVENTS = "kubectl events"
    WAIT = "kubectl wait"
    CORDON = "kubectl cordon"
    UNCORDON = "kubectl uncordon"
    PATCH = "kubectl patch"
    LABEL = "kubectl label"
    ANNOTATE = "kubectl annotate"
    CAN_I = "kubectl auth can-i"
    CAN_I_LIST = "kubectl auth can-i --list"
    CURL = "curl"
    NSLOOKUP = "nslookup"
    NC = "nc -z"
    EXEC = "kubectl exec"
    PSQL = "psql"
    INSTANT_QUERY = "promtool query instant"
    DIAGNOSE = "kintsugi diagnose"
    CHECK = "kintsugi check"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectName:
    """One object named on a command line; `uid` is set when the value was an object: it becomes a precondition."""

    resource: Resource
    name: str
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.resource.singular}/{self.name}"


def parts_of(command: Command) -> Iterator[ObjectName | Resource]:
    """Yield the objects that a command names, and the kinds that it is about all objects of."""
    value: object = command
    assert is_dataclass(value), "commands are values"
    for each in fields(value):
        given = getattr(value, each.name)
        parts = given if isinstance(given, tuple) else (given,)
        yield from (part for part in parts if isinstance(part, ObjectName | Resource))


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectCommand(Command):
    """A command about one object of a namespace; `namespace` is "" for one that lives in none."""

    object: ObjectName
    namespace: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectsCommand(Command):
    """A command about objects of one namespace; `namespace` is "" for those that live in none."""

    objects: tuple[ObjectName, ...]
    namespace: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delete(ObjectsCommand):
    """Delete objects, each by name and uid."""

    grace: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateReference:
    """
    A pod template that is named and not held: `uid` is the ReplicaSet's or ControllerRevision's that keeps it.

    `digest` is the template's own, `over` that of the one which it may replace: see `kubediagnosis.templates`.
    """

    uid: str
    digest: str
    over: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch(ObjectCommand):
    """
    Change fields of one object by a merge, strategic or JSON patch (`patch` is its JSON text).

    `subresource` is the part of the object that is patched, "" for the object itself. `encrypted`: that text is as the ledger keeps it,
    see `actions.command_secrets`; no line of a runbook means this.
    """

    patch: str
    kind: str = "strategic"
    subresource: str = ""
    encrypted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SetMetadata(ObjectsCommand):
    """Set or remove (value None) labels or annotations."""

    verb: Verb
    values: Mapping[str, str | None]
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Create(ObjectCommand):
    """
    Make an object; `manifest` is its JSON text, `encrypted` as for `Patch`.

    No line of a runbook means this: it is how a claim that was deleted comes back, forward or in an undo.
    """

    manifest: str
    encrypted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Exec(ObjectCommand):
    """
    Run a program that only looks in a container: of a pod, or of one of a workload's pods.

    For `psql` that is the primary, for other programs the first pod that is ready.
    """

    container: str = ""
    argv: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Psql(Command):
    """
    Ask a PostgreSQL server one question, in a read-only transaction.

    Empty texts and port 0 mean libpq's defaults. `rootcert` and `passfile` are files, as libpq reads them.
    `search_path` are the schemas for names without one, whatever the database or the user sets; empty: pg_catalog
    alone.
    """

    statement: str
    host: str = ""
    port: int = 0
    user: str = ""
    database: str = ""
    sslmode: str = ""
    rootcert: str = ""
    passfile: str = ""
    search_path: str = ""
