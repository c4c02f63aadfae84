"""Drops the scratch database of a drill, and no other: both its name and its comment must mark it as one."""

import asyncpg

from kintsugi.model.worker_log import Note
from kintsugi.model.worker_results import DRILL, Dropped, WorkFailure, owner_of
from kintsugi_restore.worker import roles
from kintsugi_restore.worker.lock import lock, maintenance
from kintsugi_restore.worker.log_writer import Reporter, WorkFailed
from kintsugi_restore.worker.options import DropOptions
from kintsugi_restore.worker.server import DatabaseServer, emptied, identifier
from kintsugi_restore.worker.target import OwnershipComment, hidden


async def drop(options: DropOptions, report: Reporter) -> Dropped:
    """Drop the database and the roles that were made for it. One that is gone already is as good."""
    if not options.database.startswith(DRILL):
        raise _no_scratch(options.database, f"its name does not begin with {DRILL}")
    server = DatabaseServer(options.server)
    async with server.session(maintenance(options.database)) as session:
        await lock(session, options.database, report)
        for name in (options.database, hidden(options.database)):
            await _drop(session, options.database, name, report)
    return Dropped(database=options.database)


async def _drop(session: asyncpg.Connection, database: str, name: str, report: Reporter) -> None:
    row = await session.fetchrow(
        "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1", name
    )
    if row is None:
        return
    mark = OwnershipComment.read(row["comment"])
    if mark is None or mark.drill is None:
        raise _no_scratch(name, "its comment does not name a drill")
    await emptied(session, name)
    await session.execute(f"DROP DATABASE {identifier(name)}")
    if kept := await roles.drop(session, tuple(dict.fromkeys((*mark.roles, owner_of(database)))), database):
        report(Note(text=f"roles that were made for the drill are used elsewhere by now and stay: {', '.join(kept)}"))


def _no_scratch(name: str, why: str) -> WorkFailed:
    return WorkFailed(WorkFailure.REFUSED, f"{name} is not the scratch database of a drill, and is not dropped: {why}")
