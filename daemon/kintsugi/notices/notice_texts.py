"""
The text of notices: the incident and its cause before the text of each; after it what was done, and what a person does next.

A question waits a moment for its diagnosis.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.decisions.answers import whom
from kintsugi.decisions.incident_summary import IncidentSummary, in_cluster, summarize
from kintsugi.errors import NotRecorded
from kintsugi.model.api_types import IncidentDetail
from kintsugi.model.questions import Question
from kintsugi.model.records import ENDED_WELL, IncidentState, Notice
from kubediagnosis.causes import Diagnosis
from kubediagnosis.headline import cause_text, latest, sentence, what_changed
from kubeobjects.lines import line, lines

_WITHOUT_RUN = frozenset({IncidentState.AWAITING_APPROVAL, IncidentState.INEFFECTIVE})
"""The states of incidents whose notice is written before their diagnosis is made."""

MOST_LINES, MOST_LINES_OF_HAND_OVER = 10, 20
"""Lines of a notice, and of one with which an incident is handed over."""


class IncidentReader(Protocol):
    """Reads an incident whole; `OperatorService` implements it."""

    async def incident(self, incident: str, *, signals: int, skip: int = 0) -> IncidentDetail: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeTexts:
    """
    Puts the incident and its cause before each notice, and after it what was done and what a person does next.

    `delay` is how long a question that was not asked yet, or whose incident has no diagnosis yet, is left for the next look at the
    outbox.
    """

    incidents: IncidentReader
    clock: Callable[[], datetime]
    delay: timedelta
    cluster_name: str = ""

    async def complete(self, notices: Sequence[Notice]) -> Sequence[Notice]:
        """Return notices as they are to be sent now. Raises LedgerUnavailable."""
        known: dict[str, IncidentDetail | None] = {}
        completed = []
        for notice in notices:
            of_it = notice.incident or ""
            if of_it not in known:
                known[of_it] = await self._detail(of_it)
            text: Sequence[str] = notice.text.split("\n")
            if (detail := known[of_it]) is not None:
                detail = _as_of(notice.created, detail)
                if self._may_wait(notice, detail):
                    continue
                text = self._lines(notice, text, detail)
            else:
                text = [in_cluster(self.cluster_name, text[0]), *text[1:]]
            completed.append(replace(notice, text=lines(map(line, text))))
        return completed

    async def _detail(self, incident: str) -> IncidentDetail | None:
        """Return an incident; None for none, and for one that is not in the ledger any more."""
        try:
            return await self.incidents.incident(incident, signals=0) if incident else None
        except NotRecorded:
            return None

    def _may_wait(self, notice: Notice, detail: IncidentDetail) -> bool:
        """Return whether a notice is so new that its question or diagnosis may be under way."""
        asks = notice.kind is IncidentState.AWAITING_APPROVAL
        is_early = not detail.diagnoses or (asks and not detail.questions)
        began_nothing = any(each.run.finished == each.run.started for each in detail.runs)
        is_before_diagnosis = notice.kind in _WITHOUT_RUN or began_nothing
        return is_early and is_before_diagnosis and self.clock() < notice.created + self.delay

    def _lines(self, notice: Notice, text: Sequence[str], detail: IncidentDetail) -> Sequence[str]:
        summary = summarize(detail, now=self.clock())
        found = latest([each.diagnosis for each in detail.diagnoses])
        if notice.kind is IncidentState.AWAITING_APPROVAL and detail.questions:
            text = [*text, *_question_lines(detail.questions[-1])]
        cause = f": {cause_text(found)}" if found is not None and found.causes else ""
        head = [
            f"{summary.name}: {notice.kind}{cause}",
            *(problem_lines(notice.kind, found) if found is not None else ()),
        ]
        foot = [*_foot(notice, summary)]
        room = (MOST_LINES_OF_HAND_OVER if summary.step else MOST_LINES) - len(head) - len(foot)
        if len(text) > room:
            more = f"… and {len(text) - room + 1} more lines: kintsugi incident {detail.incident.id} --all"
            text = [*text[: room - 1], more]
        return [*head, *text, *foot]


def problem_lines(state: IncidentState, found: Diagnosis) -> Sequence[str]:
    """Return what is wrong, or was, with an incident in this state, and what changed before, if anything did."""
    wrong = f"{'past problem' if state in ENDED_WELL else 'problem'}: {sentence(found)}"
    changed = what_changed(found)
    return [wrong, *([f"earlier change: {changed}"] if changed else [])]


def _as_of(then: datetime, detail: IncidentDetail) -> IncidentDetail:
    """Leave out the diagnoses that were made after a notice, unless only they tell what it is about."""
    before = tuple(each for each in detail.diagnoses if each.diagnosis.at <= then)
    return replace(detail, diagnoses=before or detail.diagnoses[:1])


def _foot(notice: Notice, summary: IncidentSummary) -> Iterator[str]:
    """Yield who suffers, too; what a person does next; of an incident that was handed over, where to look and how Kintsugi is stopped."""
    if summary.step and not summary.changes:
        yield "done: nothing was changed"
    if summary.affected and notice.kind not in ENDED_WELL:
        yield f"also affected: {', '.join(summary.affected)}"
    if not summary.step:
        yield f"next: {summary.next[0]}"
        return
    yield f"next: {summary.step}"
    yield from (f"$ {each}" for each in summary.next)
    yield f"where to look: {'; '.join(summary.probes)}"
    yield f"stop Kintsugi on {summary.incident.service}: {summary.stop}"


def _question_lines(asked: Question) -> Sequence[str]:
    """Return what a notice shows of a question besides its text: the command to paste, the preview, and who is asked."""
    who = whom(asked.approvers)
    return [
        *([f"$ {asked.command}"] if asked.command else []),
        *(asked.preview.split("\n") if asked.preview else []),
        *([f"asked: {who}"] if who else []),
    ]
