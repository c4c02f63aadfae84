"""
Restored data are read as their owner, with a fixed search path.

A backup contains views, functions and search paths, which anyone with write access to the backups may have written. A query
runs their code with its own rights, and a superuser's can run commands on the server's machine, in a read-only transaction,
too. So every `psql` of the run that names the restored database connects as its owner; where the database was restored into a
server of its own, it connects there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kintsugi.commands import argv, decode
from kintsugi.commands.registry import definition_of
from kintsugi.decisions.drills import question_of
from kintsugi.model.command import Command, Exec, ObjectName, PgRestore, Psql
from kintsugi.model.records import StepRecord
from kintsugi.model.worker_results import SEARCH_PATH, SERVER, owner_of
from kubeobjects.resources import JOBS


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoredIn:
    """The place of a restored database: the server of this Job, or, without a Job, the server that its queries name."""

    job: str = ""
    namespace: str = ""


Restored = Mapping[str, RestoredIn]
"""The restored databases by their names."""


def restored_databases(changes: Iterable[StepRecord]) -> Restored:
    """Return the databases that changes of a run have restored, or may have."""
    found: dict[str, RestoredIn] = {}
    for step in changes:
        restore = restore_of(step)
        if restore is not None:
            found[restore.database] = _where(restore, step)
    return found


def restore_of(step: StepRecord) -> PgRestore | None:
    """Return the restore of a database that a change was, None when it was none."""
    command = decode(step.command) if step.command is not None else None
    return definition_of(command).restore(command) if command is not None else None


def as_owner(command: Command, restored: Restored) -> Command:
    """Turn a question to a restored database into its owner's, where it is; any other command stays as it is."""
    asked = question_of(command)
    if asked is None or (asked.database or asked.user) not in restored:
        return command
    database = asked.database or asked.user
    about = replace(asked, database=database, user=owner_of(database), search_path=SEARCH_PATH)
    where = restored[database]
    if where.job:
        return _in_job(about, where)
    return definition_of(command).asking(command, about)


def _where(command: PgRestore, step: StepRecord) -> RestoredIn:
    if not command.on_own_server:
        return RestoredIn()
    return RestoredIn(job=str(step.facts.get("job", "")), namespace=str(step.facts.get("namespace", "")))


def _in_job(asked: Psql, where: RestoredIn) -> Exec:
    """Ask through the `psql` beside the Job's server, by its socket: how the live one is reached does not matter there."""
    there = replace(asked, host="", port=0, sslmode="", rootcert="", passfile="")
    job = ObjectName(resource=JOBS, name=where.job)
    return Exec(object=job, namespace=where.namespace, container=SERVER, argv=tuple(argv(there)))
