"""
Questions to people and their answers; aborts and pauses, and the rests that people have ended.

An abort is kept before it takes effect.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, case, delete, insert, or_, select, update

from kintsugi.decisions.reconciliation import rejection
from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger.incidents.history import PAUSES
from kintsugi.ledger.incidents.runs import find_incident, last_run
from kintsugi.ledger.outbox import put_notice_once
from kintsugi.ledger.signals.signals import evaluate_anew
from kintsugi.ledger.store.rows import columns, read_one, readable, values
from kintsugi.ledger.store.tables import aborts, incidents, pauses, questions, runs
from kintsugi.ledger.store.transactions import Aggregate, insert_once
from kintsugi.model.api_types import RejectRequest
from kintsugi.model.history import Abort
from kintsugi.model.records import Incident, IncidentState, Pause, Question, RunKind, RunRecord

_QUESTION = columns(Question, questions)
_ABORT = select(*columns(Abort, aborts)).where(aborts.c.incident == bindparam("incident"))
_CHANGED = "the plan has changed since it was shown: review it again"


class People(Aggregate):
    """What people are asked, answer and request. Any replica may write questions, answers and pauses: these need no leader."""

    async def ask(self, approval: Question, *, notice: str = "") -> None:
        """
        Ask a person a question. Only the newest question of a step can be answered.

        `notice` is the notice of a question that changes no state, since another one came before it.
        """

        def work(connection: Connection) -> None:
            asked = insert_once(connection, questions, values(approval), by=("incident", "path", "plan", "asked"))
            if asked and notice:
                state = IncidentState.AWAITING_APPROVAL
                put_notice_once(connection, approval.incident, state, notice, approval.asked)

        await self._store.write(f"ask {approval.path}", work)

    async def approve(self, incident: str, path: str, plan: str, who: str, now: datetime) -> Question:
        """
        Approve the newest question of a step, for the plan that was shown.

        Of two approvals of one plan the first stays. Raises `NotRecorded` when the step has no question, `WrongState` when the
        plan has changed since it was shown, the question has expired, or another person has rejected the plan.
        """

        def work(connection: Connection) -> Question:
            asked = _newest(connection, incident, path)
            if asked is None:
                raise NotRecorded(f"no approval was requested for {path or 'the plan'} of incident {incident}")
            _check(asked.plan == plan, incident, _CHANGED)
            if asked.rejected is not None:
                raise WrongState(f"incident {incident}: at {asked.rejected:%H:%M:%S}, the plan was {rejection(asked)}")
            if asked.answered is not None:
                return asked
            return _answer(connection, asked, now, who=who, answered=now)

        return await self._store.write(f"approve {path}", work)

    async def reject(self, incident: str, request: RejectRequest, who: str, now: datetime) -> Question:
        """
        Reject the plan that was shown, as the answer to the newest question of a step.

        Of two rejections of one plan the first stays. Raises `NotRecorded` for no such incident, `WrongState` when the step has
        no open question, with the incident's state, or the plan has changed since it was shown.
        """
        path = request.path

        def work(connection: Connection) -> Question:
            found, asked = find_incident(connection, incident), _newest(connection, incident, path)
            if asked is None:
                about = f" of {path}" if path else ""
                raise WrongState(f"incident {incident} is {found.state} and asks for no approval{about}")
            _check(asked.plan == request.plan, incident, _CHANGED)
            if asked.rejected is not None:
                return asked
            if asked.answered is not None:
                raise WrongState(f"incident {incident}: {asked.who} approved the plan at {asked.answered:%H:%M:%S}")
            return _answer(connection, asked, now, who=who, rejected=now, why=request.why)

        return await self._store.write(f"reject {path or 'plan'}", work)

    async def questions_of(self, *of: str) -> tuple[Question, ...]:
        """Return the questions of incidents with their answers, oldest first."""
        query = select(*_QUESTION).where(questions.c.incident.in_(of)).order_by(questions.c.number)
        return await self._whole(Question, query) if of else ()

    async def abort(self, abort: Abort) -> Abort:
        """
        Keep that a person aborts an incident; of two aborts the first stays.

        Raises `NotRecorded` for no such incident, `WrongState` while its run rolls back, when the incident is closed, and when
        nothing is done for it.
        """

        def work(connection: Connection) -> Abort:
            # a run is locked before its incident, as by its moves
            connection.execute(select(runs.c.id).where(runs.c.incident == abort.incident).with_for_update())
            connection.execute(select(incidents.c.id).where(incidents.c.id == abort.incident).with_for_update())
            incident = find_incident(connection, abort.incident)
            _refuse_rollback(incident, last_run(connection, incident.id))
            known = _find_abort(connection, incident.id)
            if known is not None:
                return known
            if incident.closed is not None or incident.kind is RunKind.OBSERVER:
                raise WrongState(f"incident {incident.id} is {incident.state}: there is nothing to abort")
            connection.execute(insert(aborts).values(values(abort)))
            return abort

        return await self._store.write("abort", work, fenced=True)

    async def abort_of(self, incident: str) -> Abort | None:
        """Return the abort of an incident, None without one."""
        return await self._store.read(lambda connection: _find_abort(connection, incident))

    async def pause(self, pause: Pause) -> None:
        """Begin a pause; the same id twice is the same pause."""

        def work(connection: Connection) -> None:
            insert_once(connection, pauses, values(pause), by=("id",))

        await self._store.write("pause", work)

    async def resume(self, pause: str, who: str, why: str, now: datetime) -> Pause:
        """Lift a pause and return it; lifting it again changes nothing. Raises `NotRecorded`."""

        def work(connection: Connection) -> Pause:
            query = select(*columns(Pause, pauses)).where(pauses.c.id == pause)
            known = read_one(connection, Pause, query, strict=False)
            if known is None:
                raise NotRecorded(f"there is no pause {pause}")
            lift = update(pauses).where(pauses.c.id == pause, pauses.c.lifted.is_(None))
            connection.execute(lift.values(lifted=now, lifted_by=who, lifted_why=why))
            return known

        return await self._store.write("resume", work)

    async def end_rest(self, ended: Pause, rules: Collection[str]) -> None:
        """
        Keep who ended the rest after a hand-over, when and why, and make the signals due that `rules` refused meanwhile (P9).

        It is a pause with the incident's id that was lifted as it began: it holds nothing back.
        Of two of one incident the later one stays.
        """
        lifted = {"lifted": ended.since, "lifted_by": ended.who, "lifted_why": ended.why}

        def work(connection: Connection) -> None:
            connection.execute(delete(pauses).where(pauses.c.id == ended.id))
            connection.execute(insert(pauses).values({**values(ended), **lifted}))
            evaluate_anew(connection, ended.id, rules, ended.since)

        await self._store.write("end-rest", work, fenced=True)

    async def ended_rest(self, incident: str) -> Pause | None:
        """Return by whom and when the rest after an incident's hand-over was ended, None where nobody has."""
        found = await self._shown(Pause, select(*columns(Pause, pauses)).where(pauses.c.id == incident))
        return next(iter(found), None)

    async def pauses(self, now: datetime) -> tuple[Pause, ...]:
        """Return the pauses in force at `now`, oldest first. One whose subject cannot be read applies to everything."""
        return await self._shown(Pause, PAUSES, {"now": now})

    async def pauses_since(self, moment: datetime, now: datetime) -> tuple[Pause, ...]:
        """
        Return the pauses that held at any time from `moment` to `now`, oldest first.

        `until` is when each has really ended: when it was lifted, if that came first; None for one without an end.
        """
        held = and_(
            pauses.c.since <= now,
            or_(pauses.c.lifted.is_(None), pauses.c.lifted > moment),
            or_(pauses.c.until.is_(None), pauses.c.until > moment),
        )
        early = and_(pauses.c.lifted.is_not(None), or_(pauses.c.until.is_(None), pauses.c.lifted < pauses.c.until))
        first = case((early, pauses.c.lifted), else_=pauses.c.until)
        others = [column for column in columns(Pause, pauses) if column is not pauses.c.until]
        query = select(*others, first.label("until")).where(held).order_by(pauses.c.since, pauses.c.id)
        return await self._shown(Pause, query)


