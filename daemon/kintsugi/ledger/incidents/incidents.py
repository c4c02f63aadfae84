"""Incidents: read by people, moved while they have no run, and aborted. An abort is kept before it takes effect."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger.outbox import put_notice, put_notice_once
from kintsugi.ledger.store.rows import columns, read_one, readable, values
from kintsugi.ledger.store.tables import aborts, incidents, runs
from kintsugi.ledger.store.texts import for_people
from kintsugi.ledger.store.transactions import Repository
from kintsugi.model.history import Abort
from kintsugi.model.identity import new_id
from kintsugi.model.records import Incident, IncidentState, RunKind, RunRecord
from kintsugi.model.rules import Mode

_INCIDENT = columns(Incident, incidents)
_BY_ID = select(*_INCIDENT).where(incidents.c.id == bindparam("incident"))
_RUN = select(*columns(RunRecord, runs))
_CHILD = _RUN.where(runs.c.parent == bindparam("parent"), runs.c.parent_step == bindparam("step"), runs.c.parent != "")
_LAST_RUN = _RUN.where(runs.c.incident == bindparam("incident"))
_LAST_RUN = _LAST_RUN.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(1)
_ABORT = select(*columns(Abort, aborts)).where(aborts.c.incident == bindparam("incident"))
_OF_OBSERVER = (
    incidents.c.service == RunKind.OBSERVER,
    incidents.c.kind == RunKind.OBSERVER,
    incidents.c.closed.is_(None),
)


class IncidentRepository(Repository):
    """The incidents of services, and of the observer."""

    async def newest(self, *, limit: int = 50, service: str = "", open_only: bool = False) -> tuple[Incident, ...]:
        """Return incidents, newest first."""
        query = select(*_INCIDENT)
        if service:
            query = query.where(incidents.c.service == service)
        if open_only:
            query = query.where(incidents.c.closed.is_(None))
        query = query.order_by(incidents.c.opened.desc(), incidents.c.id.desc()).limit(limit)

        return await self._shown(Incident, query)

    async def get(self, incident: str, *, strict: bool = True) -> Incident:
        """
        Return one incident; raises `NotRecorded`.

        `strict`: raises `UnreadableRow` where any of it cannot be read; else the rest is returned.
        """
        return await self._store.read(lambda connection: find_incident(connection, incident, strict=strict))

    async def move_incident(
        self, incident: str, state: IncidentState, reason: str, now: datetime, *, notify: bool = False
    ) -> Incident:
        """
        Move an incident without an unfinished run (held, awaiting approval), for instance when its upstream has recovered.

        `notify`: a person is notified also of a state that has no notice as a rule. Raises `WrongState` while a run is under
        way (use `move_run` then) and when the incident is closed.
        """

        def work(connection: Connection) -> Incident:
            before = find_incident(connection, incident)
            if before.state is state and before.reason == for_people(reason):
                return before
            going = select(runs.c.id).where(runs.c.incident == incident, runs.c.finished.is_(None))
            if before.closed is not None or connection.execute(going).first() is not None:
                raise WrongState(f"incident {incident} is {before.state}: it cannot become {state}")
            after = replace(before, state=state, reason=for_people(reason), closed=now if state.is_final else None)
            moved = update(incidents).where(incidents.c.id == incident)
            connection.execute(moved.values(state=after.state, reason=after.reason, closed=after.closed))
            if notify:
                put_notice_once(connection, incident, state, reason, now)
            elif before.state is not state:
                put_notice(connection, incident, state, reason, now)
            return after

        return await self._store.write("move-incident", work, fenced=True)

    async def observer_incident(self) -> Incident | None:
        """Return the open incident about the observer itself, None when it has none."""
        found = await self._shown(Incident, select(*_INCIDENT).where(*_OF_OBSERVER))
        return next(iter(found), None)

    async def open_observer_incident(self, reason: str, mode: Mode, now: datetime) -> Incident:
        """Open the incident about the observer itself and leave a notice of it; one that is open already stays."""

        def work(connection: Connection) -> Incident:
            query = select(*_INCIDENT).where(*_OF_OBSERVER)
            known = read_one(connection, Incident, query, strict=False)
            if known is not None:
                return known
            opened = Incident(
                id=new_id("inc", now),
                service=RunKind.OBSERVER,
                rule="",
                runbook="",
                mode=mode,
                state=IncidentState.OPEN,
                reason=for_people(reason),
                opened=now,
                kind=RunKind.OBSERVER,
            )
            connection.execute(insert(incidents).values(values(opened)))
            put_notice_once(connection, opened.id, opened.state, reason, now)
            return opened

        return await self._store.write("open-observer-incident", work, fenced=True)

    async def abort(self, abort: Abort) -> Abort:
        """
        Keep that a person aborts an incident; of two aborts the first stays.

        Raises `NotRecorded` for no such incident, `WrongState` while its run rolls back, when the incident is closed, and when
        nothing is done for it.
        """

        def work(connection: Connection) -> Abort:
            # a run is locked before its incident, as by its moves
            connection.execute(select(runs.c.id).where(runs.c.incident == abort.incident).with_for_update())
            connection.execute(select(incidents.c.id).where(incidents.c.id == abort.incident).with_for_update())
            incident = find_incident(connection, abort.incident)
            _refuse_rollback(incident, last_run(connection, incident.id))
            known = _find_abort(connection, incident.id)
            if known is not None:
                return known
            if incident.closed is not None or incident.kind is RunKind.OBSERVER:
                raise WrongState(f"incident {incident.id} is {incident.state}: there is nothing to abort")
            connection.execute(insert(aborts).values(values(abort)))
            return abort

        return await self._store.write("abort", work, fenced=True)

    async def abort_of(self, incident: str) -> Abort | None:
        """Return the abort of an incident, None without one."""
        return await self._store.read(lambda connection: _find_abort(connection, incident))


def find_incident(connection: Connection, incident: str, *, strict: bool = False) -> Incident:
    """Read an incident as far as it can be; raises `NotRecorded`, and `UnreadableRow` where that must be all of it."""
    found = read_one(connection, Incident, _BY_ID, {"incident": incident}, strict=strict)
    if found is None:
        raise NotRecorded(f"there is no incident {incident}")
    return found


def find_child(connection: Connection, parent: str, step: str) -> RunRecord | None:
    """Read the run that a step of another run has started as far as it can be, None when it has started none."""
    return read_one(connection, RunRecord, _CHILD, {"parent": parent, "step": step}, strict=False)


def last_run(connection: Connection, incident: str) -> RunRecord | None:
    """Read an incident's newest run as far as it can be, None when it has none."""
    return read_one(connection, RunRecord, _LAST_RUN, {"incident": incident}, strict=False)


def _refuse_rollback(incident: Incident, run: RunRecord | None) -> None:
    """Raise WrongState for a run that rolls back, also while it asks a person about a step of the rollback."""
    asks = run is not None and run.state is IncidentState.AWAITING_APPROVAL and run.steps_finished_at is not None
    if incident.state is IncidentState.ROLLING_BACK or (asks and incident.closed is None):
        stop = f"kintsugi pause --service {incident.service} --freeze --why TEXT"
        why = "the run is rolling back, and half of a rollback would be worse than none"
        raise WrongState(f"incident {incident.id}: {why}. To stop its writes: {stop}")


def _find_abort(connection: Connection, incident: str) -> Abort | None:
    return next(iter(readable(Abort, connection.execute(_ABORT, {"incident": incident}).all())), None)
