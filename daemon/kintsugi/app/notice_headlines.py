"""Notices as they are sent: the diagnosis of their incident comes first, and a question waits a moment for its own."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kintsugi.decisions.diagnosis.headline import ENDED_WELL, diagnosis_at, headline, what_changed
from kintsugi.ledger import DiagnosisRepository
from kintsugi.model.causes import Diagnosis, KeptDiagnosis
from kintsugi.model.records import IncidentState, Notice


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeHeadlines:
    """
    Puts the headline of the diagnosis before each notice.

    `delay` is how long a question whose incident has no diagnosis yet is left for the next look at the outbox. `affected`
    names the services that suffer from what an incident is about.
    """

    diagnoses: DiagnosisRepository
    clock: Callable[[], datetime]
    delay: timedelta
    affected: Callable[[str], Awaitable[Sequence[str]]]

    async def complete(self, notices: Sequence[Notice]) -> Sequence[Notice]:
        """Return notices as they are to be sent now. Raises LedgerUnavailable."""
        incidents = sorted({each.incident for each in notices if each.incident is not None})
        kept = await self.diagnoses.of_incidents(incidents)
        completed = []
        for notice in notices:
            of_it: list[KeptDiagnosis] = [each for each in kept if each.incident == notice.incident]
            found = diagnosis_at(of_it, notice.created)
            if found is None and self._may_wait(notice):
                continue
            text = notice.text if found is None else with_headline(notice.kind, found, notice.text)
            completed.append(replace(notice, text="\n".join([text, *await self._suffering(notice)])))
        return completed

    async def _suffering(self, notice: Notice) -> Sequence[str]:
        """Return the line about the services that suffer, too; none of what is over, or of no incident."""
        if notice.incident is None or notice.kind in ENDED_WELL:
            return ()
        names = await self.affected(notice.incident)
        return (f"also affected: {', '.join(names)}",) if names else ()

    def _may_wait(self, notice: Notice) -> bool:
        """Return whether a question has been put so shortly before that its diagnosis may be under way."""
        return notice.kind is IncidentState.AWAITING_APPROVAL and self.clock() < notice.created + self.delay


def with_headline(state: IncidentState, found: Diagnosis, text: str) -> str:
    """Return a text about an incident in this state: first what is wrong, or was, then what changed before, if anything did."""
    wrong = f"{'past problem' if state in ENDED_WELL else 'problem'}: {headline(found)}"
    changed = what_changed(found)
    return "\n".join([wrong, *([f"earlier change: {changed}"] if changed else []), text])
