"""Manual starts, kept in the request's own transaction: the approval, the person and the reason."""

from sqlalchemy import Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.ledger.masking import without_secrets
from kintsugi.ledger.rows import columns, shown, values
from kintsugi.ledger.tables import approvals, runs, steps
from kintsugi.model.manual import MANUAL, ManualStart, Override
from kintsugi.model.records import Approval, RunKind, RunRecord, StepRecord, StepState
from kintsugi.model.step_path import RUN, StepPath

STARTED = str(StepPath.noted("started"))
"""Path under which a run keeps who started it by hand, and why."""

MOST = 100
"""
The most manual starts of one service that are searched for a repeated request: one that is further back is not
repeated.
"""


async def keep_start(connection: AsyncConnection, run: RunRecord, start: ManualStart) -> None:
    """Keep a person's start with its run."""
    approval = Approval(
        incident=run.incident,
        path=str(RUN),
        question=start.question,
        plan=start.plan,
        asked=run.started,
        expires=start.expires,
        who=start.who,
        answered=run.started,
    )
    result = {"who": start.who, "why": start.why, "overrides": list(start.overrides), "plan": start.plan}
    note = StepRecord(
        run=run.id,
        path=STARTED,
        name=start.reason,
        state=StepState.DONE,
        facts={"mark": start.key},
        started=run.started,
        finished=run.started,
        result=result,
        met=True,
    )
    await connection.execute(insert(approvals).values(values(approval)))
    await connection.execute(insert(steps).values(values(await without_secrets(note))))


async def find_started_run(connection: AsyncConnection, service: str, key: str) -> RunRecord | None:
    """Return the run that a start request has started already, however it ended; a request without a key is a new one."""
    if not key:
        return None
    starts = list(await connection.execute(_starts(service)))
    found = next((row.id for row in starts if isinstance(row.facts, dict) and row.facts.get("mark") == key), None)
    if found is None:
        return None
    query = select(*columns(RunRecord, runs)).where(runs.c.id == found)
    return shown(RunRecord, (await connection.execute(query)).one())


async def read_overrides(connection: AsyncConnection, run: str) -> frozenset[Override]:
    """Read the overrides of a run; unreadable ones are left out."""
    kept = await connection.scalar(select(steps.c.result).where(steps.c.run == run, steps.c.path == STARTED))
    named = kept.get("overrides") if isinstance(kept, dict) else None
    return frozenset(each for each in Override if isinstance(named, list | tuple) and each in named)


def _starts(service: str) -> Select[tuple[str, object]]:
    query = select(runs.c.id, steps.c.facts).join(steps, (steps.c.run == runs.c.id) & (steps.c.path == STARTED))
    query = query.where(runs.c.service == service, runs.c.kind == RunKind.RECOVERY, runs.c.rule == MANUAL)
    return query.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(MOST)
