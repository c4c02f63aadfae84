"""
Pages: what a team has written about its alerts, as runbooks that the daemon only reads by. They are no documents of the catalog.

A distribution that understands pages is found by its entry point. A page is foreign text: it is read in a thread, up to a size, and one
that cannot be read is logged and left out.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
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
class RunbookPage:
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

    def read(self, content: bytes, address: str) -> tuple[RunbookPage, ...]:
        """Read a page. Raises PageUnreadable."""
        if len(content) > MOST_BYTES:
            raise PageUnreadable(f"it is larger than {MOST_BYTES // 1024} KiB")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        # Whatever the reader raises on a stranger's text, the page is not read, and the others are.
        with refused_as(lambda error: PageUnreadable(in_words(error)), passing=(PageUnreadable,)):
            stem = address.rpartition("/")[2].removesuffix(".md").removesuffix(".markdown")
            documents = self.reader(content.decode(), stem, {PAGE: address, PAGE_DIGEST: digest})
            return tuple(self._page(each, address) for each in documents)

    def _page(self, document: PageDocument, address: str) -> RunbookPage:
        source = Source(name=address, content=document.text.encode())
        catalog = load_sources([source], durations=self.durations, deadlines=self.deadlines)
        return RunbookPage(alerts=document.alerts, catalog=catalog)


Seen = tuple[str, int, int, int]
"""The version of a file: where it leads to, and its inode, time and size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _PageFile:
    """A file as it was read: its version, its pages, and why it could not be read ("" where it could)."""

    seen: Seen | None = None
    pages: tuple[RunbookPage, ...] = ()
    why: str = ""


@dataclass(kw_only=True, slots=True)
class PageFolder:
    """
    The pages of a folder, kept up to date, by the names of their alerts. `pages` is None until they are read for the first time.

    Of two pages about one alert the first counts, in the order of their paths.
    """

    path: Path
    terms: PageTerms
    every: timedelta = timedelta(seconds=10)
    pages: Mapping[str, RunbookPage] | None = field(default=None, init=False)
    _files: Mapping[Path, _PageFile] = field(default_factory=dict, init=False)

    async def run(self) -> None:
        """Look at the folder again and again, until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(self.every.total_seconds())

    async def check(self) -> None:
        """Read what has changed, and log once what cannot be read."""
        before, known = self.pages, self._files
        self._files = await asyncio.to_thread(self._load, known)
        for path, file in self._files.items():
            if file.why and known.get(path) != file:
                log.warning("page not read", page=str(path), why=file.why)
        found: dict[str, RunbookPage] = {}
        for page in (page for file in self._files.values() for page in file.pages):
            for alert in page.alerts:
                found.setdefault(alert, page)
        self.pages = found
        if found != before:
            log.info("pages loaded", folder=str(self.path), alerts=len(found))

    def _load(self, known: Mapping[Path, _PageFile]) -> Mapping[Path, _PageFile]:
        paths = sorted(_markdown_in(self.path))
        read = {path: self._read(path, known.get(path)) for path in paths[:MOST_PAGES]}
        if len(paths) > MOST_PAGES:
            read[self.path] = _PageFile(
                why=f"it has {len(paths)} pages: those after the first {MOST_PAGES} are left out"
            )
        return read

    def _read(self, path: Path, known: _PageFile | None) -> _PageFile:
        """Return a file as it is, read again only where it has changed."""
        seen: Seen | None = None
        try:
            state = path.stat()
            seen = (str(path.resolve()), state.st_ino, state.st_mtime_ns, state.st_size)
            if known is not None and known.seen == seen:
                return known
            with path.open("rb") as opened:
                content = opened.read(MOST_BYTES + 1)
            return _PageFile(seen=seen, pages=self.terms.read(content, str(path.relative_to(self.path))))
        except OSError as error:
            return _PageFile(why=error.strerror or str(error))
        except PageUnreadable as error:
            return _PageFile(seen=seen, why=str(error))


def _markdown_in(folder: Path) -> Iterator[Path]:
    """Yield the Markdown files of a folder and the folders in it, but of those whose name begins with a dot."""
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        yield from (Path(place, each) for each in files if each.endswith(_SUFFIXES) and not each.startswith("."))
