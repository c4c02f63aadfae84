"""
The outbox's worker: sends due notices to a webhook, and retries until they are delivered.

The ledger writes a notice together with the change that it reports, so that no notice is lost and no run ever waits for
one (E24). A receiver may get a notice twice, with the same id. A notice is sent with its service, incident and diagnosis
before its own text, and the next command after it; a question waits a moment for its diagnosis.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import aiohttp
import orjson

from kintsugi.decisions.next_command import next_command
from kintsugi.errors import LedgerError, NotRecorded, ProbeFailed
from kintsugi.ledger import Ledger, Outbox
from kintsugi.model.records import ENDED_WELL, Approval, Incident, IncidentState, Notice
from kintsugi.settings import NotificationSettings
from kintsugi.telemetry import SECRETS, Metrics, get_logger
from kintsugi.tokens import read_bearer
from kubediagnosis.causes import Diagnosis
from kubediagnosis.headline import diagnosis_at, headline, what_changed
from kubeobjects.lines import line, lines

log = get_logger(__name__)

_FIRST_PAUSE = timedelta(seconds=5)
_AT_ONCE = 20
"""Notices sent in one look at the outbox."""


Completion = Callable[[Sequence[Notice]], Awaitable[Sequence[Notice]]]
"""Returns notices as they are to be sent; those that it leaves out are asked for again."""


async def no_headlines(notices: Sequence[Notice]) -> Sequence[Notice]:
    """Add nothing to notices."""
    return notices


class Notifier:
    """
    Sends what is due; made only where `notifications.url` is set.

    `complete` adds to notices what was found out about their incident.
    """

    def __init__(
        self,
        settings: NotificationSettings,
        outbox: Outbox,
        session: aiohttp.ClientSession,
        *,
        metrics: Metrics,
        clock: Callable[[], datetime],
        complete: Completion = no_headlines,
    ) -> None:
        if settings.url is None:
            raise ProbeFailed("notifications.url is not set: notices are sent to nobody")
        self._settings, self._url = settings, settings.url
        self._outbox, self._session, self._metrics, self._clock = outbox, session, metrics, clock
        self._complete = complete
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout.total_seconds())

    async def run(self) -> None:
        """Look at the outbox for ever. While the ledger is away nothing is sent, and nothing is lost."""
        while True:
            try:
                await self.send_due()
            except LedgerError as error:
                log.warning("outbox unreadable", error=str(error))
            await asyncio.sleep(self._settings.interval.total_seconds())

    async def send_due(self) -> int:
        """Send the notices that are due, each for itself, and give how many arrived. Raises LedgerUnavailable."""
        notices = await self._complete(await self._outbox.due_notices(self._clock(), _AT_ONCE))
        failures = await asyncio.gather(*(self._attempt(notice) for notice in notices))
        for notice, failure in zip(notices, failures, strict=True):
            await self._write_down(notice, failure)
        return failures.count("")

    async def _attempt(self, notice: Notice) -> str:
        """Send one notice and say why it did not arrive, "" when it did."""
        try:
            await self._post(notice)
        except ProbeFailed as error:
            return str(error)
        return ""

    async def _write_down(self, notice: Notice, failure: str) -> None:
        if not failure:
            await self._outbox.notice_sent(notice.id)
            self._metrics.notices.labels("sent").inc()
            return
        due = self._clock() + pause_before(notice.attempts + 1, self._settings.backoff_max)
        await self._outbox.notice_failed(notice.id, due)
        self._metrics.notices.labels("failed").inc()
        log.warning("notice not delivered", notice=notice.id, attempts=notice.attempts + 1, error=failure)

    async def _post(self, notice: Notice) -> None:
        """Post one notice. Raises ProbeFailed unless the answer is a 2xx."""
        try:
            async with self._session.post(
                self._url, data=_body(notice), headers=self._headers(), timeout=self._timeout, allow_redirects=False
            ) as answer:
                if not 200 <= answer.status < 300:
                    raise ProbeFailed(f"the receiver of notices answered {answer.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProbeFailed(f"the receiver of notices cannot be reached: {error or type(error).__name__}") from error

    def _headers(self) -> dict[str, str]:
        """Return the headers, with the token that its file holds now. Raises ProbeFailed where it holds no valid one."""
        headers = {"Content-Type": "application/json"}
        if self._settings.token_file is not None:
            token = read_bearer(self._settings.token_file)
            SECRETS.register(token)
            headers["Authorization"] = f"Bearer {token}"
        return headers


def pause_before(attempt: int, longest: timedelta) -> timedelta:
    """Return the pause before the attempt after this one: 5 s, doubling, up to the longest."""
    return min(_FIRST_PAUSE * (1 << min(attempt - 1, 30)), longest)


def _body(notice: Notice) -> bytes:
    """Write a notice as JSON, its text without secrets."""
    return orjson.dumps(
        {
            "id": notice.id,
            "incident": notice.incident,
            "kind": notice.kind,
            "text": lines(map(line, SECRETS.text(notice.text).split("\n"))),
            "created": notice.created,
        }
    )


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
            shown = await self._lines(
                notice, found, asked.preview.split("\n") if asked is not None and asked.preview else ()
            )
            completed.append(replace(notice, text=lines(map(line, shown))))
        return completed

    async def _question(self, notice: Notice) -> Approval | None:
        """Return the newest question of the incident, for the notice of a question."""
        if notice.kind is not IncidentState.AWAITING_APPROVAL or notice.incident is None:
            return None
        return next(reversed(await self.ledger.people.approvals_of(notice.incident)), None)

    async def _lines(self, notice: Notice, found: Diagnosis | None, preview: Sequence[str]) -> Sequence[str]:
        """Return the lines of a notice; one whose incident is not in the ledger any more has its own alone."""
        text = [*notice.text.split("\n"), *preview]
        incident = await self._incident(notice)
        if incident is None:
            return text
        runs = await self.ledger.incidents.runs_of(incident.id)
        changed = any(run.changed for run in runs)
        command = next_command(incident.state, incident.id, incident.service, changed=changed)
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
