"""Forgetting: what is closed and old goes, in bounded batches; nothing that is open or that a guard still counts."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Column, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.history import LAST_RUNS, RECENT
from kintsugi.ledger.tables import (
    approvals,
    catalogs,
    dead_letters,
    evidence,
    incidents,
    locks,
    notices,
    pauses,
    runs,
    signals,
    steps,
)

NEWEST_CATALOGS = 5
"""Catalogs kept without a run: each replica may have loaded another one during a rollout."""


class Retention(Chapter):
    """The one place where rows are deleted for their age."""

    async def prune(self, before: datetime, now: datetime, limit: int = 1000) -> int:
        """
        Delete what ended before `before`, at most `limit` incidents and `limit` signals; give how many rows of these.

        Kept whatever their age: open incidents and all that belongs to them, signals that fire or have no verdict,
        unsent notices, the last runs of each service and those of the last three hours (the guards count them), good
        revisions, and the documents of every run that is kept. Call again while it gives something.
        """
        old = min(before, now - RECENT)

        async def work(connection: AsyncConnection) -> int:
            gone = await _incidents(connection, old, limit)
            await _delete(connection, incidents.c.id, gone)
            stray = await _stray_signals(connection, old, limit)
            await _delete(connection, signals.c.id, stray)
            await connection.execute(delete(dead_letters).where(dead_letters.c.received < old))
            await connection.execute(delete(pauses).where(pauses.c.lifted < old))
            await connection.execute(delete(pauses).where(pauses.c.until < old))
            await _catalogs(connection)
            return len(gone) + len(stray)

        return await self._store.write("prune", work)


async def _incidents(connection: AsyncConnection, old: datetime, limit: int) -> Sequence[str]:
    """Clear the belongings of the incidents to delete, and give their ids."""
    age = func.row_number().over(
        partition_by=(runs.c.service, runs.c.kind), order_by=(runs.c.started.desc(), runs.c.id.desc())
    )
    ranked = select(runs.c.incident, age.label("age")).subquery()
    counted = select(ranked.c.incident).where(ranked.c.age <= LAST_RUNS)
    unsent = select(notices.c.incident).where(~notices.c.sent)
    firing = select(signals.c.incident).where(signals.c.incident.is_not(None), signals.c.ended.is_(None))
    query = select(incidents.c.id).where(
        incidents.c.closed < old,
        incidents.c.id.not_in(counted),
        incidents.c.id.not_in(unsent),
        incidents.c.id.not_in(firing),
    )
    gone = list(await connection.scalars(query.order_by(incidents.c.closed).limit(limit)))
    finished = list(await connection.scalars(select(runs.c.id).where(runs.c.incident.in_(gone)))) if gone else []
    for column in (steps.c.run, evidence.c.run, locks.c.run, runs.c.id):
        await _delete(connection, column, finished)
    for column in (approvals.c.incident, notices.c.incident, signals.c.incident):
        await _delete(connection, column, gone)
    return gone


async def _stray_signals(connection: AsyncConnection, old: datetime, limit: int) -> Sequence[str]:
    query = select(signals.c.id).where(
        signals.c.ended < old,
        signals.c.last_seen < old,
        signals.c.incident.is_(None),
        signals.c.verdict.is_not(None),
    )
    return list(await connection.scalars(query.order_by(signals.c.ended).limit(limit)))


async def _catalogs(connection: AsyncConnection) -> None:
    """Forget documents that no run keeps to, the newest digests excepted: a run may begin on them at any moment."""
    used = select(runs.c.catalog)
    newest = select(catalogs.c.digest).group_by(catalogs.c.digest)
    newest = newest.order_by(func.max(catalogs.c.number).desc()).limit(NEWEST_CATALOGS)
    unused = catalogs.c.digest.not_in(used) & catalogs.c.digest.not_in(newest.scalar_subquery())
    await connection.execute(delete(catalogs).where(unused))


async def _delete(connection: AsyncConnection, column: Column[str], keys: Sequence[str]) -> None:
    if keys:
        await connection.execute(delete(column.table).where(column.in_(keys)))
