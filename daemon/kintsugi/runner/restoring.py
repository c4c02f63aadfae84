"""
Restored data are read as their owner, with a fixed search path.

A backup contains views, functions and search paths, which anyone with write access to the backups may have written. A query
runs their code with its own rights, and a superuser's can run commands on the server's machine, in a read-only transaction,
too. So every `psql` of the run that names the restored database connects as its owner; where the database was restored into a
server of its own, it connects there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kintsugi.commands import argv
from kintsugi.commands.registry import definition_of
from kintsugi.commands.verb_definition import RestoredDatabase
from kintsugi.decisions.drills import question_of
from kintsugi.model.command import Command, Exec, ObjectName, Psql
from kintsugi.model.records import StepRecord
from kintsugi.runner.journal import command_of
from kubeobjects.resources import JOBS


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoredIn:
    """A restored database, in the server of this Job, or, without a Job, in the server that its queries name."""

    database: RestoredDatabase
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


def restore_of(step: StepRecord) -> RestoredDatabase | None:
    """Return the database that a change has restored, or may have, None when it was no restore."""
    command = command_of(step)
    return definition_of(command).restore(command) if command is not None else None


def as_owner(command: Command, restored: Restored) -> Command:
    """Turn a question to a restored database into its owner's, where it is; any other command stays as it is."""
    asked = question_of(command)
    if asked is None or (asked.database or asked.user) not in restored:
        return command
    where = restored[asked.database or asked.user]
    read = where.database
    about = replace(asked, database=read.database, user=read.owner, search_path=read.search_path)
    if where.job:
        return _in_job(about, where)
    return definition_of(command).asking(command, about)


def _where(restore: RestoredDatabase, step: StepRecord) -> RestoredIn:
    if not restore.on_own_server:
        return RestoredIn(database=restore)
    facts = step.facts
    return RestoredIn(database=restore, job=str(facts.get("job", "")), namespace=str(facts.get("namespace", "")))


def _in_job(asked: Psql, where: RestoredIn) -> Exec:
    """Ask through the `psql` beside the Job's server, by its socket: how the live one is reached does not matter there."""
    there = replace(asked, host="", port=0, sslmode="", rootcert="", passfile="")
    job = ObjectName(resource=JOBS, name=where.job)
    return Exec(object=job, namespace=where.namespace, container=where.database.container, argv=tuple(argv(there)))
