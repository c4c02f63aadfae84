"""Questions to people, and their answers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

WITH_PREVIEW = "+"
"""Separates, in the digest of a plan that was shown, the plan's own digest from that of the changes that were shown."""


class Answer(StrEnum):
    """An answer of a person: the first two to a request for approval, the others to a manual step."""

    YES = "yes"
    NO = "no"
    DONE = "done"
    DOES_NOT_APPLY = "does-not-apply"
    FAILED = "failed"

    @property
    def needs_reason(self) -> bool:
        """Return whether a person must say why."""
        return self not in (Answer.YES, Answer.DONE)


class QuestionKind(StrEnum):
    """What a person is asked: to approve a plan or a step, or to do a manual step and say how it ended."""

    APPROVAL = "approval"
    MANUAL = "manual"


POSSIBLE: Mapping[QuestionKind, tuple[Answer, ...]] = {
    QuestionKind.APPROVAL: (Answer.YES, Answer.NO),
    QuestionKind.MANUAL: (Answer.DONE, Answer.DOES_NOT_APPLY, Answer.FAILED),
}


class AnswerSource(StrEnum):
    """Where an answer came from; `start`: a person's start of the runbook, which is the approval of its plan."""

    API = "api"
    SLACK = "slack"
    CONSOLE = "console"
    START = "start"


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenAnswer:
    """One person's answer. `claimed`: the token belonged to no particular person, and the name is what the sender said."""

    answer: Answer
    who: str
    source: AnswerSource
    given: datetime
    why: str = ""
    claimed: bool = False


Groups = Mapping[str, Collection[str]]
"""The names of operators, by the name of their group."""

NO_GROUPS: Groups = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Approvers:
    """
    Who may answer, and how many different people must say yes.

    `names` are operators and groups of operators, empty for every operator.
    """

    names: tuple[str, ...] = ()
    people: int = 1

    @property
    def is_anybody(self) -> bool:
        """Return whether one answer of any operator is enough."""
        return not self.names and self.people == 1

    def includes(self, who: str, groups: Groups) -> bool:
        """Return whether this person may answer."""
        return not self.names or any(each == who or who in groups.get(each, ()) for each in self.names)

    def are_satisfied(self, given: Collection[GivenAnswer]) -> bool:
        """Return whether enough people have said yes."""
        return len({each.who for each in given if each.answer is Answer.YES}) >= self.people


ANYBODY = Approvers()


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """
    A question to a person, valid for the plan shown (`plan` is its digest, with that of its preview) until `expires`.

    `given` are the answers, the oldest first. `answer` is what they come to, at `answered`; None while the question is open: a
    question to several people is open until enough of them have said yes. `command` is what a person is to paste for a
    manual step. `preview` are the lines of a question about a run that show the changes, "" for another question.
    """

    incident: str
    path: str
    kind: QuestionKind = QuestionKind.APPROVAL
    text: str
    command: str = ""
    plan: str
    asked: datetime
    expires: datetime
    approvers: Approvers = ANYBODY
    given: tuple[GivenAnswer, ...] = ()
    answer: Answer | None = None
    answered: datetime | None = None
    preview: str = ""

    @property
    def bound(self) -> str:
        """Return the digest of the plan itself: of the runbook as it is bound, without the preview."""
        return bound_of(self.plan)

    @property
    def approved(self) -> bool:
        """Return whether the answer is yes."""
        return self.answer is Answer.YES

    @property
    def rejected(self) -> bool:
        """Return whether the answer is no."""
        return self.answer is Answer.NO

    @property
    def who(self) -> str:
        """Return who has answered: of several people the last one, "" for no one."""
        return self.given[-1].who if self.given else ""

    @property
    def why(self) -> str:
        """Return the reason of the last answer, "" for none."""
        return self.given[-1].why if self.given else ""


def bound_of(shown: str) -> str:
    """Return the digest of a plan as it is bound, of the digest with which it was shown."""
    return shown.partition(WITH_PREVIEW)[0]
