"""What the parts of the ledger have in common: the store that they write to, and how they read many rows."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.rows import readable, shown, unreadable
from kintsugi.ledger.store import Store

T = TypeVar("T")


class Chapter:
    """One concern of the ledger; `Ledger` binds the chapters together."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def _rows(self, kind: type[object], query: Select[Any]) -> Sequence[Row[Any]]:
        """Run a query, and log each row that cannot be read whole, once."""

        async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
            return rows

        rows = await self._store.look(work)
        for row in rows:
            self._store.note(unreadable(kind, row))
        return rows

    async def _whole(self, kind: type[T], query: Select[Any]) -> tuple[T, ...]:
        """Return the records that can be read whole: what is acted upon."""
        return readable(kind, await self._rows(kind, query))

    async def _shown(self, kind: type[T], query: Select[Any]) -> tuple[T, ...]:
        """Return every record as far as it can be read: what is shown, counted or closed."""
        return tuple(shown(kind, row) for row in await self._rows(kind, query))
