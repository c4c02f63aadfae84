"""The specification of a worker's Job before it is made: its name, its labels, its arguments."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from kintsugi.actions.change_context import ChangeContext
from kintsugi.model.hosts import service_of
from kintsugi.model.records import Phase
from kintsugi.model.restores import DRILL
from kintsugi.model.services import SecretRef
from kintsugi.model.step_path import StepPath
from kintsugi.settings import RestoreSettings
from kintsugi_restore.commands import BackupFetch, PgRestore, WorkerCommand
from kintsugi_restore.worker_results import BACKUPS, SERVER_SOCKET
from kubeobjects.quantities import parse_quantity, whole

MANAGED_BY, OURS = "app.kubernetes.io/managed-by", "kintsugi"
"""The label of all that is made for a worker, beside those of its step."""

PASSWORD = "PGPASSWORD"  # noqa: S105  the name of the variable
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

_LONGEST = 57
"""Characters of a Job's name; its pod's has six more, and must fit a label."""

_SHORT = 10
"""Characters of a run's id that no other one shares: its random part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerImage:
    """The image of a drill's server: its name, pull policy and pull Secrets."""

    name: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerJobSpec:
    """One piece of work for one step of one run; `server` is what a drill restores into, None for any other work."""

    command: WorkerCommand
    context: ChangeContext
    settings: RestoreSettings
    server: ServerImage | None = None

    @property
    def brings_server(self) -> bool:
        """Return whether the Job has a PostgreSQL server of its own."""
        return isinstance(self.command, PgRestore) and self.command.on_own_server

    @property
    def namespace(self) -> str:
        """Return the namespace of the Job: that of what it is about."""
        return namespace_of(self.command)

    @property
    def name(self) -> str:
        """Name the Job: the same name for the same step of the same run, and no other's."""
        around = self.context
        place = str(StepPath.parse(around.path).without_first_change)
        slug = re.sub(r"[^a-z0-9]+", "-", place).strip("-")
        name = f"kintsugi-{around.run[-_SHORT:]}-{slug}"
        if slug == place and around.phase is Phase.FORWARD and len(name) <= _LONGEST:
            return name
        suffix = sha256(f"{around.phase} {around.path}".encode()).hexdigest()[:6]
        return f"{name[: _LONGEST - 7].rstrip('-')}-{suffix}"

    @property
    def pvc_name(self) -> str:
        """Name the claim of the staging volume: one for all steps of a run."""
        return self.settings.existing_claim or f"kintsugi-{self.context.run[-_SHORT:]}-backups"

    @property
    def makes_pvc(self) -> bool:
        """Return whether the claim is made together with the Job: by the step that fills the staging volume."""
        return self.settings.existing_claim is None and isinstance(self.command, BackupFetch)

    @property
    def labels(self) -> Mapping[str, str]:
        """Return whose work it is."""
        return {MANAGED_BY: OURS, **self.context.labels}

    @property
    def secrets(self) -> Mapping[str, SecretRef]:
        """Return the variables that come from Secrets: S3's for a fetch, PostgreSQL's for what is done on the live server."""
        if self.brings_server:
            return {}
        of_service = self.context.env.items()
        if not isinstance(self.command, BackupFetch):
            return {name: reference for name, reference in of_service if name.startswith("PG")}
        asks, given = bool(self.command.host), self.settings.s3.credentials
        keys = {key: SecretRef(secret=given, key=key) for key in KEYS} if given is not None else {}
        return keys | {
            name: reference for name, reference in of_service if name.startswith("AWS_") or (asks and name == PASSWORD)
        }

    @property
    def arguments(self) -> list[str]:
        """Write the worker's command line; every value is a word of its own."""
        words = _fetching(self) if isinstance(self.command, BackupFetch) else _restoring(self.command)
        if isinstance(self.command, PgRestore) and self.command.database.startswith(DRILL):
            words += ["--scratch", "--name", self.context.run, *(["--hold"] if self.brings_server else [])]
        return [*words, *(word for role in self._roles() for word in ("--role", role))]

    def _roles(self) -> Iterator[str]:
        """Name the roles that the service declares: those whose passwords its `env` has, as PGPASSWORD_ROLE."""
        for name in self.context.env:
            if name.startswith(f"{PASSWORD}_"):
                yield name.removeprefix(f"{PASSWORD}_").lower()


def _fetching(job_spec: WorkerJobSpec) -> list[str]:
    fetch = job_spec.command
    assert isinstance(fetch, BackupFetch), fetch
    words = ["fetch", fetch.url, "--into", BACKUPS, "--database", fetch.database]
    if fetch.host:
        words += ["--server", f"{fetch.host}:{fetch.port}" if fetch.port else fetch.host]
        words += ["--user", fetch.user] if fetch.user else []
    if fetch.max_age is not None:
        words += ["--max-age", f"{fetch.max_age.total_seconds():.3f}"]
    # So much before Kubernetes ends it that it can say itself what took so long.
    words += ["--within", f"{job_spec.settings.active_deadline.total_seconds() * 0.98:.0f}"]
    if job_spec.makes_pvc:
        words += ["--volume-bytes", str(whole(parse_quantity(job_spec.settings.volume_size) or Decimal(0)))]
    return words


def _restoring(restore: PgRestore) -> list[str]:
    port = ["--port", str(restore.port)] if restore.port else []
    host = SERVER_SOCKET if restore.on_own_server else restore.host
    return ["restore", restore.file, "--host", host, *port, "--user", restore.user, "--database", restore.database]


def namespace_of(command: WorkerCommand) -> str:
    """Return the namespace that a command's Job is made in."""
    if isinstance(command, BackupFetch):
        return command.namespace
    host = service_of(command.host)
    assert host is not None, f"{command.host} was read as a Service"
    return host.namespace
