"""
The facts for the gate before every effect: pauses, the spent budget, whether we still lead; and the locks of services.

A run holds the locks of its own service from its request on. The locks of another service that a step changes are taken before
the first change there, and released at the end of the child that took them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger.history import pauses_at, read_changed, read_changes, slot_namespaces
from kintsugi.ledger.rows import columns, read_leniently, read_strictly, values
from kintsugi.ledger.run_requests import DECISION_LOCK_ID
from kintsugi.ledger.runs import find_run, move_incident
from kintsugi.ledger.store import Repository
from kintsugi.ledger.tables import locks, runs
from kintsugi.ledger.texts import for_people
from kintsugi.model.change_limits import Disruptions, Lock
from kintsugi.model.history import MadeChange
from kintsugi.model.records import IncidentState, Pause, RunRecord

_LOCK = columns(Lock, locks)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentChanges:
    """The pauses in force, and the changes in a namespace since a moment; `changes` are the forward ones, one by one."""

    pauses: tuple[Pause, ...] = ()
    disruptions: Disruptions = field(default_factory=Disruptions)
    changes: tuple[MadeChange, ...] = ()


class AdmissionRepository(Repository):
    """Asked before every attempt of every effect."""

    async def constraints(
        self, namespace: str, since: datetime, now: datetime, *, changes: bool = False
    ) -> RecentChanges:
        """
        Return what may block a change in a namespace now; with `changes` also the forward changes there.

        Raises `StaleEpoch` when another daemon leads.
        """

        async def work(connection: AsyncConnection) -> RecentChanges:
            await self._store.check_epoch(connection)
            pauses = [read_leniently(Pause, row) for row in await connection.execute(pauses_at(now))]
            changed = await read_changed(connection, (namespace,), since)
            return RecentChanges(
                pauses=tuple(pauses),
                disruptions=changed[namespace],
                changes=await read_changes(connection, namespace, since) if changes else (),
            )

        return await self._store.read(work)

    async def disruptions(self, namespaces: Collection[str], since: datetime) -> Mapping[str, Disruptions]:
        """Return the changes in some namespaces since a moment."""
        return await self._store.read(lambda connection: read_changed(connection, namespaces, since))

    async def take_slot(
        self, run: str, refusal: Callable[[tuple[str, ...]], str], reason: str, now: datetime, *, deadline: datetime
    ) -> RunRecord | None:
        """
        Let a held run continue, with a new deadline; return None when `refusal` gives a reason against it.

        `refusal` gets the namespaces of the services that have a slot, one for each; no request changes them meanwhile. A run
        that is not held is returned as it is.
        """

        async def work(connection: AsyncConnection) -> RunRecord | None:
            await self._store.take_advisory_lock(connection, DECISION_LOCK_ID)
            before = await find_run(connection, run, lock=True)
            if before.state is not IncidentState.HELD:
                return before
            if refusal(await slot_namespaces(connection)):
                return None
            after = replace(before, state=IncidentState.RUNNING, reason=for_people(reason), deadline=deadline)
            await connection.execute(update(runs).where(runs.c.id == run).values(values(after)))
            await move_incident(connection, before.incident, after)
            return after

        return await self._store.write("take-slot", work, fenced=True)

    async def locks_of(self, run: str) -> tuple[Lock, ...]:
        """Return the locks that a run holds."""
        found = await self._select(select(*_LOCK).where(locks.c.run == run).order_by(locks.c.name))
        return tuple(read_strictly(Lock, row) for row in found)

    async def take_locks(self, run: str, path: str, names: Sequence[str], now: datetime) -> Lock | None:
        """
        Take some locks for the child of a run at a path ("" for the run itself): all of them or none.

        Return None when the run has them, else a lock that another run holds. Raises `WrongState` for a run that is over.
        """

        async def work(connection: AsyncConnection) -> Lock | None:
            await self._store.take_advisory_lock(connection, DECISION_LOCK_ID)
            row = (await connection.execute(select(runs.c.finished).where(runs.c.id == run))).one_or_none()
            if row is None:
                raise NotRecorded(f"there is no run {run}")
            if row.finished is not None:
                raise WrongState(f"run {run} is over: it takes no locks")
            found = await connection.execute(select(*_LOCK).where(locks.c.name.in_(names)).order_by(locks.c.name))
            held = [read_strictly(Lock, each) for each in found]
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
        """Release the locks that the child of a run at a path has taken."""
        held = delete(locks).where(locks.c.run == run, locks.c.path == path)
        await self._execute(f"release-locks {path}", held, fenced=True)
