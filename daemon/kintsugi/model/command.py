"""
Commands as values: what a line of a runbook means once it is parsed and its values are put in.

`commands` parses text into these and renders them back; `actions` performs them. Nothing here is ever given to a shell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from kintsugi.objects.resources import Resource


class Verb(StrEnum):
    """A row of the grammar: the words that start a command."""

    GET = "kubectl get"
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
    CURL = "curl"
    NSLOOKUP = "nslookup"
    NC = "nc -z"
    EXEC = "kubectl exec"
    PSQL = "psql"
    BACKUP_FETCH = "kintsugi backup fetch"
    PG_RESTORE = "pg_restore"
    DROPDB = "dropdb"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectName:
    """One object named on a command line; `uid` is set when the value was an object: it becomes a precondition."""

    resource: Resource
    name: str
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.resource.singular}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Get:
    """Read objects: by name, or lists of one or several kinds. `namespace` None means all of them (-A)."""

    resources: tuple[Resource, ...] = ()
    words: tuple[str, ...] = ()
    objects: tuple[ObjectName, ...] = ()
    namespace: str | None
    labels: str = ""
    fields: str = ""
    sort_by: str = ""
    ignore_not_found: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Describe:
    """Read objects with their events, for a person."""

    objects: tuple[ObjectName, ...] = ()
    resource: Resource | None = None
    namespace: str
    labels: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delete:
    """Delete objects, each by name and uid."""

    objects: tuple[ObjectName, ...]
    namespace: str
    grace: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Set the replicas of workloads; `current` is kubectl's --current-replicas precondition."""

    objects: tuple[ObjectName, ...]
    namespace: str
    replicas: int
    current: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateReference:
    """
    A pod template that is named and not held: `uid` is the ReplicaSet's or ControllerRevision's that keeps it.

    `digest` is the template's own, `over` that of the one which it may replace: see `actions.templates`.
    """

    uid: str
    digest: str
    over: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """
    history, undo, status, restart, pause or resume of one workload; history without a name is that of all of a type.

    An undo with a `template` goes back to that very one, whatever its number is by then; no line of a runbook means this.
    """

    verb: Verb
    object: ObjectName
    namespace: str
    revision: int = 0
    timeout: timedelta | None = None
    template: TemplateReference | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Logs:
    """Read the logs of a pod, or of the pods of a workload or selector; `follow` lasts as long as the step's `for`."""

    object: ObjectName | None = None
    labels: str = ""
    namespace: str
    container: str = ""
    all_containers: bool = False
    previous: bool = False
    follow: bool = False
    since: timedelta | None = None
    tail: int | None = None
    timestamps: bool = False
    prefix: bool = False


class Usage(StrEnum):
    """What is used: `kubectl top --sort-by` puts those first that use most of it."""

    CPU = "cpu"
    MEMORY = "memory"


@dataclass(frozen=True, kw_only=True, slots=True)
class Top:
    """Read what pods or nodes use, from the metrics API; by name, unless `sort_by` says otherwise."""

    resource: Resource
    name: str = ""
    namespace: str | None = None
    labels: str = ""
    sort_by: Usage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Events:
    """Read Events, newest last; `about` narrows them to one object."""

    namespace: str | None
    about: ObjectName | None = None
    types: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Wait until a condition, a JSONPath value or a deletion holds for every object named."""

    objects: tuple[ObjectName, ...] = ()
    resource: Resource | None = None
    labels: str = ""
    namespace: str
    condition: str
    timeout: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Cordon:
    """Keep new pods off nodes, or (`on` False) let them on again."""

    objects: tuple[ObjectName, ...]
    on: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """Change fields of one object by a merge, strategic or JSON patch (`patch` is its JSON text)."""

    object: ObjectName
    namespace: str
    patch: str
    kind: str = "strategic"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Set or remove (value None) labels or annotations."""

    verb: Verb
    objects: tuple[ObjectName, ...]
    namespace: str
    values: Mapping[str, str | None]
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Create:
    """
    Make an object; `manifest` is its JSON text.

    No line of a runbook means this: it is how a claim that was deleted comes back, forward or in an undo.
    """

    object: ObjectName
    namespace: str
    manifest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CanI:
    """Ask whether our own identity may do something."""

    verb: str
    resource: Resource
    name: str = ""
    subresource: str = ""
    namespace: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Curl:
    """One HTTP request. `max_time` is the whole of it."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    insecure: bool = False
    fail: bool = False
    follow: bool = False
    max_time: timedelta | None = None

    @property
    def changes(self) -> bool:
        """Return whether the request sends something: any method but GET and HEAD, and any body."""
        return self.method not in ("GET", "HEAD") or self.body is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Nslookup:
    """Resolve a name; `server` asks that one."""

    name: str
    server: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NcZ:
    """See whether a TCP port accepts a connection."""

    host: str
    port: int
    timeout: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Exec:
    """
    Run a program that only looks in a container: of a pod, or of one of a workload's pods.

    For `psql` that is the primary, for other programs the first pod that is ready.
    """

    object: ObjectName
    namespace: str
    container: str = ""
    argv: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Psql:
    """
    Ask a PostgreSQL server one question, in a read-only transaction.

    Empty texts and port 0 stand for what libpq takes then. `rootcert` and `passfile` are files, as libpq reads them.
    `search_path` is where names without a schema are looked up, whatever the database or the user says.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupFetch:
    """
    Fetch the newest backup below an S3 URL that passes every check, no older than `max_age`, into the room for backups.

    `host` (with `port`, 0 for the usual one, and `user`) is the server that it is for, where that can be asked already.
    """

    url: str
    database: str
    namespace: str
    max_age: timedelta | None = None
    host: str = ""
    port: int = 0
    user: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PgRestore:
    """
    Restore a dump into a fresh database, all of it or nothing.

    `host` is a Service of the cluster, `SERVICE.NAMESPACE` or longer; port 0 stands for the usual one. `file` is a path
    in the room for backups.
    """

    file: str
    host: str
    port: int = 0
    user: str
    database: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropdb:
    """Drop the scratch database of a drill, and no other. `host` is as for `PgRestore`; port 0 stands for the usual one."""

    host: str
    port: int = 0
    user: str
    database: str


WorkerCommand = BackupFetch | PgRestore | Dropdb
"""The commands that a worker does, in a Job of its own."""

Command = (
    Get
    | Describe
    | Delete
    | Scale
    | Rollout
    | Logs
    | Top
    | Events
    | Wait
    | Cordon
    | Patch
    | Mark
    | Create
    | CanI
    | Curl
    | Nslookup
    | NcZ
    | Exec
    | Psql
    | BackupFetch
    | PgRestore
    | Dropdb
)
