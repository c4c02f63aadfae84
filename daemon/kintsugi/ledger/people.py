"""
Questions to people and their answers; aborts and pauses, and the rests that people have ended.

An abort is kept before it takes effect.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, case, delete, insert, or_, select, update

from kintsugi.decisions.answers import outcome, refusal, with_answer
from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger.incidents.history import PAUSES
from kintsugi.ledger.incidents.runs import find_incident, last_run
from kintsugi.ledger.outbox import put_notice_once
from kintsugi.ledger.signals.signals import evaluate_anew
from kintsugi.ledger.store.rows import columns, read_one, readable, values
from kintsugi.ledger.store.tables import aborts, incidents, pauses, questions, runs
from kintsugi.ledger.store.texts import for_people
from kintsugi.ledger.store.transactions import Aggregate, insert_once
from kintsugi.model.api_types import AnswerRequest
from kintsugi.model.history import Abort
from kintsugi.model.questions import GivenAnswer, Groups, Question
from kintsugi.model.records import Incident, IncidentState, Pause, RunKind, RunRecord

_QUESTION = columns(Question, questions)
_ABORT = select(*columns(Abort, aborts)).where(aborts.c.incident == bindparam("incident"))
_OPEN_PAUSE = select(*columns(Pause, pauses)).where(pauses.c.id == bindparam("id"), pauses.c.lifted.is_(None))
_KEY = ("incident", "path", "plan", "asked")


class People(Aggregate):
    """What people are asked, answer and request. Any replica may write questions, answers and pauses: these need no leader."""

    async def ask(self, question: Question, *, notice: str = "") -> None:
        """
        Ask a person a question. Only the newest question of a step can be answered.

        `notice` is the notice of a question that changes no state, since another one came before it.
        """

        def work(connection: Connection) -> None:
            asked = insert_once(connection, questions, values(question), by=_KEY)
            if asked and notice:
                state = IncidentState.AWAITING_APPROVAL
                put_notice_once(connection, question.incident, state, notice, question.asked)

        await self._store.write(f"ask {question.path}", work)

    async def answer(self, incident: str, request: AnswerRequest, given: GivenAnswer, groups: Groups) -> Question:
        """
        Answer the newest question of a step, about the plan that was shown, and return the question with the answer.

        The same answer again changes nothing. Raises `NotRecorded` for no such incident, `WrongState` where `refusal` says so.
        """

        def work(connection: Connection) -> Question:
            found, asked = find_incident(connection, incident), _newest(connection, incident, request.path)
            why = refusal(found, asked, request, given, groups)
            if why or asked is None:
                raise WrongState(f"incident {incident}: {why}")
            answered = with_answer(asked, replace(given, why=for_people(given.why)))
            if answered is not asked:
                same = (getattr(questions.c, name) == getattr(asked, name) for name in _KEY)
                kept = {"given": answered.given, "answer": answered.answer, "answered": answered.answered}
                connection.execute(update(questions).where(*same).values(kept))
                if answered.answer is None:  # the others are told that they are asked now
                    state, said = IncidentState.AWAITING_APPROVAL, outcome(answered)
                    put_notice_once(connection, incident, state, said, given.given)
            return answered

        return await self._store.write(f"answer {request.path or 'plan'}", work)

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
            incident, run = _locked(connection, abort.incident)
            _refuse_rollback(incident, run)
            known = _find_abort(connection, incident.id)
            if known is not None:
                return known
            if _is_over(incident):
                raise WrongState(f"incident {incident.id} is {incident.state}: there is nothing to abort")
            connection.execute(insert(aborts).values(values(abort)))
            return abort

        return await self._store.write("abort", work, fenced=True)

    async def take(self, abort: Abort, pause: Pause) -> Abort | None:
        """
        Keep that a person takes an incident: its abort where it is open and not rolling back, and a pause with its id, in one.

        Of two people the first has it. Return the abort, None where there is nothing to abort. Raises `NotRecorded` for no such
        incident, `WrongState` where another person has it.
        """

        def work(connection: Connection) -> Abort | None:
            incident, run = _locked(connection, abort.incident)
            known = read_one(connection, Pause, _OPEN_PAUSE, {"id": pause.id}, strict=False)
            if known is not None and known.who != pause.who:
                raise WrongState(f"incident {incident.id}: {known.who} has had it since {known.since:%H:%M:%S}")
            if known is None:
                connection.execute(delete(pauses).where(pauses.c.id == pause.id))  # of a rest that was ended
                connection.execute(insert(pauses).values(values(pause)))
            ended = _find_abort(connection, incident.id)
            if ended is not None or _is_over(incident) or _rolls_back(incident, run):
                return ended
            connection.execute(insert(aborts).values(values(abort)))
            return abort

        return await self._store.write("take", work, fenced=True)

    async def taken(self, incident: str) -> Pause | None:
        """Return who has taken an incident and not given it back, None for no one."""
        return next(iter(await self._shown(Pause, _OPEN_PAUSE, {"id": incident})), None)

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

    async def end_rest(self, ended: Pause, rules: Collection[str], who: str, why: str, now: datetime) -> None:
        """
        Keep who ended the rest of a service, when and why, and make the signals due that `rules` refused meanwhile (P9).

        `ended` has the incident's id: the pause of who has taken it, or, after a hand-over, one that is lifted as it begins and
        holds nothing back. Of two of one incident the later one stays.
        """
        lifted = {"lifted": now, "lifted_by": who, "lifted_why": why}

        def work(connection: Connection) -> None:
            connection.execute(delete(pauses).where(pauses.c.id == ended.id))
            connection.execute(insert(pauses).values({**values(ended), **lifted}))
            evaluate_anew(connection, ended.id, rules, now)

        await self._store.write("end-rest", work, fenced=True)

    async def ended_rest(self, incident: str) -> Pause | None:
        """Return by whom and when the rest after an incident's hand-over was ended, None where nobody has."""
        ended = select(*columns(Pause, pauses)).where(pauses.c.id == incident, pauses.c.lifted.is_not(None))
        found = await self._shown(Pause, ended)
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


def _locked(connection: Connection, incident: str) -> tuple[Incident, RunRecord | None]:
    """Return an incident and its last run, both locked: a run before its incident, as by its moves. Raises NotRecorded."""
    connection.execute(select(runs.c.id).where(runs.c.incident == incident).with_for_update())
    connection.execute(select(incidents.c.id).where(incidents.c.id == incident).with_for_update())
    return find_incident(connection, incident), last_run(connection, incident)


def _is_over(incident: Incident) -> bool:
    """Return whether nothing is done for an incident any more, or never was."""
    return incident.closed is not None or incident.kind is RunKind.OBSERVER


def _rolls_back(incident: Incident, run: RunRecord | None) -> bool:
    """Return whether a run rolls back, also while it asks a person about a step of the rollback."""
    asks = run is not None and run.state is IncidentState.AWAITING_APPROVAL and run.steps_finished_at is not None
    return incident.state is IncidentState.ROLLING_BACK or (asks and incident.closed is None)


def _refuse_rollback(incident: Incident, run: RunRecord | None) -> None:
    """Raise WrongState for a run that rolls back."""
    if _rolls_back(incident, run):
        stop = f"kintsugi pause --service {incident.service} --freeze --why TEXT"
        why = "the run is rolling back, and half of a rollback would be worse than none"
        raise WrongState(f"incident {incident.id}: {why}. To stop its writes: {stop}")


def _find_abort(connection: Connection, incident: str) -> Abort | None:
    return next(iter(readable(Abort, connection.execute(_ABORT, {"incident": incident}).all())), None)
