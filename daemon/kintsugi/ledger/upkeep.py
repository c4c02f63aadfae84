"""
Retention of ledger rows: deletes old closed rows in bounded batches, except those that a guard still counts.

Every statement begins at an index and deletes at most a batch, so that a tick costs what it deletes and never what is
kept, and an incident of a hundred thousand signals goes over several ticks instead of in one endless transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, ColumnElement, Connection, Delete, Select, and_, delete, exists, func, select, tuple_

from kintsugi.ledger.incidents.history import LAST_RUNS
from kintsugi.ledger.store.tables import (
    aborts,
    catalogs,
    dead_letters,
    diagnoses,
    evidence,
    good_revisions,
    good_templates,
    incident_messages,
    incidents,
    locks,
    notices,
    open_pages,
    pauses,
    questions,
    runs,
    scaled_to_zero,
    seen_replicas,
    signals,
    steps,
)
from kintsugi.ledger.store.transactions import Aggregate

NEWEST_CATALOGS = 5
"""Catalogs kept without a run: each replica may have loaded another one during a rollout."""

LAST_GOOD = 20
"""Good revisions kept of a workload however old: twice what Kubernetes keeps of a Deployment (revisionHistoryLimit)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetentionTerms:
    """
    The reasons to keep rows that the ledger itself does not know.

    `notices`: True where a notifier sends them, so that unsent ones are kept; without a notifier they count as read.
    `workloads`: the uids that are in the cluster now, None while that is not known; then every good revision stays.
    """

    notices: bool = True
    workloads: Collection[str] | None = None


class Upkeep(Aggregate):
    """The one place where rows are deleted for their age."""

    async def prune(
        self, before: datetime, now: datetime, limit: int = 1000, kept: RetentionTerms | None = None
    ) -> int:
        """
        Delete rows that ended before `before`; return their number.

        At most `limit` rows of each table; when the result is less than `limit`, nothing more is to be deleted. Kept
        whatever their age: open incidents and all that belongs to them, signals that fire or have no verdict, unsent
        notices where a notifier sends them, the last runs of each service and what else the guards count, and the
        documents of every run that is kept. Good revisions are deleted when their workload was neither present nor good
        since `before`, and their templates with them.
        """
        terms, old = kept or RetentionTerms(), min(before, now - self._store.windows.longest)

        def work(connection: Connection) -> int:
            batch = _Batch(connection, old, limit)
            batch.incidents(unsent=terms.notices)
            batch.rest(unsent=terms.notices)
            if terms.workloads is not None:
                batch.good_revisions(terms.workloads)
                batch.good_templates()
                batch.replicas(terms.workloads)
            return batch.gone

        return await self._store.write("prune", work)


