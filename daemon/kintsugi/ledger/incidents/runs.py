"""
Transitions of incidents, runs, steps and locks, in the caller's transaction: every one is a compare and set (P4, P8).

A run holds the locks of its own service from its request on. The locks of another service that a step changes are taken before
the first change there, and released at the end of the child that took them, or of the run's last step that may change anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from kintsugi.commands import decode
from kintsugi.commands.registry import definition_of
from kintsugi.errors import BudgetSpent, CommandError, NotRecorded, WrongState
from kintsugi.ledger.good_state import note_passed, note_scale
from kintsugi.ledger.incidents.history import read_changed
from kintsugi.ledger.outbox import put_first_change, put_notice
from kintsugi.ledger.store.rows import columns, read_one, read_strictly, values
from kintsugi.ledger.store.tables import incidents, locks, runs, steps
from kintsugi.ledger.store.texts import clean, dump, for_people
from kintsugi.model.change_limits import Budget, Lock
from kintsugi.model.records import (
    NOT_MADE,
    Incident,
    IncidentState,
    RunKind,
    RunRecord,
    SeenWorkload,
    StepRecord,
    StepState,
)
from kintsugi.model.services import STACK
from kubeobjects.resources import PODS, WORKLOADS

DECISION_LOCK_ID = 0x6B696E02
"""The lock of the turn: a transaction that decides by locks, budgets or history and writes the result holds it."""

_INCIDENT = select(*columns(Incident, incidents))
_BY_ID = _INCIDENT.where(incidents.c.id == bindparam("incident"))
_OPEN = _INCIDENT.where(
    incidents.c.service == bindparam("service"), incidents.c.closed.is_(None), incidents.c.kind == bindparam("kind")
)
_CHANGE_INCIDENT = update(incidents).where(incidents.c.id == bindparam("which"))

_RUN = select(*columns(RunRecord, runs))
_CHILD = _RUN.where(runs.c.parent == bindparam("parent"), runs.c.parent_step == bindparam("step"), runs.c.parent != "")
_LAST_RUN = _RUN.where(runs.c.incident == bindparam("incident"))
_LAST_RUN = _LAST_RUN.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(1)
_RUN_BY_ID = _RUN.where(runs.c.id == bindparam("run"))
_RUN_BY_ID_LOCKED = _RUN_BY_ID.with_for_update()
_CHANGE_RUN = update(runs).where(runs.c.id == bindparam("which"))

_SAME = (steps.c.run == bindparam("of"), steps.c.phase == bindparam("in_phase"), steps.c.path == bindparam("at"))
_STEP_AT = select(*columns(StepRecord, steps)).where(*_SAME)
_PUT_STEP = insert(steps)
_CHANGE_STEP = update(steps).where(*_SAME)
_MADE = (
    select(steps.c.number)
    .where(steps.c.run == bindparam("run"), steps.c.changes, steps.c.state.not_in(NOT_MADE))
    .limit(1)
)

_LOCK = columns(Lock, locks)


def find_incident(connection: Connection, incident: str, *, strict: bool = False) -> Incident:
    """Read an incident as far as it can be; raises `NotRecorded`, and `UnreadableRow` where that must be all of it."""
    found = read_one(connection, Incident, _BY_ID, {"incident": incident}, strict=strict)
    if found is None:
        raise NotRecorded(f"there is no incident {incident}")
    return found


def find_open_incident(connection: Connection, service: str, kind: RunKind) -> Incident | None:
    """Read a service's open incident as far as it can be, None when it has none."""
    return read_one(connection, Incident, _OPEN, {"service": service, "kind": kind}, strict=False)


def change_incident(connection: Connection, incident: str, **changed: object) -> None:
    """Set columns of an incident."""
    connection.execute(_CHANGE_INCIDENT, {"which": incident, **changed})


def find_child(connection: Connection, parent: str, step: str) -> RunRecord | None:
    """Read the run that a step of another run has started as far as it can be, None when it has started none."""
    return read_one(connection, RunRecord, _CHILD, {"parent": parent, "step": step}, strict=False)


