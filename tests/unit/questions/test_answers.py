"""Which answer to a question counts, and what the answers come to."""

from dataclasses import replace

import pytest

from kintsugi.decisions.answers import outcome, refusal, whom, with_answer
from kintsugi.model.api_types import AnswerRequest
from kintsugi.model.questions import Answer, AnswerSource, Approvers, GivenAnswer, Question, QuestionKind
from tests.harness.answers import said
from tests.unit.factories import NOW, approval, incident, moment

ASKED = replace(approval("drain"), plan="p")
MANUAL = replace(ASKED, kind=QuestionKind.MANUAL, command="ssh one")
DBA = replace(ASKED, approvers=Approvers(names=("dba", "eve")))
TWO = replace(ASKED, approvers=Approvers(people=2))
GROUPS = {"dba": {"ada"}}


def answer_of(
    who: str = "ada", answer: Answer = Answer.YES, *, minutes: float = 1, claimed: bool = False
) -> GivenAnswer:
    """Return an answer with a reason."""
    why = "a deploy" if answer.needs_reason else ""
    at = moment(minutes=minutes)
    return GivenAnswer(answer=answer, who=who, source=AnswerSource.API, given=at, why=why, claimed=claimed)


@pytest.mark.parametrize(
    ("question", "given", "why"),
    [
        (None, answer_of(), "it is running and asks nothing about drain"),
        (replace(ASKED, plan="p-2"), answer_of(), "the plan has changed since it was shown: review it again"),
        (ASKED, answer_of(answer=Answer.DONE), "the answer to this question is yes or no, not done"),
        (MANUAL, answer_of(), "the answer to this question is done or does-not-apply or failed, not yes"),
        (DBA, answer_of("bob"), "bob may not answer: dba, eve may"),
        (DBA, answer_of("bob", Answer.NO), "bob may not answer: dba, eve may"),
        (DBA, answer_of(claimed=True), "the question is to particular people: send a token with the name ada"),
        (TWO, answer_of(claimed=True), "the question is to particular people: send a token with the name ada"),
        (
            replace(ASKED, **said(Answer.NO, "bob", NOW, "a deploy")),
            answer_of(),
            "at 12:00:00, the question was rejected by bob: a deploy",
        ),
        (ASKED, answer_of(minutes=30), "the question expired at 12:30:00: it will be asked again"),
        *((each, answer_of(), "") for each in (ASKED, DBA, TWO, replace(ASKED, **said(Answer.YES, "bob", NOW)))),
        (DBA, answer_of("eve"), ""),
        (MANUAL, answer_of(answer=Answer.FAILED), ""),
        (ASKED, answer_of(claimed=True), ""),
    ],
)
def test_an_answer_that_does_not_count_is_refused_with_the_reason(
    question: Question | None, given: GivenAnswer, why: str
) -> None:
    request = AnswerRequest(path="drain", plan="p", answer=given.answer)
    assert refusal(incident(), question, request, given, GROUPS) == why


def test_a_no_of_one_person_counts_at_once_and_a_yes_once_enough_different_people_have_said_it() -> None:
    half = with_answer(TWO, answer_of())
    assert (half.answer, half.answered, outcome(half)) == (None, None, "approved so far by ada")
    assert with_answer(half, answer_of(minutes=2)) == half
    whole = with_answer(half, answer_of("bob", minutes=3))
    assert (whole.answer, whole.answered, outcome(whole)) == (Answer.YES, moment(minutes=3), "approved by ada and bob")
    no = with_answer(half, answer_of("bob", Answer.NO, minutes=3))
    assert (no.answer, outcome(no)) == (Answer.NO, "rejected by bob: a deploy")
    assert with_answer(no, answer_of("eve", minutes=4)) == no


def test_who_is_asked_is_said_where_it_is_not_any_operator() -> None:
    assert [whom(each.approvers) for each in (ASKED, DBA, TWO)] == ["", "dba or eve", "2 different people of operators"]
