"""Signals as people look through them: the newest of all, of one verdict, or of one reason, a page at a time."""

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded
from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.paging import is_before
from kintsugi.ledger.rows import signal, verdict
from kintsugi.ledger.tables import signals
from kintsugi.model.answers import JudgedSignal, SignalWish

_ORDER = (signals.c.received, signals.c.id)


class SignalPages(Chapter):
    """What came in, and what became of it."""

    async def list_signals(self, wish: SignalWish) -> Sequence[JudgedSignal]:
        """
        Return a page of signals with their verdicts, newest first. An index answers each filter, and only the page is read.

        Raises `NotRecorded` when there is no signal `before`.
        """

        async def work(connection: AsyncConnection) -> Sequence[JudgedSignal]:
            query = page_of(wish)
            if wish.before:
                place = (await connection.execute(select(*_ORDER).where(signals.c.id == wish.before))).one_or_none()
                if place is None:
                    raise NotRecorded(f"there is no signal {wish.before}")
                query = query.where(is_before(_ORDER, place))
            return [
                JudgedSignal(
                    signal=signal(row), verdict=verdict(row), refired=row.refired, continues=row.continues or ""
                )
                for row in await connection.execute(query)
            ]

        return await self._store.look(work)


def page_of(wish: SignalWish) -> Select[tuple[object, ...]]:
    """Make the question for the first page of a wish."""
    query = select(signals).order_by(*(column.desc() for column in _ORDER)).limit(wish.limit)
    if wish.verdict is not None:
        query = query.where(signals.c.verdict == wish.verdict)
    if wish.reason is not None:
        query = query.where(signals.c.reason == wish.reason)
    return query