def _newest(connection: Connection, incident: str, path: str) -> Question | None:
    """Read the newest question of a step, and lock its row."""
    query = select(*_QUESTION).where(questions.c.incident == incident, questions.c.path == path)
    newest = query.order_by(questions.c.number.desc()).limit(1).with_for_update()
    return read_one(connection, Question, newest)


def _answer(connection: Connection, asked: Question, now: datetime, **answer: object) -> Question:
    """Write the answer to a question that has not expired, of an incident that is open; return the question with it."""
    found = find_incident(connection, asked.incident)
    if found.closed is not None:
        raise WrongState(f"incident {asked.incident} is {found.state} and asks for no approval")
    expired = f"the question expired at {asked.expires:%H:%M:%S}: it will be asked again"
    _check(now < asked.expires, asked.incident, expired)
    same = (getattr(questions.c, name) == getattr(asked, name) for name in ("incident", "path", "plan", "asked"))
    connection.execute(update(questions).where(*same).values(answer))
    kept = _newest(connection, asked.incident, asked.path)
    assert kept is not None
    return kept


def _check(holds: bool, incident: str, what: str) -> None:
    if not holds:
        raise WrongState(f"incident {incident}: {what}")


def _refuse_rollback(incident: Incident, run: RunRecord | None) -> None:
    """Raise WrongState for a run that rolls back, also while it asks a person about a step of the rollback."""
    asks = run is not None and run.state is IncidentState.AWAITING_APPROVAL and run.steps_finished_at is not None
    if incident.state is IncidentState.ROLLING_BACK or (asks and incident.closed is None):
        stop = f"kintsugi pause --service {incident.service} --freeze --why TEXT"
        why = "the run is rolling back, and half of a rollback would be worse than none"
        raise WrongState(f"incident {incident.id}: {why}. To stop its writes: {stop}")


def _find_abort(connection: Connection, incident: str) -> Abort | None:
    return next(iter(readable(Abort, connection.execute(_ABORT, {"incident": incident}).all())), None)
