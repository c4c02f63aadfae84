"""Dead letters: kept, listed for people, and resent."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded
from kintsugi.ledger.paging import is_before
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns, record
from kintsugi.ledger.tables import dead_letters
from kintsugi.ledger.unreadable_signals import put_dead_letters
from kintsugi.model.api_types import DeadLetterSummary
from kintsugi.model.records import DeadLetter

_SHOWN = tuple(dead_letters.c[name] for name in ("id", "source", "received", "reason", "excerpt"))


class DeadLetterRepository(Repository):
    """Dead letters: deliveries that could not be understood."""

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        """
        Keep dead letters, each in place of one with the same id.

        The newest 1,000 stay, so that a flood of them cannot fill the disk.
        """
        if letters:
            await self._store.write("keep-dead-letters", lambda connection: put_dead_letters(connection, letters))

    async def newest(self, limit: int = 50) -> tuple[DeadLetter, ...]:
        """Return the newest dead letters, newest first."""
        query = select(*columns(DeadLetter, dead_letters)).order_by(dead_letters.c.received.desc()).limit(limit)
        return await self._shown(DeadLetter, query)

    async def summaries(self, *, limit: int, before: str = "") -> Sequence[DeadLetterSummary]:
        """
        Return the newest dead letters without their payloads, newest first, of those before the one with the id `before`.

        Raises `NotRecorded` when there is no such letter.
        """
        order = (dead_letters.c.received, dead_letters.c.id)
        query = select(*_SHOWN, dead_letters.c.payload.is_not(None).label("resendable"))
        query = query.order_by(*(column.desc() for column in order)).limit(limit)

        async def work(connection: AsyncConnection) -> Sequence[DeadLetterSummary]:
            page = query
            if before:
                place = (await connection.execute(select(*order).where(dead_letters.c.id == before))).one_or_none()
                if place is None:
                    raise _not_there(before)
                page = query.where(is_before(order, place))
            return [record(DeadLetterSummary, row) for row in await connection.execute(page)]

        return await self._store.read(work)

    async def get(self, letter: str) -> DeadLetter:
        """Return a dead letter with its payload. Raises `NotRecorded` when there is no such letter."""
        query = select(*columns(DeadLetter, dead_letters)).where(dead_letters.c.id == letter)

        async def work(connection: AsyncConnection) -> DeadLetter:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise _not_there(letter)
            return record(DeadLetter, row)

        return await self._store.read(work)

    async def forget(self, letter: str) -> None:
        """Delete a dead letter that has been understood after all; one that is gone already is no error."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(dead_letters).where(dead_letters.c.id == letter))

        await self._store.write("forget-dead-letter", work)


def _not_there(letter: str) -> NotRecorded:
    return NotRecorded(f"there is no dead letter {letter}: `kintsugi dead-letters` lists the newest 1,000")
