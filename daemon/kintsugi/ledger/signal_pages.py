"""Pages of signals for people: the newest of all, of one verdict, or of one reason."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded
from kintsugi.ledger.paging import is_before
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import signal, verdict
from kintsugi.ledger.tables import signals
from kintsugi.model.api_types import EvaluatedSignal, SignalQuery

_ORDER = (signals.c.received, signals.c.id)


class SignalPageRepository(Repository):
    """Signals with their verdicts, by pages."""

    async def list_signals(self, request: SignalQuery) -> Sequence[EvaluatedSignal]:
        """
        Return a page of signals with their verdicts, newest first. An index answers each filter, and only the page is read.

        Raises `NotRecorded` when there is no signal `before`.
        """

        async def work(connection: AsyncConnection) -> Sequence[EvaluatedSignal]:
            query = first_page_query(request)
            if request.before:
                place = (await connection.execute(select(*_ORDER).where(signals.c.id == request.before))).one_or_none()
                if place is None:
                    raise NotRecorded(f"there is no signal {request.before}")
                query = query.where(is_before(_ORDER, place))
            found = await connection.execute(query)
            return await asyncio.to_thread(lambda: [_evaluated(row) for row in found])

        return await self._store.read(work)


def _evaluated(row: Row[Any]) -> EvaluatedSignal:
    return EvaluatedSignal(signal=signal(row), verdict=verdict(row), refired=row.refired, continues=row.continues or "")


def first_page_query(request: SignalQuery) -> Select[tuple[object, ...]]:
    """Make the question for the first page of a wish."""
    query = select(signals).order_by(*(column.desc() for column in _ORDER)).limit(request.limit)
    if request.verdict is not None:
        query = query.where(signals.c.verdict == request.verdict)
    if request.reason is not None:
        query = query.where(signals.c.reason == request.reason)
    return query
