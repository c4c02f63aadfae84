"""What people have answered."""

from datetime import datetime
from typing import Any

from kintsugi.model.questions import Answer, AnswerSource, GivenAnswer


def said(answer: Answer, who: str, at: datetime, why: str = "") -> dict[str, Any]:
    """Return the fields of a question that one person has answered so."""
    given = GivenAnswer(answer=answer, who=who, source=AnswerSource.API, given=at, why=why)
    return {"given": (given,), "answer": answer, "answered": at}
