"""
The history of a recurring problem: the recoveries of one service by one runbook, the changes of each run, and the notices.

It is read by runbook and not by rule: several rules can notice the same problem, and where one is left to a person another one
soon matches. The repeated remedy is what counts.
"""

from datetime import datetime

from sqlalchemy import Select, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.decisions.recurrence import PastRecovery
from kintsugi.ledger.rows import columns, record
from kintsugi.ledger.tables import incidents, runs, steps
from kintsugi.model.records import Incident, IncidentState, Phase, RunKind, StepState

MOST = 32
"""
The most recoveries read of one service by one runbook, and the most runs listed: more than the limit's largest setting,
and than the doublings of the cooldown.
"""


WELL_AGAIN = (IncidentState.RECOVERED, IncidentState.NO_ACTION)
"""The ends of runs whose service is well: a problem that comes and goes by itself also counts as recurring."""


async def read_recoveries(connection: AsyncConnection, service: str, runbook: str) -> tuple[datetime, ...]:
    """Read when runs of one runbook ended with the service well, the oldest first; the newest `MOST` at most."""
    found: list[datetime] = []
    for state in WELL_AGAIN:
        found += await connection.scalars(recoveries_of(service, runbook, state))
    return tuple(sorted(found)[-MOST:])


def recoveries_of(service: str, runbook: str, state: IncidentState) -> Select[tuple[datetime]]:
    """Build the query for the newest of them in one state, which an index answers however many runs there are."""
    return (
        select(runs.c.finished)
        .where(runs.c.service == service, runs.c.runbook == runbook, runs.c.state == state)
        .where(runs.c.finished.is_not(None), runs.c.kind == RunKind.RECOVERY)
        .order_by(runs.c.finished.desc())
        .limit(MOST)
    )


async def read_attempts(
    connection: AsyncConnection, service: str, runbook: str, recoveries: tuple[datetime, ...]
) -> tuple[PastRecovery, ...]:
    """Read the runs of one runbook on a service since the first of these recoveries, the oldest first, with their changes."""
    query = (
        select(runs.c.id, runs.c.started, runs.c.finished, runs.c.state)
        .where(runs.c.service == service, runs.c.runbook == runbook, runs.c.kind == RunKind.RECOVERY)
        .where(runs.c.finished >= min(recoveries))
        .order_by(runs.c.started.desc())
        .limit(MOST)
    )
    found = list(await connection.execute(query))
    made = (
        select(steps.c.run, steps.c.text)
        .where(steps.c.run.in_([row.id for row in found]), steps.c.changes, steps.c.state == StepState.DONE)
        .where(steps.c.phase == Phase.FORWARD)
        .order_by(steps.c.number)
    )
    changes = list(await connection.execute(made))
    return tuple(
        PastRecovery(
            run=row.id,
            started=row.started,
            finished=row.finished,
            state=row.state,
            did=tuple(change.text for change in changes if change.run == row.id),
        )
        for row in reversed(found)
    )


async def notified_since(connection: AsyncConnection, service: str, runbook: str, since: datetime) -> Incident | None:
    """Return the incident by which a person was notified since `since` that this problem recurs: it never had a run."""
    query = (
        select(*columns(Incident, incidents))
        .where(incidents.c.service == service, incidents.c.runbook == runbook, incidents.c.opened >= since)
        .where(incidents.c.state == IncidentState.INEFFECTIVE, ~exists().where(runs.c.incident == incidents.c.id))
        .order_by(incidents.c.opened)
        .limit(1)
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else record(Incident, row)
