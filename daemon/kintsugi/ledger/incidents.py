"""Incidents: read by people, and moved where no run moves them."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.outbox import tell, tell_once
from kintsugi.ledger.rows import columns, record, shown
from kintsugi.ledger.tables import incidents, runs
from kintsugi.ledger.texts import clean
from kintsugi.model.records import Incident, IncidentState, RunRecord

_INCIDENT = columns(Incident, incidents)


class Incidents(Chapter):
    """Everything about one service's trouble, until closed."""

    async def incidents(self, *, limit: int = 50, service: str = "", open_only: bool = False) -> tuple[Incident, ...]:
        """Give incidents, newest first."""
        query = select(*_INCIDENT)
        if service:
            query = query.where(incidents.c.service == service)
        if open_only:
            query = query.where(incidents.c.closed.is_(None))
        query = query.order_by(incidents.c.opened.desc(), incidents.c.id.desc()).limit(limit)

        return await self._shown(Incident, query)

    async def incident(self, incident: str, *, strict: bool = True) -> Incident:
        """
        Give one incident; raises `NotRecorded`.

        `strict`: raises `UnreadableRow` where any of it cannot be read; else the rest is given.
        """
        return await self._store.look(lambda connection: find_incident(connection, incident, strict=strict))

    async def move_incident(
        self, incident: str, state: IncidentState, reason: str, now: datetime, *, told: bool = False
    ) -> Incident:
        """
        Move an incident that has no unfinished run (held, awaiting approval), for instance when its upstream healed it.

        `told`: a person hears of it although nobody is told of that state as a rule. Raises `WrongState` while a run is going on (then `move_run` is right) and when the incident is closed.
        """

        async def work(connection: AsyncConnection) -> Incident:
            before = await find_incident(connection, incident)
            if before.state is state and before.reason == clean(reason):
                return before
            going = select(runs.c.id).where(runs.c.incident == incident, runs.c.finished.is_(None))
            if before.closed is not None or (await connection.execute(going)).first() is not None:
                raise WrongState(f"incident {incident} is {before.state}: it cannot become {state} by itself")
            after = replace(before, state=state, reason=clean(reason), closed=now if state.is_final else None)
            moved = update(incidents).where(incidents.c.id == incident)
            await connection.execute(moved.values(state=after.state, reason=after.reason, closed=after.closed))
            if told:
                await tell_once(connection, incident, state, reason, now)
            elif before.state is not state:
                await tell(connection, incident, state, reason, now)
            return after

        return await self._store.write("move-incident", work, fenced=True)


async def find_incident(connection: AsyncConnection, incident: str, *, strict: bool = False) -> Incident:
    """Read an incident as far as it can be; raises `NotRecorded`, and `UnreadableRow` where that must be all of it."""
    row = (await connection.execute(select(*_INCIDENT).where(incidents.c.id == incident))).one_or_none()
    if row is None:
        raise NotRecorded(f"there is no incident {incident}")
    return record(Incident, row) if strict else shown(Incident, row)


async def last_run(connection: AsyncConnection, incident: str) -> RunRecord | None:
    """Read an incident's newest run as far as it can be, None when it has none."""
    query = select(*columns(RunRecord, runs)).where(runs.c.incident == incident)
    row = (await connection.execute(query.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(1))).one_or_none()
    return None if row is None else shown(RunRecord, row)
