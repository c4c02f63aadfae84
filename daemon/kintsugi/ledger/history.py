"""What the guards need to know of the past, read inside the claim's own transaction (P7)."""

from datetime import datetime

from sqlalchemy import CompoundSelect, Select, func, select, union, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.guards import SAYS_NOTHING
from kintsugi.ledger.rows import columns, readable, shown
from kintsugi.ledger.tables import incidents, locks, pauses, runs, steps
from kintsugi.ledger.windows import Windows
from kintsugi.model.history import History, PastRun
from kintsugi.model.records import Pause, RunKind, StepState

LAST_RUNS = 10
"""Finished runs told of the service itself, and of those that say something of the remedy, however old: enough for every
streak that a guard counts."""

_NOT_MADE = (StepState.PLANNED, StepState.SKIPPED)

_CHANGES = (
    select(func.count())
    .select_from(steps)
    .where(steps.c.run == runs.c.id, steps.c.changes, steps.c.state.not_in(_NOT_MADE))
    .scalar_subquery()
    .label("changes")
)
_RECOVERY = runs.c.kind == RunKind.RECOVERY
"""Drills disrupt nothing, and say nothing about whether a recovery helps: no guard counts them."""

_PAST = (
    runs.c.service, runs.c.namespace, runs.c.rule, runs.c.state, runs.c.started, runs.c.finished, _CHANGES,
)  # fmt: skip


async def read_history(
    connection: AsyncConnection, service: str, namespace: str, now: datetime, windows: Windows
) -> History:
    """Read what decides a claim of `service` at `now`; changes are told as far back as `windows` say."""
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
        pauses=tuple(shown(Pause, row) for row in await connection.execute(pauses_at(now))),
        incident=await connection.scalar(_incident_of(service)) or "",
    )


def _counted(service: str, since: datetime) -> CompoundSelect[tuple[str]]:
    """Name the runs that a guard may count: four questions, each with its index, where one with OR would have none."""
    going = select(runs.c.id).where(runs.c.finished.is_(None), _RECOVERY)
    recent = select(runs.c.id).where(runs.c.finished > since, _RECOVERY)
    last = select(runs.c.id).where(runs.c.service == service, runs.c.finished.is_not(None), _RECOVERY)
    last = last.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(LAST_RUNS)
    telling = last.where(runs.c.state.not_in(SAYS_NOTHING))
    return union(going, recent, select(last.subquery().c.id), select(telling.subquery().c.id))


def _incident_of(service: str) -> Select[tuple[str]]:
    open_here = (incidents.c.service == service, incidents.c.closed.is_(None))
    return select(incidents.c.id).where(*open_here, incidents.c.kind == RunKind.RECOVERY)


def pauses_at(now: datetime) -> Select[tuple[object, ...]]:
    """Build the query for the pauses that hold at `now`."""
    unended = select(pauses.c.id).where(pauses.c.lifted.is_(None), pauses.c.until.is_(None))
    timed = select(pauses.c.id).where(pauses.c.lifted.is_(None), pauses.c.until > now)
    holding = pauses.c.id.in_(union_all(unended, timed))
    return select(*columns(Pause, pauses)).where(holding).order_by(pauses.c.since, pauses.c.id)


async def read_disruptions(connection: AsyncConnection, namespace: str, since: datetime) -> tuple[datetime, ...]:
    """Read when objects of a namespace were changed since a moment."""
    query = (
        select(steps.c.started)
        .join(runs, runs.c.id == steps.c.run)
        .where(
            steps.c.namespace == namespace,
            _RECOVERY,
            steps.c.changes,
            steps.c.state.not_in(_NOT_MADE),
            steps.c.started > since,
        )
        .order_by(steps.c.started)
    )
    return tuple(started for started in await connection.scalars(query) if isinstance(started, datetime))
