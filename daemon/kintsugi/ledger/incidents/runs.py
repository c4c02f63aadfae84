"""
Runs, their steps and their locks: every transition is a compare and set under the leader's epoch (P4, P8). And the facts for
the gate before every effect, and the documents of runs.

A run holds the locks of its own service from its request on. The locks of another service that a step changes are taken before
the first change there, and released at the end of the child that took them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from kintsugi.commands import decode
from kintsugi.commands.registry import definition_of
from kintsugi.errors import BudgetSpent, CommandError, NotRecorded, WrongState
from kintsugi.ledger.good_state import note_passed, note_scale
from kintsugi.ledger.incidents.history import RESUMED, read_changed, read_changes, read_pauses, slot_namespaces
from kintsugi.ledger.incidents.run_requests import DECISION_LOCK_ID
from kintsugi.ledger.outbox import put_first_change, put_notice
from kintsugi.ledger.store.rows import columns, read_leniently, read_one, read_strictly, values
from kintsugi.ledger.store.tables import catalogs, incidents, locks, runs, steps
from kintsugi.ledger.store.texts import clean, dump, for_people, without_secrets
from kintsugi.ledger.store.transactions import LedgerWrite, Repository
from kintsugi.model.api_types import CurrentStep
from kintsugi.model.change_limits import Budget, Disruptions, Lock
from kintsugi.model.history import HANDED_OVER_OUTCOMES, INCONCLUSIVE_OUTCOMES, MadeChange
from kintsugi.model.records import (
    NO_UPDATE,
    NOT_MADE,
    IncidentState,
    Pause,
    RunKind,
    RunRecord,
    RunUpdate,
    SeenWorkload,
    StepRecord,
    StepState,
)
from kintsugi.model.services import STACK
from kintsugi.model.step_path import NOTES_LIKE
from kubeobjects.resources import PODS, WORKLOADS

_STEP = columns(StepRecord, steps)
_RUN = columns(RunRecord, runs)

_BY_ID = select(*_RUN).where(runs.c.id == bindparam("run"))
_BY_ID_LOCKED = _BY_ID.with_for_update()
_OF_INCIDENT = select(*_RUN).where(runs.c.incident == bindparam("incident")).order_by(runs.c.started, runs.c.id)
_CHILDREN = select(*_RUN).where(runs.c.parent == bindparam("run"), runs.c.parent != "")
_CHILDREN = _CHILDREN.order_by(runs.c.started, runs.c.id)
_OPEN_CHILDREN = _CHILDREN.where(runs.c.finished.is_(None))
_CHANGE_RUN = update(runs).where(runs.c.id == bindparam("which"))
_CHANGE_INCIDENT = update(incidents).where(incidents.c.id == bindparam("which"))

_STEPS = select(*_STEP).where(steps.c.run == bindparam("run")).order_by(steps.c.number)
_SAME = (steps.c.run == bindparam("of"), steps.c.phase == bindparam("in_phase"), steps.c.path == bindparam("at"))
_STEP_AT = select(*_STEP).where(*_SAME)
_PUT_STEP = insert(steps)
_CHANGE_STEP = update(steps).where(*_SAME)
_MADE = (
    select(steps.c.number)
    .where(steps.c.run == bindparam("run"), steps.c.changes, steps.c.state.not_in(NOT_MADE))
    .limit(1)
)


class RunRepository(Repository):
    """Runs and steps, written by the leader and read by people."""

    async def open_runs(self) -> tuple[RunRecord, ...]:
        """
        Return the unfinished runs, oldest first: a restart resumes them.

        Unreadable ones are included: the supervisor learns by `get` that one cannot be read, and closes it.
        """
        query = select(*_RUN).where(runs.c.finished.is_(None)).order_by(runs.c.started, runs.c.id)
        return await self._shown(RunRecord, query)

    async def current_steps(self, of: Sequence[str]) -> dict[str, CurrentStep]:
        """Return by run the step that was begun last, without its result; notes (`@started`) are no steps."""
        last = select(func.max(steps.c.number)).where(steps.c.run.in_(of), steps.c.path.not_like(NOTES_LIKE))
        query = select(steps.c.run, steps.c.path, steps.c.name, steps.c.state)
        query = query.where(steps.c.number.in_(last.group_by(steps.c.run)))
        rows = await self._select(query) if of else ()
        return {row.run: CurrentStep(path=row.path, name=row.name, state=row.state) for row in rows}

    async def handed_over(self, since: datetime) -> dict[str, RunRecord]:
        """Return by service its last conclusive recovery since a moment, where a person has it, and has not resumed it."""
        conclusive = (runs.c.kind == RunKind.RECOVERY, runs.c.state.not_in(INCONCLUSIVE_OUTCOMES))
        query = select(*_RUN).where(runs.c.finished > since, *conclusive).order_by(runs.c.finished, runs.c.id)
        last = {each.service: each for each in await self._shown(RunRecord, query)}
        left = {name: each for name, each in last.items() if each.state in HANDED_OVER_OUTCOMES}
        which = select(runs.c.id).where(runs.c.id.in_([each.id for each in left.values()]), RESUMED.is_not(None))
        resumed = await self._scalars(which) if left else ()
        return {name: each for name, each in left.items() if each.id not in resumed}

    async def get(self, run: str) -> RunRecord:
        """Return one run; raises `NotRecorded`, and `UnreadableRow` where any of it cannot be read."""
        return await self._store.read(lambda connection: find_run(connection, run))

    async def of_incident(self, incident: str) -> tuple[RunRecord, ...]:
        """Return an incident's runs, oldest first."""
        return await self._shown(RunRecord, _OF_INCIDENT, {"incident": incident})

    async def children_of(self, run: str) -> tuple[RunRecord, ...]:
        """Return the runs that the steps of a run have started, oldest first."""
        return await self._shown(RunRecord, _CHILDREN, {"run": run})

    async def open_children_of(self, run: str) -> tuple[RunRecord, ...]:
        """Return those of them that are not over, oldest first."""
        return await self._shown(RunRecord, _OPEN_CHILDREN, {"run": run})

    async def steps(self, run: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        """
        Return a run's steps in the order in which they were first written.

        `strict`: raises `UnreadableRow` where any of them cannot be read, since a run that goes on needs them all; else each
        is returned as far as it can be read.
        """
        rows = await self._rows(StepRecord, _STEPS, {"run": run})
        return tuple((read_strictly if strict else read_leniently)(StepRecord, row) for row in rows)

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None:
        """
        Write a step if it still is in state `expect` (None: not written yet).

        A changing step that goes to INTENT marks its run as changed until it turns out not to have been made, and is counted
        against the `budget` of its namespace and of the pods that must stay, in the same transaction (P7). The first intent of
        a run to change a workload or its pods puts a notice into the outbox. Raises
        `BudgetSpent`; `WrongState` when the step is in another state, or for a new intent of a run that is over;
        `StaleEpoch`, `LedgerUnavailable`. Secrets are masked.
        """
        await self._store.write_all([await self.step_write(step, expect=expect, now=now, budget=budget)], fenced=True)

    async def step_write(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> LedgerWrite[None]:
        """Return what `save_step` writes."""
        announced = step.state is StepState.INTENT and changes_workload(step)
        step = await without_secrets(step)

        def work(connection: Connection) -> None:
            if budget is not None:
                self._store.take_advisory_lock(connection, DECISION_LOCK_ID)
            run = find_run(connection, step.run, lock=True)
            written = _find_step(connection, step)
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
                _spend(connection, step, budget)
            _put_step(connection, step, known=written is not None)
            if announced and run.kind is RunKind.RECOVERY:
                put_first_change(connection, run, step, now)
            if step.changes:
                note_scale(connection, step, now)
                changed = step.state not in NOT_MADE or _has_changed(connection, run.id)
                if changed is not run.changed:
                    connection.execute(_CHANGE_RUN, {"which": run.id, "changed": changed})

        return LedgerWrite(name=f"save-step {step.path} {step.state}", work=work)

    async def reopen_run(
        self, run: str, reason: str, now: datetime, *, who: str, shown: SeenWorkload | None = None
    ) -> RunRecord:
        """
        Reopen a run that is over to roll it back, as `who` requests, who was shown the workload.

        Its incident is open again and its service locked. Raises `WrongState` while the service has another incident open or
        its lock is held; a run that is not over is returned as it is.
        """

        def work(connection: Connection) -> RunRecord:
            before = find_run(connection, run, lock=True)
            if before.finished is None:
                return before
            if before.kind is not RunKind.RECOVERY and before.state is not IncidentState.NEEDS_OPERATOR:
                raise WrongState(f"run {run} was a {before.kind}, which has undone all its changes")
            if before.service == STACK:
                raise WrongState(f"run {run} has changed nothing itself: roll back the runs that it started")
            _refuse_if_taken(connection, before)
            after = replace(
                before,
                state=IncidentState.ROLLING_BACK,
                reason=for_people(reason),
                finished=None,
                rollback_requested_by=clean(who),
                workload_decided=shown,
            )
            connection.execute(_CHANGE_RUN, {"which": run, **values(after)})
            lock = {"name": f"service {before.service}", "run": run, "path": "", "since": now}
            connection.execute(insert(locks), [lock])
            move_incident(connection, before.incident, after)
            return after

        return await self._store.write("reopen-run", work, fenced=True)

    async def move_run(self, run: str, state: IncidentState, reason: str, now: datetime) -> RunRecord:
        """Move a run and its incident to a state: see `move_write`. Raises StaleEpoch, LedgerUnavailable."""
        move = self.move_write(run, state, reason, now)
        return await self._store.write(move.name, move.work, fenced=True)

    def move_write(
        self,
        run: str,
        state: IncidentState,
        reason: str,
        now: datetime,
        *,
        deadline: datetime | None = None,
        updates: RunUpdate = NO_UPDATE,
    ) -> LedgerWrite[RunRecord]:
        """
        Move a run and its incident to a state; `deadline` is left as it is when None.

        A final state finishes the run, closes the incident and frees the locks. States with a notice put it into the outbox, in
        the same transaction. A run that is over does not change: it is returned for the same state, and `WrongState` is raised
        for another one. An unreadable run can be moved, too: to its end.
        """

        def work(connection: Connection) -> RunRecord:
            before = find_run(connection, run, lock=True, strict=False)
            if before.finished is not None:
                if before.state is state:
                    return before
                raise WrongState(f"run {run} is over ({before.state}): it cannot become {state}")
            after = replace(
                before,
                state=state,
                reason=for_people(reason),
                deadline=deadline or before.deadline,
                finished=now if state.is_final else None,
                **(columns := columns_of(updates)),
            )
            if after == before:
                return before
            moved = {"state": after.state, "reason": after.reason, "finished": after.finished, **columns}
            moved |= {"deadline": deadline} if deadline else {}
            connection.execute(_CHANGE_RUN, {"which": run, **moved})
            if state.is_final:
                connection.execute(delete(locks).where(locks.c.run == run))
            if state is IncidentState.PASSED and before.kind is RunKind.DRILL:
                note_passed(connection, before.service, now)
            move_incident(connection, before.incident, after)
            if before.state is not state:
                put_notice(connection, before.incident, state, reason, now)
            return after

        return LedgerWrite(name=f"move-run {state}", work=work)

    def update_write(self, run: str, updates: RunUpdate) -> LedgerWrite[RunRecord]:
        """Write a run's findings; its state stays. Raises NotRecorded, UnreadableRow."""
        columns = columns_of(updates)

        def work(connection: Connection) -> RunRecord:
            before = find_run(connection, run, lock=True)
            connection.execute(_CHANGE_RUN, {"which": run, **columns})
            return replace(before, **columns)

        return LedgerWrite(name=f"update-run {' '.join(columns)}", work=work)


def changes_workload(step: StepRecord) -> bool:
    """Return whether a step changes a workload or a pod; not of a command that cannot be read, since no notice may stop a run."""
    if not step.changes or step.command is None:
        return False
    try:
        command = decode(step.command)
    except CommandError:
        return False
    return any(each.resource in (*WORKLOADS, PODS) for each in definition_of(command).objects(command))


def find_run(connection: Connection, run: str, *, lock: bool = False, strict: bool = True) -> RunRecord:
    """Read a run. Raises NotRecorded; UnreadableRow where `strict`."""
    found = read_one(connection, RunRecord, _BY_ID_LOCKED if lock else _BY_ID, {"run": run}, strict=strict)
    if found is None:
        raise NotRecorded(f"there is no run {run}")
    return found


def columns_of(updates: RunUpdate) -> dict[str, Any]:
    """Return the columns that an update sets."""
    return {name: clean(value) if isinstance(value, str) else value for name, value in updates.given.items()}


def _refuse_if_taken(connection: Connection, run: RunRecord) -> None:
    others = select(incidents.c.id).where(incidents.c.service == run.service, incidents.c.closed.is_(None))
    others = others.where(incidents.c.kind == run.kind)
    other = connection.scalar(others.limit(1))
    if other is not None:
        raise WrongState(f"{run.service} has incident {other} open: it must end before run {run.id} is rolled back")
    holder = connection.scalar(select(locks.c.run).where(locks.c.name == f"service {run.service}"))
    if holder is not None:
        raise WrongState(f"{run.service} is held by run {holder}")


def _has_changed(connection: Connection, run: str) -> bool:
    return connection.scalar(_MADE, {"run": run}) is not None


def _spend(connection: Connection, step: StepRecord, budget: Budget) -> None:
    changed = (read_changed(connection, (step.namespace,), budget.since))[step.namespace]
    spent = len(changed.moments)
    if spent >= budget.most:
        raise BudgetSpent(f"{spent} changes in {step.namespace} within the budget window, the budget is {budget.most}")
    for pods in budget.pods:
        objection = pods.objection(str(step.facts.get("uid", "")), changed.objects)
        if objection:
            raise BudgetSpent(objection)


def _find_step(connection: Connection, step: StepRecord) -> StepRecord | None:
    return read_one(connection, StepRecord, _STEP_AT, _place(step))


def _place(step: StepRecord) -> dict[str, object]:
    return {"of": step.run, "in_phase": step.phase, "at": step.path}


def _put_step(connection: Connection, step: StepRecord, *, known: bool) -> None:
    if known:
        connection.execute(_CHANGE_STEP, {**_place(step), **values(step)})
    else:
        connection.execute(_PUT_STEP, values(step))


def move_incident(connection: Connection, incident: str, run: RunRecord) -> None:
    """Move a run's incident with it."""
    moved = {"state": run.state, "reason": run.reason, "closed": run.finished}
    connection.execute(_CHANGE_INCIDENT, {"which": incident, **moved})


def _same(written: StepRecord, step: StepRecord) -> bool:
    return dump(values(written)) == dump(values(step))  # as text: tuples come back as lists


class CatalogRepository(Repository):
    """The documents of runs, by the digest of their catalog."""

    async def keep_catalog(self, digest: str, texts: Mapping[str, str]) -> None:
        """
        Keep the documents of a digest, file by file, for runs that outlive a reload.

        It is called whenever a catalog is activated, also an earlier one again: the newest are never deleted.
        """
        rows = [{"digest": digest, "file": file, "text": text} for file, text in texts.items()]
        await self._replace("keep-catalog", delete(catalogs).where(catalogs.c.digest == digest), rows)

    async def catalog_texts(self, digest: str) -> Mapping[str, str]:
        """Return the documents of a digest by file; empty when they were never kept."""
        query = select(catalogs.c.file, catalogs.c.text).where(catalogs.c.digest == digest).order_by(catalogs.c.file)
        return {row.file: row.text for row in await self._select(query)}


_LOCK = columns(Lock, locks)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentChanges:
    """The pauses in force, and the changes in a namespace since a moment; `changes` are the forward ones, one by one."""

    pauses: tuple[Pause, ...] = ()
    disruptions: Disruptions = field(default_factory=Disruptions)
    changes: tuple[MadeChange, ...] = ()


class AdmissionRepository(Repository):
    """Asked before every attempt of every effect."""

    async def constraints(
        self, namespace: str, since: datetime, now: datetime, *, changes: bool = False
    ) -> RecentChanges:
        """
        Return what may block a change in a namespace now; with `changes` also the forward changes there.

        Raises `StaleEpoch` when another daemon leads.
        """

        def work(connection: Connection) -> RecentChanges:
            self._store.check_epoch(connection)
            changed = read_changed(connection, (namespace,), since)
            return RecentChanges(
                pauses=read_pauses(connection, now),
                disruptions=changed[namespace],
                changes=read_changes(connection, namespace, since) if changes else (),
            )

        return await self._store.read(work)

    async def disruptions(self, namespaces: Collection[str], since: datetime) -> Mapping[str, Disruptions]:
        """Return the changes in some namespaces since a moment."""
        return await self._store.read(lambda connection: read_changed(connection, namespaces, since))

    async def take_slot(
        self, run: str, refusal: Callable[[tuple[str, ...]], str], reason: str, now: datetime, *, deadline: datetime
    ) -> RunRecord | None:
        """
        Let a held run continue, with a new deadline; return None when `refusal` gives a reason against it.

        `refusal` gets the namespaces of the services that have a slot, one for each; no request changes them meanwhile. A run
        that is not held is returned as it is.
        """

        def work(connection: Connection) -> RunRecord | None:
            self._store.take_advisory_lock(connection, DECISION_LOCK_ID)
            before = find_run(connection, run, lock=True)
            if before.state is not IncidentState.HELD:
                return before
            if refusal(slot_namespaces(connection)):
                return None
            after = replace(before, state=IncidentState.RUNNING, reason=for_people(reason), deadline=deadline)
            connection.execute(_CHANGE_RUN, {"which": run, **values(after)})
            move_incident(connection, before.incident, after)
            return after

        return await self._store.write("take-slot", work, fenced=True)

    async def locks_of(self, run: str) -> tuple[Lock, ...]:
        """Return the locks that a run holds."""
        found = await self._select(select(*_LOCK).where(locks.c.run == run).order_by(locks.c.name))
        return tuple(read_strictly(Lock, row) for row in found)

    async def take_locks(self, run: str, path: str, names: Sequence[str], now: datetime) -> Lock | None:
        """
        Take some locks for the child of a run at a path ("" for the run itself): all of them or none.

        Return None when the run has them, else a lock that another run holds. Raises `WrongState` for a run that is over.
        """

        def work(connection: Connection) -> Lock | None:
            self._store.take_advisory_lock(connection, DECISION_LOCK_ID)
            row = connection.execute(select(runs.c.finished).where(runs.c.id == run)).one_or_none()
            if row is None:
                raise NotRecorded(f"there is no run {run}")
            if row.finished is not None:
                raise WrongState(f"run {run} is over: it takes no locks")
            found = connection.execute(select(*_LOCK).where(locks.c.name.in_(names)).order_by(locks.c.name))
            held = [read_strictly(Lock, each) for each in found]
            foreign = next((lock for lock in held if lock.run != run), None)
            if foreign is not None:
                return foreign
            known = {lock.name for lock in held}
            new = [{"name": name, "run": run, "path": path, "since": now} for name in names if name not in known]
            if new:
                connection.execute(insert(locks), new)
            return None

        return await self._store.write(f"take-locks {path}", work, fenced=True)

    async def release_locks(self, run: str, path: str) -> None:
        """Release the locks that the child of a run at a path has taken."""
        held = delete(locks).where(locks.c.run == run, locks.c.path == path)
        await self._execute(f"release-locks {path}", held, fenced=True)
