"""
The history of a recurring problem: the recoveries of one service by one runbook, the changes of each run, and the notices.

It is read by runbook and not by rule: several rules can notice the same problem, and where one is left to a person another one
soon matches. The repeated remedy is what counts.
"""

from datetime import datetime
from itertools import takewhile

from sqlalchemy import Select, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.commands.registry import definitions_by_verb
from kintsugi.decisions.recurrence import PastRecovery, RunRemedies, failed_remedies
from kintsugi.ledger.history import RESUMED
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns, read_one
from kintsugi.ledger.tables import incidents, runs, steps
from kintsugi.model.records import Incident, IncidentState, Phase, RunKind, StepState
from kintsugi.model.remedies import RemedyKind

MOST = 32
"""
The most recoveries read of one service by one runbook, and the most runs listed: more than the limit's largest setting,
and than the doublings of the cooldown.
"""

MOST_RUNS = 8
"""Runs that are looked at, the newest: a service that was given up more often than that has had every remedy."""

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
    return await read_one(connection, Incident, query)


class RemedyRepository(Repository):
    """The tried remedies of services."""

    async def failed_remedies(self, service: str, since: datetime) -> frozenset[RemedyKind]:
        """
        Return the remedies of runs that have ended since then without having helped.

        None of those before one that helped, or before a person resumed the service.
        """
        return failed_remedies(await self._store.read(lambda connection: _read(connection, service, since)))


async def _read(connection: AsyncConnection, service: str, since: datetime) -> tuple[RunRemedies, ...]:
    """Read what each diagnosis of the newest runs has named; the newest run first. A word of a later version is passed over."""
    newest = (
        select(runs.c.id, runs.c.state, RESUMED)
        .where(runs.c.service == service, runs.c.kind == RunKind.RECOVERY, runs.c.finished >= since)
        .order_by(runs.c.finished.desc())
        .limit(MOST_RUNS)
    )
    found = list(takewhile(lambda row: row.resumed is None, await connection.execute(newest)))
    ids = [row.id for row in found]
    forward = (steps.c.run.in_(ids), steps.c.phase == Phase.FORWARD, steps.c.state == StepState.DONE)
    changed = set(await connection.scalars(select(steps.c.run).where(*forward, steps.c.changes)))
    diagnosing = [verb for verb, definition in definitions_by_verb().items() if definition.diagnoses]
    diagnoses = select(steps.c.run, steps.c.result).where(*forward, steps.c.verb.in_(diagnosing))
    named = [(row.run, (row.result or {}).get("remedy")) for row in await connection.execute(diagnoses)]
    return tuple(
        RunRemedies(
            state=row.state,
            remedies=frozenset(
                RemedyKind(word) for run, word in named if run == row.id and run in changed and word in set(RemedyKind)
            ),
        )
        for row in found
    )
