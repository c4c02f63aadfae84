"""Pending matches: watched conditions that hold; `for` counts from their first match, across restarts."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns
from kintsugi.ledger.tables import conditions
from kintsugi.model.records import PendingMatch

_CHUNK = 500


class PendingMatchRepository(Repository):
    """One row a rule and object, while the condition holds."""

    async def conditions(self) -> tuple[PendingMatch, ...]:
        """Return all conditions that held when last seen, oldest first."""
        query = select(*columns(PendingMatch, conditions)).order_by(
            conditions.c.since, conditions.c.rule, conditions.c.uid
        )

        return await self._whole(PendingMatch, query)

    async def save_conditions(self, began: Sequence[PendingMatch], ended: Sequence[tuple[str, str]]) -> None:
        """
        Keep the conditions of `began`, instead of what was kept of them, and forget those of `ended`: (rule, uid).

        Raises `StaleEpoch` when another daemon has taken the lead.
        """
        kept = {(condition.rule, condition.target.uid): condition for condition in began}
        rows = [
            {"rule": rule, "uid": uid, "target": each.target, "since": each.since, "signalled": each.signalled}
            for (rule, uid), each in kept.items()
        ]
        forgotten = [*ended, *kept]
        key = tuple_(conditions.c.rule, conditions.c.uid)

        async def work(connection: AsyncConnection) -> None:
            for start in range(0, len(forgotten), _CHUNK):
                await connection.execute(delete(conditions).where(key.in_(forgotten[start : start + _CHUNK])))
            if rows:
                await connection.execute(insert(conditions), rows)

        if forgotten:
            await self._store.write("save-conditions", work, fenced=True)
