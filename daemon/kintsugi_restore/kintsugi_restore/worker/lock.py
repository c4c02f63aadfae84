"""
The lock of a restore: an advisory lock on the server itself, so that one worker at a time restores a database.

The lock belongs to a session in the maintenance database and ends with it, so that a worker that was killed leaves none
behind. A query shows whether a restore is running: `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid =
1263095380`.
"""

import asyncio

import asyncpg

from kintsugi_restore.worker.log_writer import Reporter, WorkFailed
from kintsugi_restore.worker_results import LOCK_CLASS as CLASS
from kintsugi_restore.worker_results import WorkFailure, WorkPhase, WorkProgress

TIMEOUT = 10.0


def maintenance(database: str) -> str:
    """Name the database in whose sessions the work on another is done: that one must have no session itself."""
    return "template1" if database == "postgres" else "postgres"


async def lock(session: asyncpg.Connection, database: str, report: Reporter) -> None:
    """Take the lock of a database for as long as the session lives. Raises WorkFailed when another worker keeps it."""
    deadline = asyncio.get_running_loop().time() + TIMEOUT
    while not await session.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", CLASS, database):
        if asyncio.get_running_loop().time() > deadline:
            raise WorkFailed(WorkFailure.REFUSED, f"another restore into {database} is running{await _who(session)}")
        report(WorkProgress(phase=WorkPhase.WAITING, what=f"another restore into {database}"))
        await asyncio.sleep(0.5)


async def _who(session: asyncpg.Connection) -> str:
    """Return who holds a lock of ours, since when."""
    row = await session.fetchrow(
        "SELECT pid, host(client_addr) AS address, date_trunc('second', backend_start) AS since FROM pg_locks JOIN pg_stat_activity"
        " USING (pid) WHERE locktype = 'advisory' AND classid = $1::int8::oid AND granted ORDER BY backend_start LIMIT 1",
        CLASS,
    )
    if row is None:
        return ""
    return f", since {row['since'].isoformat()}, from {row['address'] or 'the machine itself'} (session {row['pid']})"
