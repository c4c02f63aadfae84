"""The base of the repositories: the store that they write to, and the reading of many rows."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Delete, Row, Select, UpdateBase, insert, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.rows import read_leniently, readable, unreadable
from kintsugi.ledger.store import Store
from kintsugi.model.records import DeadLetter, Signal, StepRecord

T = TypeVar("T")

_OF_STRANGERS = (DeadLetter, Signal, StepRecord)
"""Records that hold what strangers have written: so many rows may have as many MiB, and are decoded in a thread."""


def is_before(order: Sequence[Column[Any]], place: Sequence[object]) -> ColumnElement[bool]:
    """Compare rows with a position in their order, by all columns at once: both databases use an index on them for it."""
    values = [literal(value, type_=column.type) for column, value in zip(order, place, strict=True)]
    return tuple_(*order) < tuple_(*values)


class Repository:
    """One concern of the ledger; `Ledger` binds the repositories together."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def _select(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """Return the rows of a query as they are."""

        async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
            return rows

        return await self._store.read(work)

    async def _scalars(self, query: Select[Any]) -> tuple[Any, ...]:
        """Return the values of a query for one column."""
        return tuple(row[0] for row in await self._select(query))

    async def _execute(self, name: str, statement: UpdateBase, *, fenced: bool = False) -> int:
        """Execute one statement in a transaction of its own; return the number of changed rows. See `Store.write`."""

        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        return await self._store.write(name, work, fenced=fenced)

    async def _replace(
        self, name: str, old: Delete, new: Sequence[Mapping[str, object]], *, fenced: bool = False
    ) -> None:
        """Delete rows and insert others in their place, in one transaction. See `Store.write`."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(old)
            if new:
                await connection.execute(insert(old.table), new)

        await self._store.write(name, work, fenced=fenced)

    async def _rows(self, kind: type[object], query: Select[Any]) -> Sequence[Row[Any]]:
        """Run a query, and log each row that cannot be read whole, once."""

        async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
            result = await connection.execute(query)  # all that the database has said; what is left is to decode it
            return await asyncio.to_thread(result.all) if kind in _OF_STRANGERS else result.all()

        rows = await self._store.read(work)
        for row in rows:
            self._store.note(unreadable(kind, row))
        return rows

    async def _whole(self, kind: type[T], query: Select[Any]) -> tuple[T, ...]:
        """Return the records that can be read whole: only these are acted upon."""
        return readable(kind, await self._rows(kind, query))

    async def _shown(self, kind: type[T], query: Select[Any]) -> tuple[T, ...]:
        """Return every record as far as it can be read, to be shown, counted or closed."""
        return tuple(read_leniently(kind, row) for row in await self._rows(kind, query))
