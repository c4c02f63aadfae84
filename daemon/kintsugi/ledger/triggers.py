"""The trigger of an incident: a summary of its signals by a few index lookups, however many there are."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.repository import Repository
from kintsugi.ledger.tables import incidents
from kintsugi.ledger.tables import signals as inbox
from kintsugi.model.rules import RuleSource
from kintsugi.model.trigger import Trigger

_FIRST_PAGE = 8
_PAGE = 512
"""Keys that are read at a time: few at first, since one that is not silenced is mostly among them."""

_LASTING = tuple(kind for kind in RuleSource if kind is not RuleSource.EVENT)
"""The kinds that can end: Kubernetes Events are hints that never resolve (reliability B20)."""

_OTHERS = tuple(kind for kind in RuleSource if kind is not RuleSource.ALERT)


class TriggerRepository(Repository):
    """Questions about all signals of an incident, or of a sender that has fallen silent."""

    async def of_incident(self, incident: str) -> Trigger:
        """Return the summary of an incident's signals."""
        last = select(inbox.c.ended).where(inbox.c.incident == incident, inbox.c.ended.is_not(None), _NO_EVENT)
        query = select(
            _fires(incident, _LASTING).label("firing"),
            last.order_by(inbox.c.ended.desc()).limit(1).scalar_subquery().label("ended"),
            _fires(incident, (RuleSource.ALERT,)).label("alerts"),
            _fires(incident, _OTHERS).label("others"),
        )

        async def work(connection: AsyncConnection) -> Trigger:
            row = (await connection.execute(query)).one()
            alerts_only = bool(row.alerts) and not row.others
            return Trigger(firing=bool(row.firing), ended=row.ended, alerts_only=alerts_only)

        return await self._store.read(work)

    async def firing_keys(self, incident: str) -> AsyncIterator[str]:
        """Yield the keys of the incident's alerts that fire, some at a time: who has heard enough asks for no more."""
        query = select(inbox.c.id, inbox.c.key).where(inbox.c.incident == incident, inbox.c.ended.is_(None))
        query = query.where(inbox.c.kind == RuleSource.ALERT).order_by(inbox.c.id)

        async def page(after: str, size: int) -> Sequence[tuple[str, str]]:
            async def work(connection: AsyncConnection) -> Sequence[tuple[str, str]]:
                rows = await connection.execute(query.where(inbox.c.id > after).limit(size))
                return [(row.id, row.key) for row in rows]

            return await self._store.read(work)

        after, size = "", _FIRST_PAGE
        while rows := await page(after, size):
            for _, key in rows:
                yield key
            if len(rows) < size:
                return
            after, size = rows[-1][0], min(size * 8, _PAGE)

    async def end_stale(self, before: datetime, now: datetime, limit: int = 1000) -> int:
        """
        End alerts that were not repeated since `before`, at most `limit`; return their number.

        For a ledger without a poll. They end as stale, which is not resolved: the verdict says so. The alerts of an
        open incident are not ended, so that no run takes a sender's silence for its success.
        """
        going = exists().where(incidents.c.id == inbox.c.incident, incidents.c.closed.is_(None))
        silent = select(inbox.c.id).where(
            inbox.c.ended.is_(None),
            inbox.c.last_seen < before,
            inbox.c.kind == RuleSource.ALERT,
            inbox.c.judged.is_not(None),  # not `verdict`: the index of verdicts holds all that ever was
            or_(inbox.c.incident.is_(None), ~going),
        )
        text = f" (ended as stale: not repeated since {before:%Y-%m-%d %H:%M} UTC or earlier)"
        ended = {"ended": now, "horizon": now, "stale": now, "until": None, "text": inbox.c.text + text}

        async def read(connection: AsyncConnection) -> Sequence[str]:
            return list(await connection.scalars(silent.limit(limit)))

        found = await self._store.read(read)

        async def work(connection: AsyncConnection) -> int:
            still = update(inbox).where(inbox.c.id.in_(found), inbox.c.ended.is_(None), inbox.c.last_seen < before)
            return int((await connection.execute(still.values(ended))).rowcount)

        return await self._store.write("end-stale", work, fenced=True) if found else 0


_NO_EVENT = inbox.c.kind != RuleSource.EVENT


def _fires(incident: str, kinds: Sequence[RuleSource]) -> ColumnElement[bool]:
    return exists().where(inbox.c.incident == incident, inbox.c.ended.is_(None), inbox.c.kind.in_(kinds))
