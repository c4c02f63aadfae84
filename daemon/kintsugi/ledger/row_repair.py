"""
Closes unreadable rows that nothing else would ever close, when the daemon starts and every hour.

All other readers skip such a row, or read it as far as they can: see `rows`. An unreadable run is closed when it is resumed, a
signal when it is evaluated.
"""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns, unreadable
from kintsugi.ledger.tables import conditions, incidents
from kintsugi.ledger.unreadable_signals import close_without_run
from kintsugi.model.records import Incident, PendingMatch

_INCIDENT = columns(Incident, incidents)


class RowRepair(Repository):
    """Closes or deletes open rows that cannot be read."""

    async def repair_rows(self, now: datetime) -> None:
        """
        Hand unreadable open incidents without a run to a person; delete unreadable conditions.

        Such a condition is found again where it holds. Raises `StaleEpoch` when another daemon has taken the lead.
        """
        opened = await self._rows(Incident, select(*_INCIDENT).where(incidents.c.closed.is_(None)))
        held = await self._rows(PendingMatch, select(conditions))
        lost = {row.id: error for row in opened if (error := unreadable(Incident, row)) is not None}
        forgotten = [(row.rule, row.uid) for row in held if unreadable(PendingMatch, row) is not None]

        async def work(connection: AsyncConnection) -> None:
            for incident, error in lost.items():
                await close_without_run(connection, incident, str(error), now)
            for rule, uid in forgotten:
                await connection.execute(delete(conditions).where(conditions.c.rule == rule, conditions.c.uid == uid))

        if lost or forgotten:
            await self._store.write("mend", work, fenced=True)
