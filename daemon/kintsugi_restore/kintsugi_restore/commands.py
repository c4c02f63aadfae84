"""The commands that a worker executes, in a Job of its own: the fetch of a backup, and its restore."""

from dataclasses import dataclass
from datetime import timedelta

from kintsugi.model.command import Command
from kintsugi.model.hosts import service_of
from kintsugi.model.restores import OWN_SERVER


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupFetch(Command):
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
class PgRestore(Command):
    """
    Restore a dump into a fresh database, all of it or nothing.

    `host` is a Service of the cluster, `SERVICE.NAMESPACE` or longer, or `localhost.NAMESPACE`: the server of a drill's
    own Job. Port 0 is the usual one. `file` is a path in the room for backups.
    """

    file: str
    host: str
    port: int = 0
    user: str
    database: str

    @property
    def on_own_server(self) -> bool:
        """Return whether the server lives and ends with the Job of this restore."""
        return is_drill_server(self.host)


WorkerCommand = BackupFetch | PgRestore
"""The commands that a worker does, in a Job of its own."""


def is_drill_server(host: str) -> bool:
    """Return whether a host means the server of a drill's own Job (`localhost.NAMESPACE`)."""
    found = service_of(host)
    return found is not None and found.service == OWN_SERVER
