"""The incidents that people have aborted. An abort is kept before it takes effect, so that it holds after a restart."""

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import WrongState
from kintsugi.ledger.incidents import find_incident, last_run
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns, readable, values
from kintsugi.ledger.tables import aborts, incidents, runs
from kintsugi.model.history import Abort
from kintsugi.model.records import Incident, IncidentState, RunKind, RunRecord


class AbortRepository(Repository):
    """The aborts of incidents."""

    async def abort(self, abort: Abort) -> Abort:
        """
        Keep that a person aborts an incident; of two aborts the first stays.

        Raises `NotRecorded` for no such incident, `WrongState` while its run rolls back, when the incident is closed, and when
        nothing is done for it.
        """

        async def work(connection: AsyncConnection) -> Abort:
            # a run is locked before its incident, as by its moves
            await connection.execute(select(runs.c.id).where(runs.c.incident == abort.incident).with_for_update())
            await connection.execute(select(incidents.c.id).where(incidents.c.id == abort.incident).with_for_update())
            incident = await find_incident(connection, abort.incident)
            _refuse_rollback(incident, await last_run(connection, incident.id))
            known = await _find(connection, incident.id)
            if known is not None:
                return known
            if incident.closed is not None or incident.kind is RunKind.OBSERVER:
                raise WrongState(f"incident {incident.id} is {incident.state}: there is nothing to abort")
            await connection.execute(insert(aborts).values(values(abort)))
            return abort

        return await self._store.write("abort", work, fenced=True)

    async def of_incident(self, incident: str) -> Abort | None:
        """Return the abort of an incident, None without one."""
        return await self._store.read(lambda connection: _find(connection, incident))


def _refuse_rollback(incident: Incident, run: RunRecord | None) -> None:
    """Raise WrongState for a run that rolls back, also while it asks a person about a step of the rollback."""
    asks = run is not None and run.state is IncidentState.AWAITING_APPROVAL and run.steps_finished_at is not None
    if incident.state is IncidentState.ROLLING_BACK or (asks and incident.closed is None):
        stop = f"kintsugi pause --service {incident.service} --freeze --why TEXT"
        why = "the run is rolling back, and half of a rollback would be worse than none"
        raise WrongState(f"incident {incident.id}: {why}. To stop its writes: {stop}")


async def _find(connection: AsyncConnection, incident: str) -> Abort | None:
    query = select(*columns(Abort, aborts)).where(aborts.c.incident == incident)
    return next(iter(readable(Abort, (await connection.execute(query)).all())), None)
