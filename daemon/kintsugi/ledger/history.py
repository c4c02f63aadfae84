"""The history for the guards, read inside the request's own transaction (P7)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, exists, func, select, union, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.rows import columns, read_leniently, readable, unreadable
from kintsugi.ledger.tables import aborts, approvals, diagnoses, incidents, locks, pauses, runs, steps
from kintsugi.model.change_limits import Disruptions
from kintsugi.model.history import INCONCLUSIVE_OUTCOMES, Abort, History, MadeChange, PastRun, Rejection
from kintsugi.model.outages import NO_FAULTS, KnownFaults
from kintsugi.model.records import Approval, IncidentState, Pause, Phase, RunKind, SeenWorkload, StepState
from kintsugi.model.services import STACK
from kintsugi.model.step_path import RUN, UNDOS_LIKE
from kubediagnosis.causes import Diagnosis


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """
    `changes`: how far back the disruption budget counts, by default the hour of `guards.budgetWindow`.

    `runs`: how far back finished runs are read, by default more than the longest cooldown (2 h) and the pause after
    failures (1 h) of the default settings.
    """

    changes: timedelta = timedelta(hours=1)
    runs: timedelta = timedelta(hours=3)

    @classmethod
    def covering(cls, *, changes: timedelta, runs: timedelta) -> "Windows":
        """Return windows that reach at least so far back."""
        usual = cls()
        return cls(changes=max(usual.changes, changes), runs=max(usual.runs, runs))

    @property
    def longest(self) -> timedelta:
        """Return the longest of the windows."""
        return max(self.changes, self.runs)


LAST_RUNS = 10
"""The number of finished runs read of the service itself, and of those that say something of the remedy, of any age:
enough for every streak that a guard counts.
"""

_NOT_MADE = (StepState.PLANNED, StepState.SKIPPED)

_CHANGES = (
    select(func.count())
    .select_from(steps)
    .where(steps.c.run == runs.c.id, steps.c.changes, steps.c.state.not_in(_NOT_MADE))
    .scalar_subquery()
    .label("changes")
)
RESUMED = (
    select(pauses.c.lifted)
    .where(pauses.c.id == runs.c.incident, pauses.c.lifted >= runs.c.finished)
    .scalar_subquery()
    .label("resumed")
)
"""When a person ended the rest after a run's hand-over (see `PauseRepository.end_rest`), NULL where nobody has."""

_RECOVERY = runs.c.kind == RunKind.RECOVERY
"""Drills disrupt nothing, and say nothing about whether a recovery helps: no guard counts them."""

_PAST = (
    runs.c.service, runs.c.namespace, runs.c.rule, runs.c.incident, runs.c.runbook, runs.c.state, runs.c.started, runs.c.finished,
    runs.c.superseded, _CHANGES, RESUMED,
)  # fmt: skip


async def read_history(
    connection: AsyncConnection, service: str, namespace: str, now: datetime, windows: Windows
) -> History:
    """Read the history for a request of `service` at `now`; changes as far back as `windows` say."""
    opened = (await connection.execute(_incident_of(service))).one_or_none()
    # asked for by themselves: joined with them, PostgreSQL reads the whole table
    counted = list(await connection.scalars(_counted(service, now - windows.runs)))
    query = select(*_PAST).where(runs.c.id.in_(counted))
    rows = await connection.execute(query.order_by(runs.c.started, runs.c.id))
    past = readable(PastRun, rows.all())
    return History(
        active=tuple(run for run in past if run.finished is None),
        recent=tuple(run for run in past if run.finished is not None),
        disruptions=await read_disruptions(connection, namespace, now - windows.changes),
        locks={row.name: row.run for row in await connection.execute(select(locks.c.name, locks.c.run))},
        pauses=tuple(read_leniently(Pause, row) for row in await connection.execute(pauses_at(now))),
        incident=opened.id if opened is not None else "",
        last_faults=await _last_faults(connection, service),
        held_since=opened.opened if opened is not None and opened.state is IncidentState.HELD else None,
        rejections=await _read_rejections(connection, service, now - windows.runs),
    )


