"""
Finds the page of an alert: in a folder by the alert's name, or at the address that the alert names (`runbook_url`).

An address is asked only over HTTPS, and only on a host that the settings name: an alert is foreign text. The evaluation of alerts does
not wait for it: an alert whose page is under way is evaluated again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from yarl import URL

from kintsugi.catalog.pages import PageFolder, PageTerms, PageUnreadable, RunbookPage
from kintsugi.clients.http import HttpClient, HttpRequest
from kintsugi.errors import KintsugiError
from kintsugi.mask import MASK
from kintsugi.model.records import Signal
from kintsugi.model.rules import RuleSource, is_canary

log = structlog.get_logger(__name__)

ANNOTATION = "runbook_url"
"""The annotation with the address of a page, as the alerts of the Prometheus community have it."""

LONGEST = 2000
"""Characters of an address."""

WITHIN = timedelta(seconds=10)
"""The limit of one request."""

KEPT_FOR = timedelta(minutes=30)
"""How long a page that was fetched, or could not be, is not asked for again."""

MOST_KEPT = 100
"""Addresses that are remembered; those that wait to be asked are among them."""

GITHUB, RAW = "github.com", "raw.githubusercontent.com"


class PagePending(KintsugiError):
    """A page is being read: ask again later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fetched:
    """What was read at an address and when, or why nothing was; `at` None while that is under way."""

    at: datetime | None = None
    pages: tuple[RunbookPage, ...] = ()
    why: str = ""


@dataclass(kw_only=True)
class PageFetcher:
    """Fetches pages from some `hosts`, one after the other."""

    hosts: frozenset[str]
    terms: PageTerms
    http: HttpClient
    clock: Callable[[], datetime]
    _known: OrderedDict[str, _Fetched] = field(default_factory=OrderedDict, init=False)
    _waiting: asyncio.Queue[str] = field(default_factory=asyncio.Queue, init=False)

    def address(self, signal: Signal) -> str:
        """Return the address of an alert's page, "" for none, and for one that may not be asked."""
        text = signal.annotations.get(ANNOTATION, "").strip()
        if not text or len(text) > LONGEST or MASK in text:
            return ""
        try:
            url = _raw(URL(text).with_fragment(None))
        except ValueError:
            return ""
        plain = url.scheme == "https" and url.is_default_port() and url.user is None and url.password is None
        return str(url) if plain and (url.host or "").lower() in self.hosts else ""

    def find(self, address: str, alert: str) -> RunbookPage:
        """Return what the page at an address says about an alert. Raises PagePending, PageUnreadable."""
        known = self._known.get(address)
        if known is None or (known.at is not None and self.clock() - known.at > KEPT_FOR):
            self._want(address)
            known = self._known[address]
        if known.at is None:
            raise PagePending(f"the page {address} is being fetched")
        if known.why:
            raise PageUnreadable(known.why)
        about = [each for each in known.pages if alert in each.alerts] or known.pages
        if len(about) != 1:
            raise PageUnreadable(f"it has no part about {alert}" if about else "it has no step")
        return about[0]

    def _want(self, address: str) -> None:
        self._known.pop(address, None)
        while len(self._known) >= MOST_KEPT:
            oldest = next((name for name, each in self._known.items() if each.at is not None), None)
            if oldest is None:
                raise PagePending(f"{MOST_KEPT} other pages are being fetched")
            del self._known[oldest]
        self._known[address] = _Fetched()
        self._waiting.put_nowait(address)

    async def run(self) -> None:
        """Fetch what is wanted, until cancelled."""
        while True:
            address = await self._waiting.get()
            try:
                fetched = _Fetched(at=self.clock(), pages=await self._fetch(address))
                log.info("page fetched", page=address, parts=len(fetched.pages))
            except KintsugiError as error:
                fetched = _Fetched(at=self.clock(), why=str(error))
                log.warning("page not read", page=address, why=str(error))
            self._known[address] = fetched

    async def _fetch(self, address: str) -> tuple[RunbookPage, ...]:
        """Fetch a page. Raises Refused, ProbeFailed, PageUnreadable."""
        answer = await self.http.ask(HttpRequest(url=address, follow=True), within=WITHIN)
        if answer.status != 200:
            raise PageUnreadable(f"{address} answered {answer.status} {answer.reason}".rstrip())
        return await asyncio.to_thread(self.terms.read, answer.body.encode(), address)


def _raw(url: URL) -> URL:
    """Return the address of the text itself where one leads to GitHub's page around a Markdown file."""
    owner, repository, kind, *rest = [*url.parts[1:], "", "", ""]
    if url.host != GITHUB or kind not in ("blob", "tree") or not url.name.endswith(".md"):
        return url
    return URL.build(scheme=url.scheme, host=RAW, path="/".join(["", owner, repository, *filter(None, rest)]))


@dataclass(kw_only=True)
class RunbookPages:
    """All pages that there are; without a folder and a fetcher there is none."""

    folder: PageFolder | None = None
    fetcher: PageFetcher | None = None

    def concerns(self, signal: Signal) -> bool:
        """Return whether there may be a page about a signal. It is called in threads, too."""
        if signal.kind is not RuleSource.ALERT or is_canary(signal.labels):
            return False
        return self._may_be_in_folder(signal) or (self.fetcher is not None and bool(self.fetcher.address(signal)))

    def find(self, signal: Signal) -> RunbookPage | None:
        """Return the page about an alert, that of the folder first. Raises PagePending, PageUnreadable."""
        alert = signal.labels.get("alertname", "")
        if self.folder is not None and self._may_be_in_folder(signal):
            if self.folder.pages is None:
                raise PagePending("the pages are being read")
            return self.folder.pages[alert]
        address = self.fetcher.address(signal) if self.fetcher is not None else ""
        return self.fetcher.find(address, alert) if self.fetcher is not None and address else None

    def _may_be_in_folder(self, signal: Signal) -> bool:
        folder = self.folder
        return folder is not None and (folder.pages is None or signal.labels.get("alertname", "") in folder.pages)
