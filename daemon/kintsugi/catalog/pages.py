"""
Pages: what a team has written about its alerts, as runbooks that the daemon only reads by. They are no documents of the catalog.

A distribution that understands pages is found by its entry point. A page is foreign text: it is read in a thread, up to a size, and one
that cannot be read is logged and left out.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path

import structlog

from kintsugi.catalog.library import Source
from kintsugi.catalog.load import load_sources
from kintsugi.errors import KintsugiError, UsageError
from kintsugi.model.catalog import Catalog
from kintsugi.model.runbooks import PAGE, PAGE_DIGEST, Runbook
from kintsugi.telemetry import in_words, refused_as

log = structlog.get_logger(__name__)

GROUP = "kintsugi.pages"
"""The group of the entry points; each leads to a `PageReader`."""

MOST_BYTES = 256 * 1024
"""Of one page."""

MOST_PAGES = 1000
"""Of a folder."""

_SUFFIXES = (".md", ".markdown")


@dataclass(frozen=True, kw_only=True, slots=True)
class PageDocument:
    """A procedure of a page: the name and the text of its runbook, and the names of the alerts that it is about."""

    name: str
    alerts: tuple[str, ...]
    text: str


PageReader = Callable[[str, str, Mapping[str, str]], Iterable[PageDocument]]
"""Reads the text of a page with this name, for documents with these annotations."""


class PageUnreadable(KintsugiError):
    """A page cannot be read; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A procedure of a page: a catalog of nothing but its runbook, and the names of the alerts that it is about."""

    alerts: tuple[str, ...]
    catalog: Catalog

    @property
    def runbook(self) -> Runbook:
        """Return its runbook."""
        return next(iter(self.catalog.runbooks.values()))

    @property
    def address(self) -> str:
        """Return where it was read."""
        return self.runbook.annotations[PAGE]


def page_reader() -> PageReader:
    """Return the reader of pages of an installed distribution. Raises UsageError where there is none."""
    for each in entry_points(group=GROUP):
        found: PageReader = each.load()
        return found
    raise UsageError("pages need the package kintsugi-import: pip install 'kintsugi-daemon[import]'")


@dataclass(frozen=True, kw_only=True, slots=True)
class PageTerms:
    """How pages are read: by whom, and with which factors on durations."""

    reader: PageReader
    durations: float = 1.0
    deadlines: float = 1.0

    def read(self, content: bytes, address: str) -> tuple[Page, ...]:
        """Read a page. Raises PageUnreadable."""
        if len(content) > MOST_BYTES:
            raise PageUnreadable(f"it is larger than {MOST_BYTES // 1024} KiB")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        # Whatever the reader raises on a stranger's text, the page is not read, and the others are.
        with refused_as(lambda error: PageUnreadable(in_words(error)), passing=(PageUnreadable,)):
            stem = address.rpartition("/")[2].removesuffix(".md").removesuffix(".markdown")
            documents = self.reader(content.decode(), stem, {PAGE: address, PAGE_DIGEST: digest})
            return tuple(self._page(each, address) for each in documents)

    def _page(self, document: PageDocument, address: str) -> Page:
        source = Source(name=address, content=document.text.encode())
        catalog = load_sources([source], durations=self.durations, deadlines=self.deadlines)
        return Page(alerts=document.alerts, catalog=catalog)


Seen = tuple[str, int, int, int]
"""The version of a file: where it leads to, and its inode, time and size."""


@dataclass(kw_only=True, slots=True)
class PageFolder:
    """
    The pages of a folder, kept up to date, by the names of their alerts. `pages` is None until they are read for the first time.

    Of two pages about one alert the first counts, in the order of their paths.
    """

    path: Path
    terms: PageTerms
    every: timedelta = timedelta(seconds=10)
    pages: Mapping[str, Page] | None = field(default=None, init=False)
    _read: dict[Path, tuple[Seen, tuple[Page, ...]]] = field(default_factory=dict, init=False)

    async def run(self) -> None:
        """Look at the folder again and again, until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(self.every.total_seconds())

    async def check(self) -> None:
        """Read what has changed."""
        before = self.pages
        self.pages = await asyncio.to_thread(self._load)
        if self.pages != before:
            log.info("pages loaded", folder=str(self.path), alerts=len(self.pages))

    def _load(self) -> Mapping[str, Page]:
        files = self._files()
        if len(files) > MOST_PAGES:
            log.error("pages left out", folder=str(self.path), read=MOST_PAGES, left_out=len(files) - MOST_PAGES)
        known, self._read = self._read, {}
        found: dict[str, Page] = {}
        for file in files[:MOST_PAGES]:
            for page in self._of(file, known.get(file)):
                for alert in page.alerts:
                    found.setdefault(alert, page)
        return found

    def _files(self) -> list[Path]:
        files = (file for suffix in _SUFFIXES for file in self.path.rglob(f"*{suffix}"))
        return sorted(file for file in files if not any(part[0] == "." for part in file.relative_to(self.path).parts))

    def _of(self, file: Path, known: tuple[Seen, tuple[Page, ...]] | None) -> tuple[Page, ...]:
        """Return the pages of a file, read again only where it has changed."""
        try:
            state = file.stat()
            seen = (str(file.resolve()), state.st_ino, state.st_mtime_ns, state.st_size)
            if known is not None and known[0] == seen:
                self._read[file] = known
                return known[1]
            with file.open("rb") as opened:
                content = opened.read(MOST_BYTES + 1)
        except OSError as error:
            log.warning("page not read", page=str(file), why=error.strerror or str(error))
            return ()
        try:
            pages = self.terms.read(content, str(file.relative_to(self.path)))
        except PageUnreadable as error:
            log.warning("page not read", page=str(file), why=str(error))
            pages = ()
        self._read[file] = (seen, pages)
        return pages