async def read_upstreams(connection: AsyncConnection, services: Sequence[str]) -> Mapping[str, PastRun]:
    """Read the last conclusive run of each of these services."""
    found: list[PastRun] = []
    for service in services:
        last = _last_of(service).where(runs.c.state.not_in(INCONCLUSIVE_OUTCOMES)).limit(1).subquery()
        rows = await connection.execute(select(*_PAST).where(runs.c.id.in_(select(last.c.id))))
        found += readable(PastRun, rows.all())
    return {run.service: run for run in found}


async def _last_faults(connection: AsyncConnection, service: str) -> KnownFaults:
    """Read the faults that the service's last conclusive run was about."""
    columns = (runs.c.incident, runs.c.workload_found, runs.c.workload_left, runs.c.workload_decided)
    last = select(*columns).where(runs.c.service == service, runs.c.finished.is_not(None), _RECOVERY)
    last = last.where(runs.c.state.not_in(INCONCLUSIVE_OUTCOMES)).order_by(runs.c.started.desc(), runs.c.id.desc())
    row = (await connection.execute(last.limit(1))).one_or_none()
    if row is None:
        return NO_FAULTS
    seen = (row.workload_found, row.workload_left, row.workload_decided)
    found = await connection.scalars(select(diagnoses.c.diagnosis).where(diagnoses.c.incident == row.incident))
    return KnownFaults.of(
        (each.template for each in seen if isinstance(each, SeenWorkload)),
        (each for each in found if isinstance(each, Diagnosis)),
    )


def _counted(service: str, since: datetime) -> CompoundSelect[tuple[str]]:
    """Return the runs that a guard may count: by four queries, each with its own index; one with OR would have none."""
    going = select(runs.c.id).where(runs.c.finished.is_(None), _RECOVERY)
    recent = select(runs.c.id).where(runs.c.finished > since, _RECOVERY)
    last = _last_of(service).limit(LAST_RUNS)
    conclusive = last.where(runs.c.state.not_in(INCONCLUSIVE_OUTCOMES))
    return union(going, recent, select(last.subquery().c.id), select(conclusive.subquery().c.id))


def _last_of(service: str) -> Select[tuple[str]]:
    finished = select(runs.c.id).where(runs.c.service == service, runs.c.finished.is_not(None), _RECOVERY)
    return finished.order_by(runs.c.started.desc(), runs.c.id.desc())


def _incident_of(service: str) -> Select[tuple[str, IncidentState, datetime]]:
    open_here = (incidents.c.service == service, incidents.c.closed.is_(None))
    query = select(incidents.c.id, incidents.c.state, incidents.c.opened)
    return query.where(*open_here, incidents.c.kind == RunKind.RECOVERY)


async def _read_rejections(connection: AsyncConnection, service: str, since: datetime) -> tuple[Rejection, ...]:
    """Read the plans for a service that were rejected since a moment, and its incidents that were aborted and not resumed."""
    # asked for by themselves: joined with them, SQLite reads all incidents of the service
    of_late = select(approvals.c.number).where(approvals.c.rejected.is_not(None), approvals.c.rejected > since)
    noes = list(await connection.scalars(of_late.where(approvals.c.path == str(RUN))))
    resumed = exists().where(pauses.c.id == aborts.c.incident)
    ended = list(await connection.scalars(select(aborts.c.incident).where(aborts.c.requested > since, ~resumed)))
    here = (incidents.c.service == service, incidents.c.kind == RunKind.RECOVERY)
    found = list[Rejection]()
    if noes:
        plans = select(*columns(Approval, approvals), incidents.c.rule).join(incidents)
        rows = (await connection.execute(plans.where(approvals.c.number.in_(noes), *here))).all()
        for row in [each for each in rows if unreadable(Approval, each) is None]:
            text = f"the plan was rejected by {row.who}: {row.why}"
            found.append(Rejection(rule=row.rule, plan=row.plan, text=text, rejected=row.rejected))
    if ended:
        aborted = select(*columns(Abort, aborts)).join(incidents).where(aborts.c.incident.in_(ended), *here)
        for each in readable(Abort, (await connection.execute(aborted)).all()):
            text = f"incident {each.incident} was {each.reason}"
            found.append(Rejection(text=text, rejected=each.requested))
    return tuple(found)


