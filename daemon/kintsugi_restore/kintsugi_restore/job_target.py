"""
Determines the outcome of a restore whose worker ended without a last line: the target database is asked.

A restore is one transaction under a hidden name, and its last act gives the database its own: a database of the wanted
name with tables in it is whole. While a worker is at work it holds an advisory lock on the server, wherever it runs.

Only PostgreSQL's own catalogue is queried, by names with their schema: nothing that was restored is called.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from kintsugi.actions import psql
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.actions.pods import ContainerExec, pods_of
from kintsugi.errors import KubeError, ProbeFailed, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName, Psql
from kintsugi_restore.commands import PgRestore
from kintsugi_restore.worker_results import LOCK_CLASS

_TIMEOUT = timedelta(seconds=15)

# Names were checked when the command was read; they are quoted all the same.
_AT_WORK = "SELECT count(*) AS at_work FROM pg_locks WHERE locktype = 'advisory' AND classid = {lock} AND granted"
_THERE = "SELECT count(*) AS there FROM pg_database WHERE datname = '{database}'"
_TABLES = """\
SELECT n.nspname || '.' || c.relname AS name, greatest(c.reltuples, 0)::int8 AS rows
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
ORDER BY 1 LIMIT 500"""
ESTIMATED = "the worker's last line was not seen; the database is whole, and its rows are the server's own estimate"


async def settle(
    kube: KubeClient, containers: ContainerExec, restore: PgRestore, lost: JobState, context: ChangeContext
) -> JobState:
    """
    Return whether the restore has happened, is still running, or has not happened; LOST when that cannot be found out.
    """
    try:
        return await _asked(kube, containers, restore, lost, context)
    except (KubeError, ProbeFailed, Refused) as error:
        return JobState(stage=JobStage.LOST, why=f"{lost.why}; the database cannot be asked: {error}", since=lost.since)


async def _asked(
    kube: KubeClient, containers: ContainerExec, restore: PgRestore, lost: JobState, context: ChangeContext
) -> JobState:
    workload = context.workload
    if workload is None:
        raise Refused(f"{context.service} has no workload that could be asked")
    asked = ObjectName(resource=workload.resource, name=workload.name)
    pods = await pods_of(kube, asked, context.namespace)
    first = Psql(statement=_AT_WORK.format(lock=LOCK_CLASS), user=restore.user, database="postgres")
    container = await psql.primary(containers, pods, (asked, ""), first, _TIMEOUT)

    async def ask(statement: str, restored: str = "") -> Mapping[str, object]:
        question = replace(first, statement=statement, database=restored or first.database, search_path="pg_catalog")
        return (await psql.inside(containers, container, question, _TIMEOUT)).names

    if (await ask(first.statement)).get("value") != 0:
        return JobState(stage=JobStage.RUNNING, why=f"{lost.why}; a worker still works in {restore.database}")
    there = (await ask(_THERE.format(database=restore.database))).get("value") != 0
    tables = (await ask(_TABLES, restore.database)).get("rows") if there else []
    if not isinstance(tables, list) or not tables:
        why = f"{lost.why}; nothing was restored into {restore.database}: the next restore takes over any leftover database"
        return JobState(stage=JobStage.FAILED, why=why)
    found = {"database": restore.database, "bytes": 0, "seconds": 0.0, "tables": tables}
    return JobState(stage=JobStage.DONE, names={**lost.names, "restored": found, "notes": [ESTIMATED]})
