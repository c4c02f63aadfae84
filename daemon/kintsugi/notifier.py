"""
The outbox's worker: sends due notices to a webhook, and retries until they are delivered.

The ledger writes a notice together with the change that it reports, so that no notice is lost and no run ever waits for
one (E24). A receiver may get a notice twice, with the same id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import aiohttp
import orjson

from kintsugi.errors import LedgerError, ProbeFailed
from kintsugi.ledger import OutboxRepository
from kintsugi.model.records import Notice
from kintsugi.settings import NotificationSettings
from kintsugi.telemetry import SECRETS, Metrics, get_logger
from kintsugi.tokens import read_bearer
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
        outbox: OutboxRepository,
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
        """Keep what became of a notice."""
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
        """
        Return the headers, with the token as the file holds it now. Raises ProbeFailed where the file has no valid
        token.
        """
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
