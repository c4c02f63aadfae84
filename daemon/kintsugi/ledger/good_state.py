"""
What is known of services and their workloads, and kept longer than incidents.

Of workloads these are good revisions, templates and counts, and replicas; the replicas, and the run that scaled a workload to 0,
decide whether it may be started again. Of services these are the drills: when the last one passed, and the handled times of
their schedules.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, tuple_, update

from kintsugi.commands import decode
from kintsugi.commands.registry import definition_of
from kintsugi.errors import CommandError
from kintsugi.ledger.store.rows import columns, moment, read_one, values
from kintsugi.ledger.store.tables import (
    drills,
    good_counts,
    good_revisions,
    good_templates,
    scaled_to_zero,
    seen_replicas,
)
from kintsugi.ledger.store.transactions import Aggregate
from kintsugi.model.drills import DrillMemory
from kintsugi.model.good_state import GoodCount, GoodRevision, GoodTemplate, ScaledToZero, SeenReplicas
from kintsugi.model.records import NOT_MADE, Phase, StepRecord, StepState

LARGEST = 256 * 1024
"""
The most characters of a template that is kept, with its encrypted part and the remainder of its workload; a larger one is not kept, nor is a substitute.
"""


class GoodState(Aggregate):
    """What was seen of services and workloads while they were healthy, and of their drills."""

    async def note_good(self, revisions: Sequence[GoodRevision]) -> None:
        """
        Note revisions seen healthy, or adopted. `first_good` stays as first noted, `last_good` only moves on.

        One that was seen good is no longer adopted.
        """

        def work(connection: Connection) -> None:
            for revision in revisions:
                _note(connection, revision)

        if revisions:
            await self._store.write("note-good", work)

    async def forget_good(self, workload: str, template: str) -> None:
        """Forget that a revision was good, and the template that is kept of it: it has failed by itself since."""

        def work(connection: Connection) -> None:
            for table in (good_revisions, good_templates):
                same = (table.c.workload == workload, table.c.template == template)
                connection.execute(delete(table).where(*same))

        await self._store.write("forget-good", work)

    async def good_revisions(self, workload: str) -> tuple[GoodRevision, ...]:
        """Return the revisions of a workload (by uid) that were seen healthy, the one seen last first."""
        query = select(*columns(GoodRevision, good_revisions)).where(good_revisions.c.workload == workload)
        query = query.order_by(good_revisions.c.last_good.desc(), good_revisions.c.number.desc())

        return await self._whole(GoodRevision, query)

    async def note_counts(self, counts: Sequence[GoodCount]) -> None:
        """Keep counts in place of earlier ones."""
        key = tuple_(good_counts.c.service, good_counts.c.name)
        old = delete(good_counts).where(key.in_([(each.service, each.name) for each in counts]))
        if counts:
            await self._replace("note-counts", old, [values(each) for each in counts])

    async def good_counts(self) -> tuple[GoodCount, ...]:
        """Return the last counts of checks while their services were healthy: a row a step."""
        return await self._whole(GoodCount, select(*columns(GoodCount, good_counts)))

    async def keep_template(self, template: GoodTemplate) -> bool:
        """
        Keep a template in place of the workload's earlier one; return whether it was small enough.

        When it is too large the earlier one is deleted all the same: it is no longer the last good one.
        """
        fits = len(template.document) + len(template.withheld) + len(template.remainder) <= LARGEST
        old = delete(good_templates).where(*_named(template.kind, template.namespace, template.name))
        await self._replace("keep-template", old, [values(template)] if fits else ())
        return fits

    async def good_template(self, kind: str, namespace: str, name: str) -> GoodTemplate | None:
        """Return a workload's good template, None where it is absent or cannot be read."""
        query = select(*columns(GoodTemplate, good_templates)).where(*_named(kind, namespace, name))
        return next(iter(await self._whole(GoodTemplate, query)), None)

    async def note_replicas(self, seen: Sequence[SeenReplicas]) -> None:
        """Keep the seen replicas in place of earlier ones."""
        old = delete(seen_replicas).where(seen_replicas.c.workload.in_([each.workload for each in seen]))
        if seen:
            await self._replace("note-replicas", old, [values(each) for each in seen])

    async def seen_replicas(self, workload: str) -> SeenReplicas | None:
        """Return the replicas that a workload (by uid) was last seen with. Raises UnreadableRow."""
        query = select(*columns(SeenReplicas, seen_replicas)).where(seen_replicas.c.workload == workload)
        return next(iter(await self._whole(SeenReplicas, query)), None)

    async def scaled_to_zero(self, workload: str) -> ScaledToZero | None:
        """Return the run that last scaled a workload (by uid) to 0, None for none."""
        return await self._store.read(lambda connection: read_scaled_to_zero(connection, workload))

    async def drills(self) -> dict[str, DrillMemory]:
        """Return the facts about drills, by service."""

        return {known.service: known for known in await self._shown(DrillMemory, select(*_DRILL))}

    async def begin_schedule(self, service: str, schedule: str, now: datetime) -> None:
        """Start a schedule at `now`; one that has started already is left as it is."""

        def work(connection: Connection) -> None:
            known = _find(connection, service)
            if known is None:
                first = DrillMemory(service=service, schedule=schedule, slot=now)
                connection.execute(insert(drills).values(values(first)))
            elif known.schedule != schedule or known.slot is None:
                changed = update(drills).where(drills.c.service == service)
                connection.execute(changed.values(schedule=schedule, slot=now))

        await self._store.write("begin-schedule", work, fenced=True)


