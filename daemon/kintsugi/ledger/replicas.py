"""The replicas of workloads, and the run that scaled one to 0: these decide whether it may be started again."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.commands import decode
from kintsugi.commands.registry import definition_of
from kintsugi.errors import CommandError
from kintsugi.ledger.repository import Repository
from kintsugi.ledger.rows import columns, record, values
from kintsugi.ledger.tables import scaled_to_zero, seen_replicas
from kintsugi.model.known import ScaledToZero, SeenReplicas
from kintsugi.model.records import NOT_MADE, Phase, StepRecord, StepState


class ReplicaRepository(Repository):
    """The replicas of workloads, kept as long as these exist."""

    async def note_replicas(self, seen: Sequence[SeenReplicas]) -> None:
        """Keep the seen replicas in place of earlier ones."""

        async def work(connection: AsyncConnection) -> None:
            known = [each.workload for each in seen]
            await connection.execute(delete(seen_replicas).where(seen_replicas.c.workload.in_(known)))
            await connection.execute(insert(seen_replicas), [values(each) for each in seen])

        if seen:
            await self._store.write("note-replicas", work)

    async def seen_replicas(self, workload: str) -> SeenReplicas | None:
        """Return the replicas that a workload (by uid) was last seen with. Raises UnreadableRow."""
        query = select(*columns(SeenReplicas, seen_replicas)).where(seen_replicas.c.workload == workload)
        return next(iter(await self._whole(SeenReplicas, query)), None)

    async def scaled_to_zero(self, workload: str) -> ScaledToZero | None:
        """Return the run that last scaled a workload (by uid) to 0, None for none."""
        return await self._store.read(lambda connection: read_scaled_to_zero(connection, workload))


async def read_scaled_to_zero(connection: AsyncConnection, workload: str) -> ScaledToZero | None:
    """Read which run has scaled a workload to 0 last. Raises UnreadableRow."""
    query = select(*columns(ScaledToZero, scaled_to_zero)).where(scaled_to_zero.c.workload == workload)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else record(ScaledToZero, row)


async def note_scale(connection: AsyncConnection, step: StepRecord, now: datetime) -> None:
    """
    Note in the caller's transaction that a run scales a workload to 0 on its way forward, from the intent on.

    What turns out not to have been made is forgotten.
    """
    workload = step.facts.get("uid")
    if not isinstance(workload, str) or not _stops(step):
        return
    same = scaled_to_zero.c.workload == workload
    if step.state in NOT_MADE:
        await connection.execute(delete(scaled_to_zero).where(same, scaled_to_zero.c.run == step.run))
    elif step.state is StepState.INTENT:
        await connection.execute(delete(scaled_to_zero).where(same))
        stop = ScaledToZero(workload=workload, run=step.run, moment=now)
        await connection.execute(insert(scaled_to_zero).values(values(stop)))


def _stops(step: StepRecord) -> bool:
    """Return whether a step leaves a workload without pods; a step whose command cannot be read is never executed."""
    if step.command is None or step.phase is not Phase.FORWARD or step.facts.get("already"):
        return False
    try:
        command = decode(step.command)
    except CommandError:
        return False
    return definition_of(command).stops(command)
