"""Drills: the time at which the last one passed, and the handled times of their schedules."""

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns, read_leniently, values
from kintsugi.ledger.tables import drills
from kintsugi.model.drills import DrillMemory

_DRILL = columns(DrillMemory, drills)


class DrillRepository(Repository):
    """The facts about drills that are kept longer than incidents."""

    async def memories(self) -> dict[str, DrillMemory]:
        """Return the facts about drills, by service."""

        return {known.service: known for known in await self._shown(DrillMemory, select(*_DRILL))}

    async def begin_schedule(self, service: str, schedule: str, now: datetime) -> None:
        """Start a schedule at `now`; one that has started already is left as it is."""

        async def work(connection: AsyncConnection) -> None:
            known = await _find(connection, service)
            if known is None:
                first = DrillMemory(service=service, schedule=schedule, slot=now)
                await connection.execute(insert(drills).values(values(first)))
            elif known.schedule != schedule or known.slot is None:
                changed = update(drills).where(drills.c.service == service)
                await connection.execute(changed.values(schedule=schedule, slot=now))

        await self._store.write("begin-schedule", work, fenced=True)


async def note_slot(connection: AsyncConnection, service: str, slot: datetime) -> None:
    """Note a moment of the schedule as handled, in the caller's transaction."""
    await connection.execute(update(drills).where(drills.c.service == service).values(slot=slot))


async def note_passed(connection: AsyncConnection, service: str, now: datetime) -> None:
    """Note that a drill has passed, in the caller's transaction."""
    if await _find(connection, service) is None:
        await connection.execute(insert(drills).values(values(DrillMemory(service=service, passed=now))))
    else:
        await connection.execute(update(drills).where(drills.c.service == service).values(passed=now))


async def _find(connection: AsyncConnection, service: str) -> DrillMemory | None:
    row = (await connection.execute(select(*_DRILL).where(drills.c.service == service))).one_or_none()
    return None if row is None else read_leniently(DrillMemory, row)
