"""The remedies that earlier runs of a service have tried, so that one that did not help is not tried again."""

from datetime import datetime
from itertools import takewhile

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.commands.registry import definitions_by_verb
from kintsugi.decisions.recurrence import RunRemedies, failed_remedies
from kintsugi.ledger.history import RESUMED
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.tables import runs, steps
from kintsugi.model.records import Phase, RunKind, StepState
from kintsugi.model.remedies import RemedyKind

MOST = 8
"""Runs that are looked at, the newest: a service that was given up more often than that has had every remedy."""


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
        .limit(MOST)
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
