"""Pauses: the objects that people protect from changes, each until a time; and the rests that people have ended."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, case, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded
from kintsugi.ledger.history import pauses_at
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns, read_leniently, values
from kintsugi.ledger.signals import evaluate_anew
from kintsugi.ledger.tables import pauses
from kintsugi.model.records import Pause


class PauseRepository(Repository):
    """Pauses. Any replica may write them: a pause needs no leader."""

    async def pause(self, pause: Pause) -> None:
        """Begin a pause; the same id twice is the same pause."""

        async def work(connection: AsyncConnection) -> None:
            if await connection.scalar(select(pauses.c.id).where(pauses.c.id == pause.id)) is None:
                await connection.execute(insert(pauses).values(values(pause)))

        await self._store.write("pause", work)

    async def resume(self, pause: str, who: str, why: str, now: datetime) -> Pause:
        """Lift a pause and return it; lifting it again changes nothing. Raises `NotRecorded`."""

        async def work(connection: AsyncConnection) -> Pause:
            row = (await connection.execute(select(*columns(Pause, pauses)).where(pauses.c.id == pause))).one_or_none()
            if row is None:
                raise NotRecorded(f"there is no pause {pause}")
            lift = update(pauses).where(pauses.c.id == pause, pauses.c.lifted.is_(None))
            await connection.execute(lift.values(lifted=now, lifted_by=who, lifted_why=why))
            return read_leniently(Pause, row)

        return await self._store.write("resume", work)

    async def end_rest(self, ended: Pause, rules: Collection[str]) -> None:
        """
        Keep who ended the rest after a hand-over, when and why, and make the signals due that `rules` refused meanwhile (P9).

        It is a pause with the incident's id that was lifted as it began: it holds nothing back.
        Of two of one incident the later one stays.
        """
        lifted = {"lifted": ended.since, "lifted_by": ended.who, "lifted_why": ended.why}

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(pauses).where(pauses.c.id == ended.id))
            await connection.execute(insert(pauses).values({**values(ended), **lifted}))
            await evaluate_anew(connection, ended.id, rules, ended.since)

        await self._store.write("end-rest", work, fenced=True)

    async def ended_rest(self, incident: str) -> Pause | None:
        """Return by whom and when the rest after an incident's hand-over was ended, None where nobody has."""
        found = await self._shown(Pause, select(*columns(Pause, pauses)).where(pauses.c.id == incident))
        return next(iter(found), None)

    async def in_force(self, now: datetime) -> tuple[Pause, ...]:
        """Return the pauses in force at `now`, oldest first. One whose subject cannot be read applies to everything."""
        return await self._shown(Pause, pauses_at(now))

    async def since(self, moment: datetime, now: datetime) -> tuple[Pause, ...]:
        """
        Return the pauses that held at any time from `moment` to `now`, oldest first.

        `until` is when each has really ended: when it was lifted, if that came first; None for one without an end.
        """
        held = and_(
            pauses.c.since <= now,
            or_(pauses.c.lifted.is_(None), pauses.c.lifted > moment),
            or_(pauses.c.until.is_(None), pauses.c.until > moment),
        )
        early = and_(pauses.c.lifted.is_not(None), or_(pauses.c.until.is_(None), pauses.c.lifted < pauses.c.until))
        first = case((early, pauses.c.lifted), else_=pauses.c.until)
        others = [column for column in columns(Pause, pauses) if column is not pauses.c.until]
        query = select(*others, first.label("until")).where(held).order_by(pauses.c.since, pauses.c.id)
        return await self._shown(Pause, query)
