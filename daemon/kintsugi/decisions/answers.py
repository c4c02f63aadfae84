"""
Which answer to a question counts, and what the answers come to.

An answer carries the digest of what was shown: one to another plan is refused. A no of any person who may answer counts
at once; a yes counts once as many different people as the question needs have said it.
"""

from dataclasses import replace

from kintsugi.model.api_types import AnswerRequest
from kintsugi.model.questions import POSSIBLE, Answer, Approvers, GivenAnswer, Groups, Question
from kintsugi.model.records import Incident

_OUTCOMES = {
    Answer.YES: "approved",
    Answer.NO: "rejected",
    Answer.DONE: "done",
    Answer.DOES_NOT_APPLY: "declared not to apply",
    Answer.FAILED: "declared failed",
}


def refusal(
    incident: Incident, question: Question | None, request: AnswerRequest, given: GivenAnswer, groups: Groups
) -> str:
    """Return why an answer to the newest question of a step is refused, "" where it counts, or was given before."""
    if question is None:
        about = f" about {request.path}" if request.path else ""
        return f"it is {incident.state} and asks nothing{about}"
    if question.plan != request.plan:
        return "the plan has changed since it was shown: review it again"
    if given.answer not in (possible := POSSIBLE[question.kind]):
        return f"the answer to this question is {' or '.join(possible)}, not {given.answer}"
    if not question.approvers.includes(given.who, groups):
        return f"{given.who} may not answer: {', '.join(question.approvers.names)} may"
    if given.claimed and not question.approvers.is_anybody:
        return f"the question is to particular people: send a token with the name {given.who}"
    if question.answer is given.answer:
        return ""
    if question.answer is not None:
        return f"at {question.answered:%H:%M:%S}, the question was {outcome(question)}"
    if incident.closed is not None:
        return f"it is {incident.state} and asks nothing any more"
    expired = f"the question expired at {question.expires:%H:%M:%S}: it will be asked again"
    return expired if given.given >= question.expires else ""


def with_answer(question: Question, given: GivenAnswer) -> Question:
    """Return a question with one more answer that counts; unchanged where this person, or enough people, said it before."""
    said_before = any(each.who == given.who and each.answer is given.answer for each in question.given)
    if question.answer is not None or said_before:
        return question
    answers = (*question.given, given)
    is_open = given.answer is Answer.YES and not question.approvers.are_satisfied(answers)
    if is_open:
        return replace(question, given=answers)
    return replace(question, given=answers, answer=given.answer, answered=given.given)


def outcome(question: Question) -> str:
    """Return a clause that says what the answers come to, by whom and why; of an open question, who has said yes so far."""
    if question.answer is None:
        return f"approved so far by {names}" if (names := _names(question)) else ""
    why = f": {question.why}" if question.why else ""
    return f"{_OUTCOMES[question.answer]} by {_names(question)}{why}"


def whom(approvers: Approvers) -> str:
    """Return who is asked, "" where it is any operator."""
    if approvers.is_anybody:
        return ""
    names = " or ".join(approvers.names) or "operators"
    return names if approvers.people == 1 else f"{approvers.people} different people of {names}"


def _names(question: Question) -> str:
    """Return who gave the answer that counts: a no is that of the last person alone."""
    said = question.answer or Answer.YES
    return " and ".join(each.who for each in question.given if each.answer is said)
