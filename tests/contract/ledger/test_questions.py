"""Questions and answers: who gave them, to which plan, and until when; and incidents that a person has taken."""

from dataclasses import replace
from datetime import datetime

import pytest

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import AnswerRequest
from kintsugi.model.history import Abort, Rejection
from kintsugi.model.questions import Answer, AnswerSource, Approvers, GivenAnswer, Question
from kintsugi.model.records import IncidentState, Pause, PauseScope
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, question

YES = AnswerRequest(path="restore", plan="plan-1", answer=Answer.YES)
NO = replace(YES, answer=Answer.NO, why="the standby has the data")
GROUPS = {"dba": {"ann", "bob"}}


async def given(
    ledger: Ledger, incident: str, request: AnswerRequest = YES, who: str = "ann", at: datetime = NOW
) -> Question:
    """Answer a question as a person by the API."""
    answer = GivenAnswer(answer=request.answer, who=who, source=AnswerSource.API, given=at, why=request.why)
    return await ledger.people.answer(incident, request, answer, GROUPS)


async def test_an_answer_says_who_gave_it_and_when_and_the_first_one_stays(ledger: Ledger) -> None:
    """An answer that is given twice, as after a lost reply, is one (D2)."""
    approved, rejected = await begin(ledger), await begin(ledger, "api")
    for run in (approved, approved, rejected):
        await ledger.people.ask(question(run.incident))
    yes = await given(ledger, approved.incident, at=NOW + MINUTE)
    assert (yes.answer, yes.who, yes.answered) == (Answer.YES, "ann", NOW + MINUTE)
    no = await given(ledger, rejected.incident, NO, at=NOW + MINUTE)
    assert (no.answer, no.who, no.answered, no.why) == (Answer.NO, "ann", NOW + MINUTE, "the standby has the data")
    later = NOW + 2 * MINUTE
    assert await given(ledger, approved.incident, who="bob", at=later) == yes
    assert await given(ledger, rejected.incident, NO, "bob", later) == no
    assert await ledger.people.questions_of(approved.incident) == (yes,)
    assert await ledger.people.questions_of(approved.incident, rejected.incident) == (yes, no)
    assert await ledger.people.questions_of() == ()
    with pytest.raises(WrongState, match="at 12:01:00, the question was rejected by ann: the standby has the data"):
        await given(ledger, rejected.incident, who="bob", at=later)


async def test_a_question_to_two_people_is_open_until_both_have_said_yes(ledger: Ledger) -> None:
    run = await begin(ledger)
    await ledger.people.ask(replace(question(run.incident), approvers=Approvers(names=("dba",), people=2)))
    for _ in range(2):
        half = await given(ledger, run.incident, who="ann")
        assert (half.answer, half.answered, [each.who for each in half.given]) == (None, None, ["ann"])
    told = [each.text for each in await ledger.outbox.due_notices(NOW, 100)]
    assert told == ["approved so far by ann"], "the others are told, once"
    with pytest.raises(WrongState, match="eve may not answer: dba may"):
        await given(ledger, run.incident, who="eve")
    whole = await given(ledger, run.incident, who="bob", at=NOW + MINUTE)
    assert (whole.answer, whole.answered) == (Answer.YES, NOW + MINUTE)
    assert await ledger.people.questions_of(run.incident) == (whole,)


async def test_an_answer_to_another_plan_is_refused_also_where_there_is_an_answer(ledger: Ledger) -> None:
    """An answer holds only for the plan that was shown, and that is carried out."""
    run = await begin(ledger)
    await ledger.people.ask(question(run.incident, "plan-1"))
    await ledger.people.ask(question(run.incident, "plan-2", asked=NOW + MINUTE))
    with pytest.raises(WrongState, match="plan has changed"):
        await given(ledger, run.incident)
    answered = await given(ledger, run.incident, replace(YES, plan="plan-2"))
    with pytest.raises(WrongState, match="plan has changed"):
        await given(ledger, run.incident, replace(YES, plan="plan-0"), "bob")
    assert answered in await ledger.people.questions_of(run.incident)


async def test_an_answer_without_an_open_question_is_refused_with_the_state(ledger: Ledger) -> None:
    run = await begin(ledger)
    with pytest.raises(WrongState, match="is running and asks nothing about restore"):
        await given(ledger, run.incident, NO)
    await ledger.people.ask(question(run.incident))
    with pytest.raises(WrongState, match="expired"):
        await given(ledger, run.incident, at=NOW + 30 * MINUTE)
    await ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "it is well", NOW)
    for request in (YES, NO):
        with pytest.raises(WrongState, match="is recovered and asks nothing any more"):
            await given(ledger, run.incident, request)
    with pytest.raises(NotRecorded, match="no incident inc-9"):
        await given(ledger, "inc-9", NO)


async def test_the_plans_that_people_have_rejected_are_in_the_history_of_their_service(ledger: Ledger) -> None:
    """P7: read in the claim's transaction. The question of a step is about no plan of a run."""
    for service in ("web", "api"):
        run = await begin(ledger, service)
        await ledger.people.ask(question(run.incident))
        await ledger.people.ask(question(run.incident, f"plan of {service}", path=""))
        await given(ledger, run.incident, NO)
        whole = AnswerRequest(plan=f"plan of {service}", answer=Answer.NO, why="not now")
        await given(ledger, run.incident, whole, at=NOW + MINUTE)
    history = await ledger.incidents.history("web", "shop", NOW + HOUR)
    text = "the plan was rejected by ann: not now"
    assert history.rejections == (Rejection(rule="web-down", plan="plan of web", text=text, rejected=NOW + MINUTE),)
    assert (await ledger.incidents.history("web", "shop", NOW + 4 * HOUR)).rejections == ()


def taken(incident: str, who: str = "ann") -> tuple[Abort, Pause]:
    """Return what is kept when a person takes an incident of the service web."""
    pause = Pause(id=incident, scope=PauseScope.SERVICE, name="web", who=who, why="taken", since=NOW)
    return Abort(incident=incident, who=who, why="taken", requested=NOW), pause


async def test_a_person_who_takes_an_incident_ends_it_and_pauses_its_service_until_they_give_it_back(
    ledger: Ledger,
) -> None:
    run = await begin(ledger)
    abort, pause = taken(run.incident)
    assert await ledger.people.take(abort, pause) == abort
    assert await ledger.people.take(abort, pause) == abort
    with pytest.raises(WrongState, match="ann has had it since 12:00:00"):
        await ledger.people.take(*taken(run.incident, "bob"))
    assert await ledger.people.pauses(NOW) == (pause,)
    assert await ledger.people.taken(run.incident) == pause
    assert await ledger.people.ended_rest(run.incident) is None
    await ledger.people.end_rest(pause, (), "ann", "mended", NOW + MINUTE)
    assert await ledger.people.taken(run.incident) is None
    assert await ledger.people.pauses(NOW + MINUTE) == ()
    assert (await ledger.incidents.history("web", "shop", NOW + HOUR)).rejections == ()


@pytest.mark.parametrize("state", [IncidentState.ROLLING_BACK, IncidentState.RECOVERED])
async def test_taking_an_incident_that_rolls_back_or_is_closed_aborts_nothing(
    ledger: Ledger, state: IncidentState
) -> None:
    run = await begin(ledger)
    await ledger.incidents.move_run(run.id, state, "so", NOW)
    abort, pause = taken(run.incident)
    assert await ledger.people.take(abort, pause) is None
    assert await ledger.people.abort_of(run.incident) is None
    assert await ledger.people.taken(run.incident) == pause
