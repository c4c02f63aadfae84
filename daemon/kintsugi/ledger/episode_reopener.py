"""
Reopens episodes that fired after their end: provisional at first, then a signal of its own that is evaluated like any other.

`inbox.py` notes the firing with its delivery, and clears the note when the alert resolves after all; `episodes.py` decides.
This module checks periodically which notes have waited long enough.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Insert, bindparam, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger import episodes
from kintsugi.ledger.episodes import Episode
from kintsugi.ledger.inbox import DELIVERY_LOCK_ID, known_episodes
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.tables import signals
from kintsugi.model.identity import new_id
from kintsugi.model.records import SignalSource

_SAME = ("kind", "key", "rule", "labels", "annotations", "target")
"""
The columns that a signal takes from the one that it continues. The database copies them, so that they may be
unreadable.
"""

_FORGET = update(signals).where(signals.c.id.in_(bindparam("ids", expanding=True))).values(refired=None)


class EpisodeReopener(Repository):
    """Alerts that fire again with the beginning that they had."""

    async def reopen(self, now: datetime, after: timedelta, limit: int = 500) -> int:
        """
        Reopen episodes that fired again `after` ago or longer and have not resolved since; return the number of signals.

        At most `limit` are checked, the longest waiting first. Raises `StaleEpoch` when another daemon has taken the lead.
        """
        due = select(signals.c.key, signals.c.refired).where(signals.c.refired <= now - after)
        due = due.order_by(signals.c.refired).limit(limit)

        async def read(connection: AsyncConnection) -> bool:
            return (await connection.execute(due)).first() is not None

        async def work(connection: AsyncConnection) -> int:
            await self._store.take_advisory_lock(connection, DELIVERY_LOCK_ID)
            waited = {row.key: row.refired for row in reversed((await connection.execute(due)).all())}
            if not waited:
                return 0
            known = await known_episodes(connection, list(waited), min(waited.values()))
            left = [(timeline, _continued(timeline, now - after, now)) for timeline in known.values()]
            return await _write(connection, left, now)

        return await self._store.write("reopen", work, fenced=True) if await self._store.read(read) else 0


def _continued(timeline: Sequence[Episode], before: datetime, now: datetime) -> Sequence[Episode]:
    return episodes.continued(timeline, before, new_id("sig", now))


async def _write(
    connection: AsyncConnection, timelines: Sequence[tuple[Sequence[Episode], Sequence[Episode]]], now: datetime
) -> int:
    """Write the changed timelines: delete the notes, then insert the new signals."""
    noted = [each.id for before, after in timelines if after is not before for each in before if each.refired]
    await connection.execute(_FORGET, {"ids": noted})
    opened = [after[-1] for before, after in timelines if len(after) > len(before)]
    for episode in opened:
        await connection.execute(_copy(episode, now))
    return len(opened)


def _copy(episode: Episode, now: datetime) -> Insert:
    """Insert the signal of an episode that continues another: from a webhook, opened now, not evaluated yet."""
    own = {
        "id": episode.id,
        "source": SignalSource.ALERTMANAGER,
        "continues": episode.continues,
        "began": episode.began,
        "received": now,
        "last_seen": now,
    }
    values = [literal(value, type_=signals.c[name].type) for name, value in own.items()]
    ended = select(*(signals.c[name] for name in _SAME), *values).where(signals.c.id == episode.continues)
    return insert(signals).from_select([*_SAME, *own], ended)