class _Batch:
    """One transaction's share; `gone` counts the rows."""

    def __init__(self, connection: Connection, old: datetime, limit: int) -> None:
        self._connection = connection
        self._old = old
        self._limit = limit
        self.gone = 0

    def incidents(self, *, unsent: bool) -> None:
        """Delete the oldest incidents that nothing holds: first what belongs to them, then those with nothing left."""
        chosen = self._keys(_forgettable(self._old, unsent=unsent).limit(self._limit))
        theirs = self._keys(select(runs.c.id).where(runs.c.incident.in_(chosen)).limit(self._limit))
        for reference in (steps.c.run, evidence.c.run, locks.c.run):
            self._delete(reference.in_(theirs), reference)
        self._delete(runs.c.id.in_(theirs) & _bare(runs.c.id, steps.c.run, evidence.c.run, locks.c.run), runs.c.id)
        references = (
            aborts.c.incident,
            questions.c.incident,
            diagnoses.c.incident,
            incident_messages.c.incident,
            notices.c.incident,
            open_pages.c.incident,
            signals.c.incident,
        )
        for reference in references:
            self._delete(reference.in_(chosen), reference)
        empty = _bare(incidents.c.id, runs.c.incident, *references)
        self._delete(incidents.c.id.in_(chosen) & empty, incidents.c.id)

    def rest(self, *, unsent: bool) -> None:
        """Delete what belongs to no incident; unsent notices not, where `unsent` ones are still to be sent."""
        of_daemon = notices.c.incident.is_(None) & (notices.c.created < self._old)
        self._delete(of_daemon & notices.c.sent if unsent else of_daemon, notices.c.created)
        without_incident = signals.c.incident.is_(None) & signals.c.ended.is_not(None) & (signals.c.ended < self._old)
        old = (signals.c.last_seen < self._old) & signals.c.verdict.is_not(None)
        self._delete(without_incident & old, signals.c.ended)
        self._delete(dead_letters.c.received < self._old, dead_letters.c.received)
        self._delete(pauses.c.lifted.is_not(None) & (pauses.c.lifted < self._old), pauses.c.lifted)
        self._delete(pauses.c.lifted.is_(None) & (pauses.c.until < self._old), pauses.c.until)
        self._catalogs()

    def good_revisions(self, there: Collection[str]) -> None:
        """Forget the good revisions of workloads that are gone and were not well since, and all but the last of others."""
        other = good_revisions.alias()
        same = other.c.workload == good_revisions.c.workload
        since = exists().where(same, other.c.last_good >= self._old)
        newer = select(func.count()).select_from(other).where(same, other.c.last_good > good_revisions.c.last_good)
        gone = ~since & good_revisions.c.workload.not_in(there)
        old = good_revisions.c.last_good < self._old
        self._delete(old & (gone | (newer.scalar_subquery() >= LAST_GOOD)), good_revisions.c.last_good)

    def good_templates(self) -> None:
        """Forget the templates of good revisions that are forgotten."""
        same = (
            good_revisions.c.workload == good_templates.c.workload,
            good_revisions.c.template == good_templates.c.template,
        )
        self._delete((good_templates.c.seen < self._old) & ~exists().where(*same), good_templates.c.seen)

    def replicas(self, there: Collection[str]) -> None:
        """Forget how many replicas workloads had that are gone, and who has scaled them to 0: no other has their uid."""
        for workload, moment in (
            (seen_replicas.c.workload, seen_replicas.c.since),
            (scaled_to_zero.c.workload, scaled_to_zero.c.moment),
        ):
            self._delete((moment < self._old) & workload.not_in(there), moment)

    def _catalogs(self) -> None:
        """Forget documents that no run keeps to, the newest digests excepted: a run may begin on them at any moment."""
        newest = select(catalogs.c.digest).group_by(catalogs.c.digest).order_by(func.max(catalogs.c.number).desc())
        digests = self._keys(newest.offset(NEWEST_CATALOGS))
        used = exists().where(runs.c.catalog == catalogs.c.digest)
        if digests:
            self._count(delete(catalogs).where(catalogs.c.digest.in_(digests), ~used))

    def _keys(self, query: Select[tuple[str]]) -> Sequence[str]:
        return list(self._connection.scalars(query))

    def _delete(self, which: ColumnElement[bool], order: Column[str]) -> None:
        """Delete at most a batch of what answers to `which`, found in the order of an index's column."""
        keys = list(order.table.primary_key.columns)
        rows = self._connection.execute(select(*keys).where(which).order_by(order).limit(self._limit))
        found = [tuple(row) for row in rows]
        if found:
            of_them = tuple_(*keys).in_(found) if len(keys) > 1 else keys[0].in_([key for (key,) in found])
            self._count(delete(order.table).where(of_them))

    def _count(self, statement: Delete) -> None:
        self.gone += self._connection.execute(statement).rowcount


def _forgettable(old: datetime, *, unsent: bool) -> Select[tuple[str]]:
    """Return the query of old incidents that are no longer needed, the oldest first."""
    firing = exists().where(signals.c.incident == incidents.c.id, signals.c.ended.is_(None))
    query = select(incidents.c.id).where(incidents.c.closed < old, ~_counted(), ~firing)
    if unsent:
        query = query.where(~exists().where(notices.c.incident == incidents.c.id, ~notices.c.sent))
    return query.order_by(incidents.c.closed)


def _counted() -> ColumnElement[bool]:
    """Return whether a run of the incident is among the last of its service: fewer than that many came after it."""
    later = runs.alias("runs_1")
    after = select(later.c.id).where(
        later.c.service == runs.c.service,
        later.c.kind == runs.c.kind,
        tuple_(later.c.started, later.c.id) > tuple_(runs.c.started, runs.c.id),
    )
    after = after.order_by(later.c.started, later.c.id).limit(LAST_RUNS)  # in the index's order: it is the way in
    many = select(func.count()).select_from(after.correlate(runs).subquery()).scalar_subquery()
    # counted, not EXISTS: PostgreSQL would make a join of that, over every run that there is
    found = select(func.count()).select_from(runs).where(runs.c.incident == incidents.c.id, many < LAST_RUNS)
    return found.scalar_subquery() > 0


def _bare(key: Column[str], *references: Column[str]) -> ColumnElement[bool]:
    """Return whether nothing refers to a row any more."""
    return and_(*(~exists().where(each == key) for each in references))
