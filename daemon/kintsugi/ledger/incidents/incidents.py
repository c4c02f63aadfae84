"""
Incidents, and all that is theirs: requests, runs, steps, locks, diagnoses and evidence.

A run request is known by its signal: repeated after a lost answer, it gives what was decided the first time (D2).
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from kintsugi.errors import WrongState
from kintsugi.ledger.good_state import read_scaled_to_zero
from kintsugi.ledger.incidents.diagnoses import EvidenceRecord, stored_diagnosis, stored_evidence
from kintsugi.ledger.incidents.history import (
    read_changed,
    read_changes,
    read_ended,
    read_history,
    read_pauses,
    read_remedies,
    read_restarts,
    read_upstreams,
    slot_namespaces,
)
from kintsugi.ledger.incidents.run_requests import (
    Decide,
    Decision,
    RunRequest,
    RunRequestResult,
    known_start,
    read_overrides,
)
from kintsugi.ledger.incidents.runs import (
    DECISION_LOCK_ID,
    change_incident,
    change_run,
    changes_workload,
    find_incident,
    find_run,
    move_incident_of,
    move_run,
    reopen_run,
    save_step,
    take_locks,
)
from kintsugi.ledger.outbox import put_notice, put_notice_once, withdraw_notices
from kintsugi.ledger.store.rows import columns, read_leniently, read_one, read_strictly, values
from kintsugi.ledger.store.tables import diagnoses, evidence, incidents, locks, runs, steps
from kintsugi.ledger.store.texts import clean, for_people, without_secrets
from kintsugi.ledger.store.transactions import Aggregate, LedgerWrite, insert_once
from kintsugi.model.api_types import CurrentStep
from kintsugi.model.change_limits import Budget, Disruptions, Lock
from kintsugi.model.history import History, MadeChange, PastRun, RunRemedies
from kintsugi.model.identity import new_id
from kintsugi.model.manual import Override
from kintsugi.model.outages import Fault
from kintsugi.model.records import (
    NEEDLESS,
    NO_UPDATE,
    NOT_MADE,
    Incident,
    IncidentState,
    KeptDiagnosis,
    Occasion,
    Pause,
    Reason,
    RunKind,
    RunRecord,
    RunUpdate,
    SeenWorkload,
    StepRecord,
    StepState,
    Verdict,
    VerdictKind,
)
from kintsugi.model.rules import Mode
from kintsugi.model.step_path import NOTES_LIKE
from kintsugi.offload import searched

_INCIDENT = columns(Incident, incidents)
_OF_OBSERVER = (
    incidents.c.service == RunKind.OBSERVER,
    incidents.c.kind == RunKind.OBSERVER,
    incidents.c.closed.is_(None),
)
_RUN = columns(RunRecord, runs)
_OF_INCIDENT = select(*_RUN).where(runs.c.incident == bindparam("incident")).order_by(runs.c.started, runs.c.id)
_CHILDREN = select(*_RUN).where(runs.c.parent == bindparam("run"), runs.c.parent != "")
_CHILDREN = _CHILDREN.order_by(runs.c.started, runs.c.id)
_OPEN_CHILDREN = _CHILDREN.where(runs.c.finished.is_(None))
_STEPS = select(*columns(StepRecord, steps)).where(steps.c.run == bindparam("run")).order_by(steps.c.number)
_LOCK = columns(Lock, locks)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentChanges:
    """The pauses in force, and the changes in a namespace since a moment; `changes` are the forward ones, one by one."""

    pauses: tuple[Pause, ...] = ()
    disruptions: Disruptions = field(default_factory=Disruptions)
    changes: tuple[MadeChange, ...] = ()


class Incidents(Aggregate):
    """Incidents and runs: requested, moved by the leader, and read by people."""

    async def newest(self, *, limit: int = 50, service: str = "", open_only: bool = False) -> tuple[Incident, ...]:
        """Return incidents, newest first."""
        query = select(*_INCIDENT)
        if service:
            query = query.where(incidents.c.service == service)
        if open_only:
            query = query.where(incidents.c.closed.is_(None))
        query = query.order_by(incidents.c.opened.desc(), incidents.c.id.desc()).limit(limit)

        return await self._shown(Incident, query)

    async def get(self, incident: str, *, strict: bool = True) -> Incident:
        """
        Return one incident; raises `NotRecorded`.

        `strict`: raises `UnreadableRow` where any of it cannot be read; else the rest is returned.
        """
        return await self._store.read(lambda connection: find_incident(connection, incident, strict=strict))

    async def move_incident(
        self, incident: str, state: IncidentState, reason: str, now: datetime, *, notify: bool = False
    ) -> Incident:
        """
        Move an incident without an unfinished run (held, awaiting approval), for instance when its upstream has recovered.

        `notify`: a person is notified also of a state that has no notice as a rule. Raises `WrongState` while a run is under
        way (use `move_run` then) and when the incident is closed.
        """

        def work(connection: Connection) -> Incident:
            before = find_incident(connection, incident)
            if before.state is state and before.reason == for_people(reason):
                return before
            going = select(runs.c.id).where(runs.c.incident == incident, runs.c.finished.is_(None))
            if before.closed is not None or connection.execute(going).first() is not None:
                raise WrongState(f"incident {incident} is {before.state}: it cannot become {state}")
            after = replace(before, state=state, reason=for_people(reason), closed=now if state.is_final else None)
            change_incident(connection, incident, state=after.state, reason=after.reason, closed=after.closed)
            if notify:
                put_notice_once(connection, incident, state, reason, now)
            elif before.state is not state:
                put_notice(connection, incident, state, reason, now)
            return after

        return await self._store.write("move-incident", work, fenced=True)

    async def observer_incident(self) -> Incident | None:
        """Return the open incident about the observer itself, None when it has none."""
        found = await self._shown(Incident, select(*_INCIDENT).where(*_OF_OBSERVER))
        return next(iter(found), None)

    async def open_observer_incident(self, reason: str, mode: Mode, now: datetime) -> Incident:
        """Open the incident about the observer itself and leave a notice of it; one that is open already stays."""

        def work(connection: Connection) -> Incident:
            query = select(*_INCIDENT).where(*_OF_OBSERVER)
            known = read_one(connection, Incident, query, strict=False)
            if known is not None:
                return known
            opened = Incident(
                id=new_id("inc", now),
                service=RunKind.OBSERVER,
                rule="",
                runbook="",
                mode=mode,
                state=IncidentState.OPEN,
                reason=for_people(reason),
                opened=now,
                kind=RunKind.OBSERVER,
            )
            connection.execute(insert(incidents).values(values(opened)))
            put_notice_once(connection, opened.id, opened.state, reason, now)
            return opened

        return await self._store.write("open-observer-incident", work, fenced=True)

    async def request_run(self, request: RunRequest, decide: Decide, now: datetime) -> RunRequestResult:
        """
        Decide on a request and write all that follows, atomically.

        STARTED: incident, run, locks and the signal's verdict. HELD, AWAITING_APPROVAL: the incident in that state
        (its earlier one again when it is judged anew), no run. A refusal as INEFFECTIVE: an incident that is closed so at
        once, with a notice, the first time since the last recovery. Other verdicts only settle the signal. A signal of a
        service that has an open incident is ATTACHED to it without asking `decide`. A person's wish that has started a run
        before is STARTED with that run, also when it is over.
        Raises `StaleEpoch`, `LedgerUnavailable`, `NotRecorded` for a signal that was never accepted.
        """

        def work(connection: Connection) -> RunRequestResult:
            self._store.take_advisory_lock(connection, DECISION_LOCK_ID)
            decision = Decision(connection, request, now, self._store)
            if request.parent:
                return decision.of_child(decide)
            if request.signal is None:
                return decision.of_start_request(decide)
            return decision.of_signal(request.signal.id, decide)

        return await self._store.write("request-run", work, fenced=True)

    async def start_held(self, incident: str, request: RunRequest, decide: Decide, now: datetime) -> RunRequestResult:
        """
        Decide again on an incident that was held or awaits approval; its waiting signals get the new verdict.

        An incident that has its run already, or is closed, is given back as ATTACHED and nothing is done.
        """

        def work(connection: Connection) -> RunRequestResult:
            self._store.take_advisory_lock(connection, DECISION_LOCK_ID)
            return Decision(connection, request, now, self._store).of_held(incident, decide)

        return await self._store.write("start-held", work, fenced=True)

    async def hand_over(self, incident: str, request: RunRequest, reason: str, now: datetime) -> None:
        """
        Hand an incident that awaits approval over to a person, with a run that has ended before its first step.

        The guards count that run as any other that was handed over. Nothing is done where the incident has moved on.
        """

        def work(connection: Connection) -> None:
            self._store.take_advisory_lock(connection, DECISION_LOCK_ID)
            found = find_incident(connection, incident)
            if found.state is IncidentState.AWAITING_APPROVAL:
                decision = Decision(connection, replace(request, locks=()), now, self._store)
                verdict = Verdict(
                    kind=VerdictKind.STARTED, reason=Reason.MATCHED, text=reason, rule=found.rule, incident=incident
                )
                decision.settle_waiting(incident, verdict)
                withdraw_notices(connection, incident, found.state)
                move_run(connection, decision.start(found).id, IncidentState.NEEDS_OPERATOR, reason, now, {})

        await self._store.write("hand-over", work, fenced=True)

    async def history(
        self, service: str, namespace: str, now: datetime, upstreams: Sequence[str] = (), starts: str = ""
    ) -> History:
        """Read the history of a service, without that of any runbook."""

        def work(connection: Connection) -> History:
            return replace(
                read_history(connection, service, namespace, now, self._store.windows),
                upstreams=read_upstreams(connection, upstreams),
                scaled_to_zero=read_scaled_to_zero(connection, starts) if starts else None,
            )

        return await self._store.read(work)

    async def history_for(self, request: RunRequest, now: datetime) -> History:
        """Read what a request would be decided by, without making it."""
        return await self._store.read(lambda connection: Decision(connection, request, now, self._store).history())

    async def manual_start(self, service: str, key: str) -> RunRequestResult | None:
        """Return what a person's wish has started, None when it has started nothing yet."""
        return await self._store.read(lambda connection: known_start(connection, service, key))

    async def overrides(self, run: str) -> frozenset[Override]:
        """Return the overrides of the person who started a run; empty for a run that was not started by hand."""
        return await self._store.read(lambda connection: read_overrides(connection, run))

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

    async def ended_since(self, since: datetime) -> Mapping[str, Sequence[PastRun]]:
        """Return by service its recoveries that have ended since a moment, and what they were about."""
        return await self._store.read(lambda connection: read_ended(connection, since))

    async def run(self, run: str) -> RunRecord:
        """Return one run; raises `NotRecorded`, and `UnreadableRow` where any of it cannot be read."""
        return await self._store.read(lambda connection: find_run(connection, run))

    async def runs_of(self, incident: str) -> tuple[RunRecord, ...]:
        """Return an incident's runs, oldest first."""
        return await self._shown(RunRecord, _OF_INCIDENT, {"incident": incident})

    async def children_of(self, run: str) -> tuple[RunRecord, ...]:
        """Return the runs that the steps of a run have started, oldest first."""
        return await self._shown(RunRecord, _CHILDREN, {"run": run})

    async def open_children_of(self, run: str) -> tuple[RunRecord, ...]:
        """Return those of them that are not over, oldest first."""
        return await self._shown(RunRecord, _OPEN_CHILDREN, {"run": run})

    async def last_change(self, run: str) -> datetime | None:
        """Return when a run last made a change, or may have made one; None for no change."""
        made = (steps.c.run == run, steps.c.changes, steps.c.state.not_in(NOT_MADE))
        query = select(func.coalesce(steps.c.finished, steps.c.started, type_=steps.c.started.type)).where(*made)
        return max((each for each in await self._scalars(query) if isinstance(each, datetime)), default=None)

    async def past_remedies(self, service: str, since: datetime, *, template: str = "") -> tuple[RunRemedies, ...]:
        """
        Return what the runs that have ended since then have tried under a pod template ("" for any), the newest run first.

        None of those before a person resumed the service.
        """
        return await self._store.read(lambda connection: read_remedies(connection, service, since, template))

    async def note_needless(self, service: str, fault: Fault, *, since: datetime, until: datetime) -> int:
        """
        Note of the restarts that runs of a service made for a fault in that time that they were needless: the fault still stands.

        Return how many were not noted before.
        """

        def read(connection: Connection) -> Sequence[tuple[int, Mapping[str, object]]]:
            made = read_restarts(connection, service, fault, since, until)
            return [(number, facts) for number, facts in made if NEEDLESS not in facts]

        def work(connection: Connection) -> int:
            found = read(connection)
            for number, facts in found:
                changed = update(steps).where(steps.c.number == number).values(facts={**facts, NEEDLESS: True})
                connection.execute(changed)
            return len(found)

        if not await self._store.read(read):
            return 0
        return await self._store.write("note-needless", work, fenced=True)

    async def steps(self, run: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        """
        Return a run's steps in the order in which they were first written.

        `strict`: raises `UnreadableRow` where any of them cannot be read, since a run that goes on needs them all; else each
        is returned as far as it can be read.
        """
        rows = await self._rows(StepRecord, _STEPS, {"run": run})
        return tuple((read_strictly if strict else read_leniently)(StepRecord, row) for row in rows)

    async def step_write(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> LedgerWrite[None]:
        """
        Write a step if it still is in state `expect` (None: not written yet). Secrets are masked before.

        A changing step that goes to INTENT marks its run as changed until it turns out not to have been made, and is counted
        against the `budget` of its namespace and of the pods that must stay, in the same transaction (P7). The first intent of
        a run to change a workload or its pods puts a notice into the outbox. The write raises
        `BudgetSpent`; `WrongState` when the step is in another state, or for a new intent of a run that is over.
        """
        announced = step.state is StepState.INTENT and changes_workload(step)
        step = await without_secrets(step)

        def work(connection: Connection) -> None:
            if budget is not None:
                self._store.take_advisory_lock(connection, DECISION_LOCK_ID)
            save_step(connection, step, now, expect=expect, budget=budget, announced=announced)

        return LedgerWrite(name=f"save-step {step.path} {step.state}", work=work)

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

        changed = _columns_of(updates) | ({"deadline": deadline} if deadline else {})

        def work(connection: Connection) -> RunRecord:
            return move_run(connection, run, state, reason, now, changed)

        return LedgerWrite(name=f"move-run {state}", work=work)

    def update_write(self, run: str, updates: RunUpdate) -> LedgerWrite[RunRecord]:
        """Write a run's findings; its state stays. Raises NotRecorded, UnreadableRow."""
        changed = _columns_of(updates)

        def work(connection: Connection) -> RunRecord:
            before = find_run(connection, run, lock=True)
            change_run(connection, run, **changed)
            return replace(before, **changed)

        return LedgerWrite(name=f"update-run {' '.join(changed)}", work=work)

    async def reopen_run(
        self, run: str, reason: str, now: datetime, *, who: str, shown: SeenWorkload | None = None
    ) -> RunRecord:
        """
        Reopen a run that is over to roll it back, as `who` requests, who was shown the workload.

        Its incident is open again and its service locked. Raises `WrongState` while the service has another incident open or
        its lock is held; a run that is not over is returned as it is.
        """

        def work(connection: Connection) -> RunRecord:
            return reopen_run(connection, run, reason, now, who=who, shown=shown)

        return await self._store.write("reopen-run", work, fenced=True)

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
            change_run(connection, run, state=after.state, reason=after.reason, deadline=deadline)
            move_incident_of(connection, after)
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
            return take_locks(connection, run, path, names, now)

        return await self._store.write(f"take-locks {path}", work, fenced=True)

    async def release_locks(self, run: str, names: Sequence[str]) -> None:
        """Release some locks of a run."""
        held = delete(locks).where(locks.c.run == run, locks.c.name.in_(names))
        await self._execute(f"release-locks {', '.join(names)}", held, fenced=True)

    async def keep_diagnosis(self, kept: KeptDiagnosis) -> None:
        """
        Keep a diagnosis, without secrets and bounded; of the occasion `opened` only the first is kept.

        Raises `StaleEpoch`, `LedgerUnavailable`.
        """
        diagnosis = await searched(len(repr(kept.diagnosis)), lambda: stored_diagnosis(kept.diagnosis))
        row = values(replace(kept, diagnosis=diagnosis)) | {"at": kept.diagnosis.at}
        same = ("incident", "occasion") if kept.occasion is Occasion.OPENED else ("incident", "occasion", "at")

        def work(connection: Connection) -> None:
            insert_once(connection, diagnoses, row, by=same)

        await self._store.write(f"keep-diagnosis {kept.occasion}", work, fenced=True)

    async def diagnoses_of(self, *of: str) -> tuple[KeptDiagnosis, ...]:
        """Return the diagnoses of incidents, oldest first."""
        query = (
            select(*columns(KeptDiagnosis, diagnoses)).where(diagnoses.c.incident.in_(of)).order_by(diagnoses.c.number)
        )
        return await self._whole(KeptDiagnosis, query) if of else ()

    async def evidence_write(self, run: str, path: str, kind: str, text: str, now: datetime) -> LedgerWrite[None]:
        """Keep a piece of evidence, with secrets masked; of more than 256 Ki characters the middle is left out."""
        text = await searched(len(text), lambda: stored_evidence(text))
        digest = hashlib.sha256(text.encode()).hexdigest()
        row = {"run": run, "path": clean(path), "kind": clean(kind), "digest": digest, "text": text, "taken": now}

        def work(connection: Connection) -> None:
            insert_once(connection, evidence, row, by=("run", "path", "kind", "digest"))

        return LedgerWrite(name=f"keep-evidence {path}", work=work)

    async def evidence_of(self, run: str) -> tuple[EvidenceRecord, ...]:
        """Return the evidence of a run, in order."""
        query = select(*columns(EvidenceRecord, evidence)).where(evidence.c.run == run).order_by(evidence.c.number)

        return await self._shown(EvidenceRecord, query)


def _columns_of(updates: RunUpdate) -> dict[str, Any]:
    """Return the columns that an update sets."""
    return {name: clean(value) if isinstance(value, str) else value for name, value in updates.given.items()}
