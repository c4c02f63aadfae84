"""
Rows that cannot be read and that nothing else would ever close, put right when the daemon starts and every hour.

Everything else that reads such a row leaves it out, or reads it as far as it can: see `rows`. A run is closed by whoever
takes it up, a signal by whoever judges it.
"""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.rows import columns, unreadable
from kintsugi.ledger.strays import close_without_run
from kintsugi.ledger.tables import conditions, incidents
from kintsugi.model.records import Condition, Incident

_INCIDENT = columns(Incident, incidents)


class Mending(Chapter):
    """Closes and forgets what is open and cannot be read."""

    async def mend(self, now: datetime) -> None:
        """
        Hand open incidents that cannot be read and have no run to a person; forget conditions that cannot be read.

        Such a condition is found anew where it holds. Raises `StaleEpoch` when another daemon has taken the lead.
        """
        opened = await self._rows(Incident, select(*_INCIDENT).where(incidents.c.closed.is_(None)))
        held = await self._rows(Condition, select(conditions))
        lost = {row.id: error for row in opened if (error := unreadable(Incident, row)) is not None}
        forgotten = [(row.rule, row.uid) for row in held if unreadable(Condition, row) is not None]

        async def work(connection: AsyncConnection) -> None:
            for incident, error in lost.items():
                await close_without_run(connection, incident, str(error), now)
            for rule, uid in forgotten:
                await connection.execute(delete(conditions).where(conditions.c.rule == rule, conditions.c.uid == uid))

        if lost or forgotten:
            await self._store.write("mend", work, fenced=True)