def pauses_at(now: datetime) -> Select[tuple[object, ...]]:
    """Build the query for the pauses that hold at `now`."""
    unended = select(pauses.c.id).where(pauses.c.lifted.is_(None), pauses.c.until.is_(None))
    timed = select(pauses.c.id).where(pauses.c.lifted.is_(None), pauses.c.until > now)
    holding = pauses.c.id.in_(union_all(unended, timed))
    return select(*columns(Pause, pauses)).where(holding).order_by(pauses.c.since, pauses.c.id)


async def read_changed(
    connection: AsyncConnection, namespaces: Collection[str], since: datetime
) -> Mapping[str, Disruptions]:
    """Read the times and objects of the changes in each of these namespaces since a moment."""
    found: dict[str, list[tuple[datetime, str]]] = {namespace: [] for namespace in namespaces}
    query = _changed(steps.c.namespace, steps.c.started, steps.c.state, steps.c.facts)
    for row in await connection.execute(query.where(steps.c.namespace.in_(namespaces), steps.c.started > since)):
        if isinstance(row.started, datetime):
            # what failed was surely not made, so that the object is still there
            known = isinstance(row.facts, Mapping) and row.state is not StepState.FAILED
            found[row.namespace].append((row.started, str(row.facts.get("uid", "")) if known else ""))
    return {
        namespace: Disruptions(
            moments=tuple(moment for moment, _ in each), objects=frozenset(uid for _, uid in each if uid)
        )
        for namespace, each in found.items()
    }


async def read_changes(connection: AsyncConnection, namespace: str, since: datetime) -> tuple[MadeChange, ...]:
    """Read the changes of runs in a namespace since a moment that were not undone, oldest first."""
    undo = steps.alias()
    taken_back = (undo.c.run == steps.c.run, undo.c.phase == Phase.UNDO, undo.c.state == StepState.DONE)
    query = (
        select(runs.c.rule, steps.c.run, steps.c.text, steps.c.finished, steps.c.undo)
        .join(runs, runs.c.id == steps.c.run)
        .where(
            steps.c.namespace == namespace,
            steps.c.changes,
            steps.c.started > since,
            steps.c.state == StepState.DONE,
            steps.c.phase == Phase.FORWARD,
            _RECOVERY,
            steps.c.finished.is_not(None),
            ~exists().where(*taken_back, undo.c.path.like(steps.c.path + UNDOS_LIKE)),
        )
        .order_by(steps.c.started)
    )
    return readable(MadeChange, list(await connection.execute(query)))


async def read_disruptions(connection: AsyncConnection, namespace: str, since: datetime) -> tuple[datetime, ...]:
    """Read the times of changes in a namespace since a moment."""
    query = _changed(steps.c.started).where(steps.c.namespace == namespace, steps.c.started > since)
    return tuple(started for started in await connection.scalars(query) if isinstance(started, datetime))


async def slot_namespaces(connection: AsyncConnection) -> tuple[str, ...]:
    """Read the namespaces of the services that have a slot, one for each."""
    query = select(runs.c.namespace).where(runs.c.finished.is_(None), _RECOVERY, runs.c.service != STACK)
    return tuple(await connection.scalars(query.where(runs.c.state != IncidentState.HELD)))


def _changed(*columns: ColumnElement[Any]) -> Select[Any]:
    """Build the query for changes that were made or may have been, the oldest first."""
    query = select(*columns).join(runs, runs.c.id == steps.c.run)
    return query.where(_RECOVERY, steps.c.changes, steps.c.state.not_in(_NOT_MADE)).order_by(steps.c.started)
