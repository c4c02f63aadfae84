"""
The rules of a restore: once it has touched anything it does not stop half-way at the end of the trigger, it is never closed by
itself before its end, and only a person may have it undone.

Restored data are read as their owner, with a fixed search path. A backup contains views, functions and search paths, which anyone
with write access to the backups may have written. A query runs their code with its own rights, and a superuser's can run commands
on the server's machine, in a read-only transaction, too. So every `psql` of the run that names the restored database connects as
its owner; where the database was restored into a server of its own, it connects there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kintsugi.commands import argv, decode
from kintsugi.commands.registry import definition_of
from kintsugi.decisions.drills import question_of
from kintsugi.decisions.planner import stoppable_workloads
from kintsugi.model.catalog import Catalog
from kintsugi.model.command import Command, Exec, ObjectName, PgRestore, Psql
from kintsugi.model.records import Phase, StepRecord
from kintsugi.model.runbooks import InOrder, Parallel, Runbook, RunRunbook, Step
from kintsugi.model.services import Service
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.model.worker_results import SEARCH_PATH, SERVER, owner_of
from kintsugi.runner.journal import Journal
from kubeobjects.resources import JOBS


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreScope:
    """A runbook that restores a database: its path in the run (the run itself for the run's own), and what it may stop."""

    path: StepPath
    stoppable_workloads: frozenset[str]

    @classmethod
    def of(
        cls, runbook: Runbook, service: Service | None, parameters: Mapping[str, object], path: StepPath
    ) -> "RestoreScope | None":
        """Return the scope of a runbook that begins at a path, None where it restores nothing."""
        if service is None or not runbook.restores:
            return None
        return cls(path=path, stoppable_workloads=stoppable_workloads(runbook, service, parameters))


def has_touched(journal: Journal, path: StepPath) -> bool:
    """Return whether a restore at a path has touched anything that was there before."""
    return any(
        step.step_path.is_below(path)
        and step.command is not None
        and step.facts.get("already") is not True
        and definition_of(decode(step.command)).completes_restore
        for step in journal.changes(Phase.FORWARD)
    )


def unfinished(runbook: Runbook, catalog: Catalog, journal: Journal) -> bool:
    """Return whether a run whose steps are over has touched anything for a restore that did not come to its end."""
    last = RUN.down(runbook.steps[-1].id)
    own = [RUN] if runbook.restores and journal.ended(Phase.FORWARD, last) is None else []
    return any(has_touched(journal, path) for path in (*own, *_broken_off(runbook, catalog, journal)))


def restores_below(
    steps: Sequence[Step], catalog: Catalog, above: StepPath = RUN
) -> Iterator[tuple[StepPath, Runbook]]:
    """List the paths of the steps that run a restore, in other runbooks too, each with its runbook."""
    for step in steps:
        path = above.down(step.id)
        if isinstance(step.do, InOrder | Parallel):
            yield from restores_below(step.do.steps, catalog, path)
        if isinstance(step.do, RunRunbook):
            child = catalog.runbooks[step.do.runbook]
            if child.restores:
                yield path, child
            else:
                yield from restores_below(child.steps, catalog, path)


def _broken_off(runbook: Runbook, catalog: Catalog, journal: Journal) -> Iterator[StepPath]:
    for path, _ in restores_below(runbook.steps, catalog):
        ended = journal.ended(Phase.FORWARD, path)
        if ended is None or ended.met is not True:
            yield path


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
