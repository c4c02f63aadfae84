"""
What the gate before every effect asks of the ledger: pauses, what is spent, whether we lead still; and locks of services.

A run holds the locks of its own service from its claim on. Those of another service that a step changes are taken before
the first change there, and given back when the child that took them is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.claims import TURN
from kintsugi.ledger.history import pauses_at, read_disruptions
from kintsugi.ledger.leading import check_epoch
from kintsugi.ledger.rows import columns, record, shown
from kintsugi.ledger.tables import locks, runs
from kintsugi.model.bounds import Lock
from kintsugi.model.records import Pause

_LOCK = columns(Lock, locks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stops:
    """The pauses that hold now, and the moments of the changes in one namespace since the asked moment."""

    pauses: tuple[Pause, ...] = ()
    disruptions: tuple[datetime, ...] = ()


class Admissions(Chapter):
    """Asked before every attempt of every effect."""

    async def stops(self, namespace: str, since: datetime, now: datetime) -> Stops:
        """Return what may stop a change in a namespace now. Raises `StaleEpoch` when another daemon leads."""

        async def work(connection: AsyncConnection) -> Stops:
            await check_epoch(connection, self._store.epoch)
            pauses = [shown(Pause, row) for row in await connection.execute(pauses_at(now))]
            return Stops(pauses=tuple(pauses), disruptions=await read_disruptions(connection, namespace, since))

        return await self._store.look(work)

    async def locks_of(self, run: str) -> tuple[Lock, ...]:
        """Return the locks that a run holds."""

        async def work(connection: AsyncConnection) -> tuple[Lock, ...]:
            rows = await connection.execute(select(*_LOCK).where(locks.c.run == run).order_by(locks.c.name))
            return tuple(record(Lock, row) for row in rows)

        return await self._store.look(work)

    async def take_locks(self, run: str, path: str, names: Sequence[str], now: datetime) -> Lock | None:
        """
        Take all of some locks for the child of a run at a path ("" for the run itself), or none of them.

        Return None when the run has them, else one that another run holds. Raises `WrongState` for a run that is over.
        """

        async def work(connection: AsyncConnection) -> Lock | None:
            await self._store.take_turns(connection, TURN)
            row = (await connection.execute(select(runs.c.finished).where(runs.c.id == run))).one_or_none()
            if row is None:
                raise NotRecorded(f"there is no run {run}")
            if row.finished is not None:
                raise WrongState(f"run {run} is over: it takes no locks")
            found = await connection.execute(select(*_LOCK).where(locks.c.name.in_(names)).order_by(locks.c.name))
            held = [record(Lock, each) for each in found]
            foreign = next((lock for lock in held if lock.run != run), None)
            if foreign is not None:
                return foreign
            known = {lock.name for lock in held}
            new = [{"name": name, "run": run, "path": path, "since": now} for name in names if name not in known]
            if new:
                await connection.execute(insert(locks), new)
            return None

        return await self._store.write(f"take-locks {path}", work, fenced=True)

    async def release_locks(self, run: str, path: str) -> None:
        """Give back the locks that the child of a run at a path has taken."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(locks).where(locks.c.run == run, locks.c.path == path))

        await self._store.write(f"release-locks {path}", work, fenced=True)
