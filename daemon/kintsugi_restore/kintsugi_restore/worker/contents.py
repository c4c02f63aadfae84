"""The contents of a database: whether it is empty, and the number of rows of its tables."""

import asyncio
from collections.abc import Sequence

import asyncpg

from kintsugi.model.restores import Table
from kintsugi_restore.worker.log_writer import Reporter
from kintsugi_restore.worker_log import Note
from kintsugi_restore.worker_results import WorkPhase, WorkProgress

# How long counting may take in all, seconds: on a busy disk some 100 MB/s are read, so 30 GB are counted exactly.
COUNTING = 300.0
# How long a server that was to stop by itself may take to say so; seconds.
_ANSWER = 30.0

# What somebody made: nothing that the server brings, nothing that belongs to an extension.
_MADE = """
WITH made AS (
    SELECT c.oid, 'pg_class'::regclass AS kind, c.relnamespace AS schema, c.relname AS name FROM pg_class c
        WHERE c.relkind IN ('r', 'p', 'm', 'v', 'S', 'f')
    UNION ALL SELECT oid, 'pg_proc'::regclass, pronamespace, proname FROM pg_proc
    UNION ALL SELECT oid, 'pg_type'::regclass, typnamespace, typname FROM pg_type WHERE typtype IN ('e', 'd')
)
SELECT quote_ident(n.nspname) || '.' || quote_ident(made.name) AS name
FROM made JOIN pg_namespace n ON n.oid = made.schema
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = made.kind AND d.objid = made.oid AND d.deptype = 'e')
UNION ALL SELECT 'large object ' || oid FROM pg_largeobject_metadata
ORDER BY 1 LIMIT 4
"""

_TABLES = """
SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
    (SELECT coalesce(sum(s.n_live_tup), 0)::int8 FROM pg_stat_all_tables s
        WHERE s.relid IN (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid))) AS inserted
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relpages, name
"""


async def made_by_people(session: asyncpg.Connection) -> tuple[str, ...]:
    """Name a few of the things that somebody made in this database, in whatever schema; none means that it is empty."""
    return tuple(row["name"] for row in await session.fetch(_MADE))


async def count(session: asyncpg.Connection, report: Reporter, *, within: float = COUNTING) -> tuple[Table, ...]:
    """
    Count the rows of every table, a partitioned one with its parts; sorted by name.

    Small tables come first. When the time is over the rest is given as the server counted it while the rows came in,
    which is exact for a database that was just restored, and a note says for which.
    """
    deadline = asyncio.get_running_loop().time() + within
    counted: list[Table] = []
    believed: list[str] = []
    for row in await session.fetch(_TABLES):
        name, left = row["name"], deadline - asyncio.get_running_loop().time()
        report(WorkProgress(phase=WorkPhase.COUNTING, what=name))
        rows = await _counted(session, name, left)
        if rows is None:
            believed.append(name)
        counted.append(Table(name=name, rows=row["inserted"] if rows is None else rows))
    if believed:
        report(Note(text=_not_counted(believed, within)))
    return tuple(sorted(counted, key=lambda table: table.name))


async def analyse(session: asyncpg.Connection, report: Reporter, *, within: float = COUNTING) -> None:
    """Collect the planner's statistics: a database without them answers, but slowly, just when traffic comes back."""
    report(WorkProgress(phase=WorkPhase.COUNTING, what="statistics for the planner"))
    try:
        await session.execute(f"SET statement_timeout = {int(within * 1000)}")
        await session.execute("ANALYZE", timeout=within + _ANSWER)
    except asyncpg.QueryCanceledError:
        report(Note(text=f"ANALYZE was stopped after {within:g} s: queries may be slow until autovacuum has done it"))


async def _counted(session: asyncpg.Connection, name: str, left: float) -> int | None:
    if left <= 0:
        return None
    try:
        await session.execute(f"SET statement_timeout = {max(1, int(left * 1000))}")
        statement = f"SELECT count(*) FROM {name}"  # noqa: S608  quoted by the server
        return int(await session.fetchval(statement, timeout=left + _ANSWER))
    except asyncpg.QueryCanceledError:
        return None


def _not_counted(names: Sequence[str], within: float) -> str:
    return f"counting was stopped after {within:g} s: the rows of {', '.join(names)} are as the server counted them"
