"""
Notices that the catalog's files have changed, and loads them anew.

A version with mistakes is refused whole and the last good one stays in force (C17); running runs keep the version they
began with. Files are checked every second by name, path, time and inode, so that the link swap of a ConfigMap is
noticed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from kintsugi.catalog.library import CatalogPaths
from kintsugi.catalog.load import files_in, load_sources, read_sources
from kintsugi.catalog.problems import CatalogErrors, Problem
from kintsugi.model.catalog import Catalog

Fingerprint = frozenset[tuple[str, str, int, int, int]]

log = structlog.get_logger(__name__)


def ignore(_: object) -> None:
    """Do nothing: the default of a hook."""


async def unprepared() -> None:
    """Prepare nothing: the default of the hook before a load."""


@dataclass(kw_only=True, slots=True)
class CatalogFiles:
    """
    The catalog of some files, kept up to date.

    `loaded` is called with each new version, the first one too; `refused` with each new set of mistakes. Both are
    called on the event loop by `run`, and by `start`. `prepare` is awaited before changed files are loaded.
    """

    paths: CatalogPaths
    durations: float = 1.0
    deadlines: float = 1.0
    every: timedelta = timedelta(seconds=1)
    loaded: Callable[[Catalog], None] = ignore
    refused: Callable[[CatalogErrors], None] = ignore
    prepare: Callable[[], Awaitable[None]] = unprepared
    _catalog: Catalog | None = field(default=None, init=False)
    _seen: Fingerprint | None = field(default=None, init=False)
    _mistakes: tuple[Problem, ...] = field(default=(), init=False)

    @property
    def catalog(self) -> Catalog:
        """Return the last good version; there is one after `start`."""
        assert self._catalog is not None, "start() comes first"
        return self._catalog

    def start(self) -> Catalog:
        """Load the first version. Raises CatalogErrors: a daemon does not start on mistakes."""
        self._seen = self._fingerprint()
        catalog = load_sources(read_sources(self.paths), durations=self.durations, deadlines=self.deadlines)
        self._take(catalog)
        return catalog

    async def run(self) -> None:
        """Look at the files again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.every.total_seconds())
            await self.check()

    async def check(self) -> bool:
        """Check the files once; return whether a new version was taken."""
        try:
            seen = await asyncio.to_thread(self._fingerprint)
            if seen == self._seen:
                return False
            await self.prepare()
            catalog = await asyncio.to_thread(self._load, seen)
        except CatalogErrors as errors:
            self._refuse(errors)
            return False
        if self._catalog is not None and catalog.digest == self._catalog.digest:
            return False
        self._take(catalog)
        return True

    def _load(self, seen: Fingerprint) -> Catalog:
        """Load the files that were seen; files that change meanwhile are loaded again at the next look."""
        self._seen = None  # a file that could not be read is tried again, though nothing about it may have changed
        sources = read_sources(self.paths)
        self._seen = seen
        return load_sources(sources, durations=self.durations, deadlines=self.deadlines)

    def _fingerprint(self) -> Fingerprint:
        """Return which files there are and which version of each; a file that goes while it is looked at is left out."""
        found: set[tuple[str, str, int, int, int]] = set()
        for file in (file for path in self.paths.all for file in files_in(path)):
            try:
                state = file.stat()
            except OSError:
                continue
            found.add((str(file), str(file.resolve()), state.st_ino, state.st_mtime_ns, state.st_size))
        return frozenset(found)

    def _take(self, catalog: Catalog) -> None:
        self._catalog, self._mistakes = catalog, ()
        log.info(
            "catalog loaded",
            digest=catalog.digest,
            services=len(catalog.services),
            rules=len(catalog.rules),
            runbooks=len(catalog.runbooks),
        )
        self.loaded(catalog)

    def _refuse(self, errors: CatalogErrors) -> None:
        if errors.problems == self._mistakes:
            return
        self._mistakes = errors.problems
        kept = self._catalog.digest if self._catalog else ""
        log.error(
            "catalog refused, the last good one stays in force",
            problems=[str(each) for each in errors.problems],
            kept=kept,
        )
        self.refused(errors)
