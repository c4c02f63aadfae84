"""
Destinations of Apprise (https://appriseit.com): e-mail, Teams, Mattermost, Discord, PagerDuty, Opsgenie, ntfy and others.

A pager is called only when a person is needed. The key of its page is the incident's id, by which the page is closed when the
incident is over.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from string import Template
from urllib.parse import urlencode, urlsplit

import apprise
from apprise import NotifyFormat, NotifyType

from kintsugi.decisions.notice_routes import severity_of
from kintsugi.errors import LedgerError, ProbeFailed
from kintsugi.ledger import Outbox
from kintsugi.model.notices import incident_url
from kintsugi.model.records import ENDED_WELL, Notice
from kintsugi.model.runbooks import Severity
from kintsugi.notices.notifier import Way, closed_way
from kintsugi.notices.pair_files import read_pairs
from kintsugi.settings import NotificationSettings, SettingsError
from kintsugi.telemetry import SECRETS, get_logger
from kintsugi.tokens import is_name
from kubeobjects.lines import line

log = get_logger(__name__)

LONGEST_LINE, MOST_LINES = 300, 40
_AGAIN = timedelta(minutes=1)
"""The pause after a page could not be closed."""

_KEYS: Mapping[str, str] = {"pagerduty": "dedup", "opsgenie": "alias"}
"""
The pagers, with the parameter that holds the key of a page (https://appriseit.com/services/pagerduty/,
https://appriseit.com/services/opsgenie/). By `action=map`, a success closes the page that a failure has opened.
"""

_TYPES = {Severity.CRITICAL: NotifyType.FAILURE, Severity.WARNING: NotifyType.WARNING, Severity.INFO: NotifyType.INFO}


@dataclass(frozen=True, kw_only=True, slots=True)
class AppriseMessage:
    """What a destination is sent; `body` is Markdown, of which Apprise makes what the destination reads."""

    title: str
    body: str
    type: NotifyType


def message_of(notice: Notice, link: str, template: str) -> AppriseMessage:
    """
    Return the message of a notice by a template, with the `link` to its incident, if there is one.

    All foreign words stand in code: no destination reads a link, a mention or markup there. The title is plain text.
    """
    shown = [line(SECRETS.text(each), LONGEST_LINE) for each in notice.text.split("\n")[:MOST_LINES]]
    text = "\n".join(each.replace("```", "'''") for each in shown)
    body = Template(template).substitute(
        text=f"```\n{text}\n```",
        title=_code(shown[0]),
        state=_code(notice.kind),
        incident=_code(notice.incident or "no incident"),
        url=f"[Open the incident]({link})" if link else "",
    )
    kind = NotifyType.SUCCESS if notice.kind in ENDED_WELL else _TYPES[severity_of(notice.kind)]
    return AppriseMessage(title=shown[0].replace("@", "＠"), body=body.strip(), type=kind)


def _code(text: str) -> str:
    """Return a text as a span of code, which it cannot end."""
    plain = text.replace("`", "'")
    return f"`{plain}`"


def read_destinations(file: Path) -> Mapping[str, str]:
    """Read the addresses of destinations by name. Raises SettingsError, with each wrong line; no address is in an error."""
    found = read_pairs(file, _objection)
    for url in found.values():
        SECRETS.register(url)
    return found


def _objection(name: str, url: str) -> str:
    if not is_name(name) or "://" not in url:
        return "write NAME: URL, as in team-mail: mailtos://user:password@example.com"
    known = apprise.Apprise.instantiate(url) is not None
    return "" if known else f"Apprise does not know the address of {name} ({url.partition(':')[0]}://…)"


def paged(url: str, incident: str | None) -> str:
    """Return the address of a pager with an incident as the key of its page; any other address as it is."""
    key = _KEYS.get(urlsplit(url).scheme)
    if key is None or incident is None:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode({key: incident, 'action': 'map'})}"


class AppriseSender:
    """
    Sends notices to destinations of Apprise. Raises SettingsError for a file that does not hold what it should.

    `is_well` says of a service whether nothing is wrong with it: a page about it is then closed.
    """

    def __init__(
        self,
        settings: NotificationSettings,
        outbox: Outbox,
        *,
        is_well: Callable[[str], bool],
        clock: Callable[[], datetime],
        public_url: str | None = None,
    ) -> None:
        self._settings, self._outbox, self._is_well, self._clock = settings, outbox, is_well, clock
        self._public_url = public_url
        self._known()

    def _known(self) -> Mapping[str, str]:
        """Return the addresses of destinations now. Raises SettingsError."""
        file = self._settings.destinations_file
        return read_destinations(file) if file is not None else {}

    def way(self, destination: str, template: str) -> Way:
        """Return the way to a destination, for messages by a template; one that is closed if the file has no such destination, or cannot be read."""
        try:
            url = self._address(destination)
        except ProbeFailed as error:
            return closed_way(destination, str(error))
        return Way(name=destination, send=partial(self._send, destination, url, template), is_pager=_is_pager(url))

    def _address(self, destination: str) -> str:
        try:
            known = self._known()
        except SettingsError as error:
            raise ProbeFailed("; ".join(error.problems)) from error
        if destination not in known:
            raise ProbeFailed(f"{self._settings.destinations_file} has no destination {destination}")
        return known[destination]

    async def _send(self, destination: str, url: str, template: str, notice: Notice) -> None:
        """Send a notice, and keep that a pager has a page of it. Raises ProbeFailed, LedgerUnavailable."""
        message = message_of(notice, incident_url(self._public_url, notice.incident), template)
        await self._notify(paged(url, notice.incident), message)
        if _is_pager(url) and notice.incident is not None:
            await self._outbox.page_opened(destination, notice.incident, self._clock())

    async def run(self) -> None:
        """Close pages for ever, as their incidents end."""
        pause = self._settings.interval
        while True:
            await asyncio.sleep(pause.total_seconds())
            try:
                await self.close_pages()
                pause = self._settings.interval
            except (LedgerError, ProbeFailed) as error:
                log.warning("page not closed", error=str(error))
                pause = _AGAIN

    async def close_pages(self) -> None:
        """Close each page whose incident is over: it ended well, or nothing fires and its service is well. Raises ProbeFailed, LedgerUnavailable."""
        for page in await self._outbox.pages_of_closed_incidents():
            if page.state in ENDED_WELL or self._is_well(page.service):
                title = f"{page.service} {page.incident}: {page.state}"
                message = AppriseMessage(title=title, body=f"{page.service} is well.", type=NotifyType.SUCCESS)
                await self._notify(paged(self._address(page.destination), page.incident), message)
                await self._outbox.page_closed(page)

    async def _notify(self, url: str, message: AppriseMessage) -> None:
        """Have Apprise send a message. Raises ProbeFailed with what its service has said."""
        service, said = apprise.Apprise(), list[str]()
        service.add(url)
        sent = await service.async_notify(
            body=message.body,
            title=message.title,
            notify_type=message.type,
            body_format=NotifyFormat.MARKDOWN,
            timeout=self._settings.timeout.total_seconds(),
            log_callback=lambda entry, _service: said.append(entry.message),
            log_level="WARNING",
        )
        if not sent:
            raise ProbeFailed(line(SECRETS.text("; ".join(said)), LONGEST_LINE) or sent.status.name.lower())


def _is_pager(url: str) -> bool:
    return urlsplit(url).scheme in _KEYS