def last_run(connection: Connection, incident: str) -> RunRecord | None:
    """Read an incident's newest run as far as it can be, None when it has none."""
    return read_one(connection, RunRecord, _LAST_RUN, {"incident": incident}, strict=False)


def find_run(connection: Connection, run: str, *, lock: bool = False, strict: bool = True) -> RunRecord:
    """Read a run. Raises NotRecorded; UnreadableRow where `strict`."""
    found = read_one(connection, RunRecord, _RUN_BY_ID_LOCKED if lock else _RUN_BY_ID, {"run": run}, strict=strict)
    if found is None:
        raise NotRecorded(f"there is no run {run}")
    return found


def change_run(connection: Connection, run: str, **changed: object) -> None:
    """Set columns of a run."""
    connection.execute(_CHANGE_RUN, {"which": run, **changed})


def move_incident_of(connection: Connection, run: RunRecord) -> None:
    """Move a run's incident with it."""
    change_incident(connection, run.incident, state=run.state, reason=run.reason, closed=run.finished)


def move_run(
    connection: Connection, run: str, state: IncidentState, reason: str, now: datetime, changed: Mapping[str, Any]
) -> RunRecord:
    """Move a run and its incident to a state, with other columns of the run: see `Incidents.move_write`."""
    before = find_run(connection, run, lock=True, strict=False)
    if before.finished is not None:
        if before.state is state:
            return before
        raise WrongState(f"run {run} is over ({before.state}): it cannot become {state}")
    finished = now if state.is_final else None
    changed = {"state": state, "reason": for_people(reason), "finished": finished, **changed}
    after = replace(before, **changed)
    if after == before:
        return before
    change_run(connection, run, **changed)
    if state.is_final:
        connection.execute(delete(locks).where(locks.c.run == run))
    if state is IncidentState.PASSED and before.kind is RunKind.DRILL:
        note_passed(connection, before.service, now)
    move_incident_of(connection, after)
    if before.state is not state:
        put_notice(connection, before.incident, state, reason, now)
    return after


def reopen_run(
    connection: Connection, run: str, reason: str, now: datetime, *, who: str, shown: SeenWorkload | None
) -> RunRecord:
    """Reopen a run that is over to roll it back: see `Incidents.reopen_run`."""
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
    change_run(connection, run, **values(after))
    lock = {"name": f"service {before.service}", "run": run, "path": "", "since": now}
    connection.execute(insert(locks), [lock])
    move_incident_of(connection, after)
    return after


def _refuse_if_taken(connection: Connection, run: RunRecord) -> None:
    other = find_open_incident(connection, run.service, run.kind)
    if other is not None:
        raise WrongState(f"{run.service} has incident {other.id} open: it must end before run {run.id} is rolled back")
    holder = connection.scalar(select(locks.c.run).where(locks.c.name == f"service {run.service}"))
    if holder is not None:
        raise WrongState(f"{run.service} is held by run {holder}")


def save_step(
    connection: Connection,
    step: StepRecord,
    now: datetime,
    *,
    expect: StepState | None,
    budget: Budget | None,
    announced: bool,
) -> None:
    """Write a step that is masked already: see `Incidents.step_write`. `announced`: a person hears of the run's first one."""
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
            change_run(connection, run.id, changed=changed)


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


def _same(written: StepRecord, step: StepRecord) -> bool:
    return dump(values(written)) == dump(values(step))  # as text: tuples come back as lists


def changes_workload(step: StepRecord) -> bool:
    """Return whether a step changes a workload or a pod; not of a command that cannot be read, since no notice may stop a run."""
    if not step.changes or step.command is None:
        return False
    try:
        command = decode(step.command)
    except CommandError:
        return False
    return any(each.resource in (*WORKLOADS, PODS) for each in definition_of(command).objects(command))


def take_locks(connection: Connection, run: str, path: str, names: Sequence[str], now: datetime) -> Lock | None:
    """Take locks for the child of a run, all or none: see `Incidents.take_locks`."""
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