def _note(connection: Connection, revision: GoodRevision) -> None:
    same = (good_revisions.c.workload == revision.workload, good_revisions.c.template == revision.template)
    last_good = moment(connection.scalar(select(good_revisions.c.last_good).where(*same)))
    if last_good is None:
        connection.execute(insert(good_revisions).values(values(revision)))
    elif last_good < revision.last_good:
        moved = update(good_revisions).where(*same).values(last_good=revision.last_good, number=revision.number)
        connection.execute(moved if revision.adopted else moved.values(adopted=False))


def _named(kind: str, namespace: str, name: str) -> tuple[ColumnElement[bool], ...]:
    return good_templates.c.kind == kind, good_templates.c.namespace == namespace, good_templates.c.name == name


_SCALED_TO_ZERO = select(*columns(ScaledToZero, scaled_to_zero)).where(
    scaled_to_zero.c.workload == bindparam("workload")
)


def read_scaled_to_zero(connection: Connection, workload: str) -> ScaledToZero | None:
    """Read which run has scaled a workload to 0 last. Raises UnreadableRow."""
    return read_one(connection, ScaledToZero, _SCALED_TO_ZERO, {"workload": workload})


def note_scale(connection: Connection, step: StepRecord, now: datetime) -> None:
    """
    Note in the caller's transaction that a run scales a workload to 0 on its way forward, from the intent on.

    What turns out not to have been made is forgotten.
    """
    workload = step.facts.get("uid")
    if not isinstance(workload, str) or not _stops(step):
        return
    same = scaled_to_zero.c.workload == workload
    if step.state in NOT_MADE:
        connection.execute(delete(scaled_to_zero).where(same, scaled_to_zero.c.run == step.run))
    elif step.state is StepState.INTENT:
        connection.execute(delete(scaled_to_zero).where(same))
        stop = ScaledToZero(workload=workload, run=step.run, moment=now)
        connection.execute(insert(scaled_to_zero).values(values(stop)))


def _stops(step: StepRecord) -> bool:
    """Return whether a step leaves a workload without pods; a step whose command cannot be read is never executed."""
    if step.command is None or step.phase is not Phase.FORWARD or step.facts.get("already"):
        return False
    try:
        command = decode(step.command)
    except CommandError:
        return False
    return definition_of(command).stops(command)


_DRILL = columns(DrillMemory, drills)


def note_slot(connection: Connection, service: str, slot: datetime) -> None:
    """Note a moment of the schedule as handled, in the caller's transaction."""
    connection.execute(update(drills).where(drills.c.service == service).values(slot=slot))


def note_passed(connection: Connection, service: str, now: datetime) -> None:
    """Note that a drill has passed, in the caller's transaction."""
    if _find(connection, service) is None:
        connection.execute(insert(drills).values(values(DrillMemory(service=service, passed=now))))
    else:
        connection.execute(update(drills).where(drills.c.service == service).values(passed=now))


def _find(connection: Connection, service: str) -> DrillMemory | None:
    query = select(*_DRILL).where(drills.c.service == service)
    return read_one(connection, DrillMemory, query, strict=False)
