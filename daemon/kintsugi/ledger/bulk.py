"""
Statements for many rows at once, past SQLAlchemy's conversion of every single value.

That conversion is most of the cost of a batch of alerts (measured: 3 of 5 ms a hundred). The statement is still
written and compiled by SQLAlchemy for the database at hand; only the values come in the database's own form already.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from sqlalchemy import Dialect, Insert, Update
from sqlalchemy.ext.asyncio import AsyncConnection


def moments(dialect: Dialect) -> Callable[[datetime | None], object]:
    """Return the function that converts a time into the form of `columns.Moment`."""
    return _as_it_is if dialect.name == "postgresql" else _as_text


class Bulk:
    """One statement, compiled once for each database. Rows are tuples in the order of `names`."""

    def __init__(self, statement: Insert | Update, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = tuple(names)
        self._compiled = lru_cache(maxsize=4)(self._compile)

    async def run(self, connection: AsyncConnection, rows: Sequence[tuple[object, ...]]) -> None:
        """Execute the statement for every row, in one call to the driver."""
        sql, order = self._compiled(connection.dialect)
        if order is not None:
            rows = [tuple(row[place] for place in order) for row in rows]
        await connection.exec_driver_sql(sql, rows)

    def _compile(self, dialect: Dialect) -> tuple[str, tuple[int, ...] | None]:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._names)
        wanted = compiled.positiontup or []
        order = tuple(self._names.index(name) for name in wanted)
        return str(compiled), None if order == tuple(range(len(self._names))) else order


def _as_it_is(moment: datetime | None) -> object:
    return moment


@lru_cache(maxsize=1024)  # the alerts of one batch share most of their times
def _as_text(moment: datetime | None) -> object:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
