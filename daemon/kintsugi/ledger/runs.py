"""
Runs and their steps: every transition is a compare and set under the leader's epoch (P4, P8).
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.errors import BudgetSpent, NotRecorded, WrongState
from kintsugi.ledger.chapter import Chapter
from kintsugi.ledger.claims import TURN
from kintsugi.ledger.drills import note_passed
from kintsugi.ledger.history import read_disruptions
from kintsugi.ledger.masking import without_secrets
from kintsugi.ledger.outbox import tell
from kintsugi.ledger.rows import columns, record, shown, values
from kintsugi.ledger.tables import incidents, locks, runs, steps
from kintsugi.ledger.texts import clean, dump
from kintsugi.model.bounds import Budget
from kintsugi.model.records import IncidentState, RunKind, RunRecord, StepRecord, StepState

_STEP = columns(StepRecord, steps)
_RUN = columns(RunRecord, runs)
_NOT_MADE = (StepState.PLANNED, StepState.SKIPPED, StepState.FAILED)
"""States of a change that surely was not made."""


class Runs(Chapter):
    """Runs and steps, written by the leader and read by people."""

    async def open_runs(self) -> tuple[RunRecord, ...]:
        """
        Give the unfinished runs, oldest first: what a restart takes up again.

        None is left out because it cannot be read: whoever takes it up is told by `run`, and closes it.
        """
        query = select(*_RUN).where(runs.c.finished.is_(None)).order_by(runs.c.started, runs.c.id)
        return await self._shown(RunRecord, query)

    async def run(self, run: str) -> RunRecord:
        """Return one run; raises `NotRecorded`, and `UnreadableRow` where any of it cannot be read."""
        return await self._store.look(lambda connection: _find_run(connection, run))

    async def runs_of(self, incident: str) -> tuple[RunRecord, ...]:
        """Give an incident's runs, oldest first."""
        query = select(*_RUN).where(runs.c.incident == incident).order_by(runs.c.started, runs.c.id)
        return await self._shown(RunRecord, query)

    async def steps(self, run: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        """
        Give a run's steps in the order in which they were first written.

        `strict`: raises `UnreadableRow` where any of them cannot be read, since none may be missing where a run goes on;
        else each is given as far as it can be read.
        """
        query = select(*_STEP).where(steps.c.run == run).order_by(steps.c.number)
        rows = await self._rows(StepRecord, query)
        return tuple((record if strict else shown)(StepRecord, row) for row in rows)

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None:
        """
        Write a step if it still is in state `expect` (None: not written yet).

        A changing step that goes to INTENT marks its run as changed until it turns out not to have been made, and is counted against the `budget` of its namespace
        in this very transaction (P7). Raises `BudgetSpent`; `WrongState` when the step is in another state, or when a
        new intent comes for a run that is over; `StaleEpoch`, `LedgerUnavailable`. Secrets are masked on the way.
        """
        step = await without_secrets(step)

        async def work(connection: AsyncConnection) -> None:
            if budget is not None:
                await self._store.take_turns(connection, TURN)
            run = await _find_run(connection, step.run, lock=True)
            written = await _find_step(connection, step)
            if written is not None and _same(written, step):
                return  # this very transition has landed already
            state = None if written is None else written.state
            if state is not expect:
                raise WrongState(
                    f"step {step.path} of run {step.run} is {state or 'not written'}, expected {expect or 'not written'}"
                )
            if step.state is StepState.INTENT and run.finished is not None:
                raise WrongState(f"run {step.run} is over ({run.state}): no new intent for {step.path}")
            if budget is not None:
                await _spend(connection, step.namespace, budget)
            await _put_step(connection, step, known=written is not None)
            if step.changes:
                changed = step.state not in _NOT_MADE or await _has_changed(connection, run.id)
                if changed is not run.changed:
                    await connection.execute(update(runs).where(runs.c.id == run.id).values(changed=changed))

        await self._store.write(f"save-step {step.path} {step.state}", work, fenced=True)

    async def reopen_run(self, run: str, reason: str, now: datetime) -> RunRecord:
        """
        Take up a run that is over, to roll it back: a person wants it so.

        Its incident is open again and its service locked. Raises `WrongState` while the service has another incident
        open or its lock is held; a run that is not over is given back as it is.
        """

        async def work(connection: AsyncConnection) -> RunRecord:
            before = await _find_run(connection, run, lock=True)
            if before.finished is None:
                return before
            if before.kind is RunKind.DRILL:
                raise WrongState(f"run {run} was a drill: it has taken back all that it made, and touched nothing else")
            await _refuse_if_taken(connection, before)
            after = replace(before, state=IncidentState.ROLLING_BACK, reason=clean(reason), finished=None)
            await connection.execute(update(runs).where(runs.c.id == run).values(values(after)))
            lock = {"name": f"service {before.service}", "run": run, "since": now}
            await connection.execute(insert(locks), [lock])
            await _move_incident(connection, before.incident, after)
            return after

        return await self._store.write("reopen-run", work, fenced=True)

    async def move_run(
        self,
        run: str,
        state: IncidentState,
        reason: str,
        now: datetime,
        *,
        deadline: datetime | None = None,
        walked: datetime | None = None,
    ) -> RunRecord:
        """
        Move a run and its incident to a state; `deadline` and `walked` are left as they are when None.

        A final state finishes the run, closes the incident and frees the locks. States that a person is told of put a
        notice into the outbox, in the same transaction. A run that is over stays as it is: moved to the same state it
        is given back, to another one raises `WrongState`. One that cannot be read can be moved all the same: to its end.
        """

        async def work(connection: AsyncConnection) -> RunRecord:
            before = await _find_run(connection, run, lock=True, strict=False)
            if before.finished is not None:
                if before.state is state:
                    return before
                raise WrongState(f"run {run} is over ({before.state}): it cannot become {state}")
            after = replace(
                before,
                state=state,
                reason=clean(reason),
                deadline=deadline or before.deadline,
                walked=walked or before.walked,
                finished=now if state.is_final else None,
            )
            if after == before:
                return before
            moved = {"state": after.state, "reason": after.reason, "finished": after.finished}
            moved |= {name: moment for name, moment in (("deadline", deadline), ("walked", walked)) if moment}
            await connection.execute(update(runs).where(runs.c.id == run).values(moved))
            if state.is_final:
                await connection.execute(delete(locks).where(locks.c.run == run))
            if state is IncidentState.PASSED:
                await note_passed(connection, before.service, now)
            await _move_incident(connection, before.incident, after)
            if before.state is not state:
                await tell(connection, before.incident, state, reason, now)
            return after

        return await self._store.write(f"move-run {state}", work, fenced=True)


async def _find_run(connection: AsyncConnection, run: str, *, lock: bool = False, strict: bool = True) -> RunRecord:
    query = select(*_RUN).where(runs.c.id == run)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotRecorded(f"there is no run {run}")
    return record(RunRecord, row) if strict else shown(RunRecord, row)


async def _refuse_if_taken(connection: AsyncConnection, run: RunRecord) -> None:
    others = select(incidents.c.id).where(incidents.c.service == run.service, incidents.c.closed.is_(None))
    others = others.where(incidents.c.kind == run.kind)
    other = await connection.scalar(others.limit(1))
    if other is not None:
        raise WrongState(f"{run.service} has incident {other} open: it must end before run {run.id} is rolled back")
    holder = await connection.scalar(select(locks.c.run).where(locks.c.name == f"service {run.service}"))
    if holder is not None:
        raise WrongState(f"{run.service} is held by run {holder}")


async def _has_changed(connection: AsyncConnection, run: str) -> bool:
    made = select(steps.c.number).where(steps.c.run == run, steps.c.changes, steps.c.state.not_in(_NOT_MADE))
    return await connection.scalar(made.limit(1)) is not None


async def _spend(connection: AsyncConnection, namespace: str, budget: Budget) -> None:
    spent = len(await read_disruptions(connection, namespace, budget.since))
    if spent >= budget.most:
        raise BudgetSpent(f"{spent} changes in {namespace} of late, the budget is {budget.most}")


async def _find_step(connection: AsyncConnection, step: StepRecord) -> StepRecord | None:
    query = select(*_STEP).where(steps.c.run == step.run, steps.c.phase == step.phase, steps.c.path == step.path)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else record(StepRecord, row)


async def _put_step(connection: AsyncConnection, step: StepRecord, *, known: bool) -> None:
    if not known:
        await connection.execute(insert(steps).values(values(step)))
        return
    same = (steps.c.run == step.run, steps.c.phase == step.phase, steps.c.path == step.path)
    await connection.execute(update(steps).where(*same).values(values(step)))


async def _move_incident(connection: AsyncConnection, incident: str, run: RunRecord) -> None:
    moved = update(incidents).where(incidents.c.id == incident)
    await connection.execute(moved.values(state=run.state, reason=run.reason, closed=run.finished))


def _same(written: StepRecord, step: StepRecord) -> bool:
    return dump(values(written)) == dump(values(step))  # as text: tuples come back as lists
