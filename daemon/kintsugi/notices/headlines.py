"""
The headlines of notices: the incident and its diagnosis before the text of each, and the next command after it.

A question waits a moment for its diagnosis.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kintsugi.decisions.answers import whom
from kintsugi.decisions.next_command import next_command
from kintsugi.errors import NotRecorded
from kintsugi.ledger import Ledger
from kintsugi.model.questions import Question, QuestionKind
from kintsugi.model.records import ENDED_WELL, Incident, IncidentState, Notice
from kubediagnosis.causes import Diagnosis
from kubediagnosis.headline import diagnosis_at, headline, what_changed
from kubeobjects.lines import line, lines

_WITHOUT_RUN = frozenset({IncidentState.AWAITING_APPROVAL, IncidentState.INEFFECTIVE})
"""The states of incidents whose notice is written before their diagnosis is made."""

MOST_LINES = 10
"""Lines of a notice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeHeadlines:
    """
    Puts the incident and the headline of its diagnosis before each notice, and the next command after it.

    `delay` is how long a question that was not asked yet, or whose incident has no diagnosis yet, is left for the next look at the outbox. `affected`
    names the services that suffer from what an incident is about.
    """

    ledger: Ledger
    clock: Callable[[], datetime]
    delay: timedelta
    affected: Callable[[str], Awaitable[Sequence[str]]]

    async def complete(self, notices: Sequence[Notice]) -> Sequence[Notice]:
        """Return notices as they are to be sent now. Raises LedgerUnavailable."""
        incidents = sorted({each.incident for each in notices if each.incident is not None})
        kept = await self.ledger.incidents.diagnoses_of(*incidents)
        completed = []
        for notice in notices:
            of_it = [each.diagnosis for each in kept if each.incident == notice.incident]
            found = diagnosis_at(of_it, notice.created)
            asked = await self._question(notice)
            is_early = found is None or (asked is None and notice.kind is IncidentState.AWAITING_APPROVAL)
            if is_early and self._may_wait(notice):
                continue
            shown = await self._lines(notice, found, asked)
            completed.append(replace(notice, text=lines(map(line, shown))))
        return completed

    async def _question(self, notice: Notice) -> Question | None:
        """Return the newest question of the incident, for the notice of a question."""
        if notice.kind is not IncidentState.AWAITING_APPROVAL or notice.incident is None:
            return None
        return next(reversed(await self.ledger.people.questions_of(notice.incident)), None)

    async def _lines(self, notice: Notice, found: Diagnosis | None, asked: Question | None) -> Sequence[str]:
        """Return the lines of a notice; one whose incident is not in the ledger any more has its own alone."""
        text = [*notice.text.split("\n"), *(_question_lines(asked) if asked is not None else ())]
        incident = await self._incident(notice)
        if incident is None:
            return text
        runs = await self.ledger.incidents.runs_of(incident.id)
        changed = any(run.changed for run in runs)
        command = next_command(
            incident.state,
            incident.id,
            incident.service,
            changed=changed,
            asked=asked.kind if asked is not None else QuestionKind.APPROVAL,
            taken=await self.ledger.people.taken(incident.id) is not None,
        )
        head = [
            f"{incident.service} {incident.id}: {notice.kind}",
            *(headline_lines(notice.kind, found) if found else ()),
        ]
        foot = [*await self._suffering(notice), f"next: {command}"]
        room = MOST_LINES - len(head) - len(foot)
        if len(text) > room:
            more = f"… and {len(text) - room + 1} more lines: kintsugi incident {incident.id} --all"
            text = [*text[: room - 1], more]
        return [*head, *text, *foot]

    async def _incident(self, notice: Notice) -> Incident | None:
        if notice.incident is None:
            return None
        try:
            return await self.ledger.incidents.get(notice.incident, strict=False)
        except NotRecorded:
            return None

    async def _suffering(self, notice: Notice) -> Sequence[str]:
        """Return the line about the services that suffer, too; none of what is over, or of no incident."""
        if notice.incident is None or notice.kind in ENDED_WELL:
            return ()
        names = await self.affected(notice.incident)
        return (f"also affected: {', '.join(names)}",) if names else ()

    def _may_wait(self, notice: Notice) -> bool:
        """Return whether an incident without a run was opened so shortly before that its diagnosis may be under way."""
        return notice.kind in _WITHOUT_RUN and self.clock() < notice.created + self.delay


def headline_lines(state: IncidentState, found: Diagnosis) -> Sequence[str]:
    """Return what is wrong, or was, with an incident in this state, and what changed before, if anything did."""
    wrong = f"{'past problem' if state in ENDED_WELL else 'problem'}: {headline(found)}"
    changed = what_changed(found)
    return [wrong, *([f"earlier change: {changed}"] if changed else [])]


def _question_lines(asked: Question) -> Sequence[str]:
    """Return what a notice shows of a question besides its text: the command to paste, the preview, and who is asked."""
    who = whom(asked.approvers)
    return [
        *([f"$ {asked.command}"] if asked.command else []),
        *(asked.preview.split("\n") if asked.preview else []),
        *([f"asked: {who}"] if who else []),
    ]
