"""Posts notices as JSON to `notifications.url`. The form is an API: docs/notices.md describes it."""

import aiohttp
import orjson

from kintsugi.errors import ProbeFailed
from kintsugi.model.notices import incident_url
from kintsugi.model.records import Notice
from kintsugi.settings import NotificationSettings
from kintsugi.telemetry import SECRETS
from kintsugi.tokens import read_bearer
from kubeobjects.lines import line, lines


class Webhook:
    """The receiver at `notifications.url`."""

    def __init__(
        self,
        url: str,
        settings: NotificationSettings,
        session: aiohttp.ClientSession,
        *,
        public_url: str | None = None,
    ) -> None:
        self._url, self._settings, self._session, self._public_url = url, settings, session, public_url
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout.total_seconds())

    async def send(self, notice: Notice) -> None:
        """Post one notice. Raises ProbeFailed unless the answer is a 2xx."""
        try:
            async with self._session.post(
                self._url,
                data=self._body(notice),
                headers=self._headers(),
                timeout=self._timeout,
                allow_redirects=False,
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

    def _body(self, notice: Notice) -> bytes:
        """Write a notice as JSON, its text without secrets."""
        return orjson.dumps(
            {
                "id": notice.id,
                "incident": notice.incident,
                "kind": notice.kind,
                "text": lines(map(line, SECRETS.text(notice.text).split("\n"))),
                "created": notice.created,
                "url": incident_url(self._public_url, notice.incident),
            }
        )
