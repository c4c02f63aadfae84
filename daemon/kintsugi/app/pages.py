"""Has the pages read that the settings name: those of a folder, and those that alerts name."""

from collections.abc import Callable
from datetime import datetime

from kintsugi.app.lifecycle import Lifecycle
from kintsugi.catalog.pages import PageFolder, PageTerms, page_reader
from kintsugi.clients.http import HttpClient
from kintsugi.errors import UsageError
from kintsugi.pipeline.pages import PageFetcher, RunbookPages
from kintsugi.settings import Settings, SettingsError


def read_pages(
    pages: RunbookPages, settings: Settings, http: HttpClient, clock: Callable[[], datetime], life: Lifecycle
) -> None:
    """Let `pages` have those that the settings name. Raises SettingsError where no package reads them."""
    chosen = settings.pages
    if chosen.directory is None and not chosen.hosts:
        return
    try:
        terms = PageTerms(reader=page_reader(), durations=settings.durations, deadlines=settings.deadlines)
    except UsageError as error:
        raise SettingsError((f"pages: {error}",)) from error
    if chosen.directory is not None:
        pages.folder = PageFolder(path=chosen.directory, terms=terms)
        life.spawn("pages", pages.folder.run())
    if chosen.hosts:
        pages.fetcher = PageFetcher(hosts=chosen.hosts, terms=terms, http=http, clock=clock)
        life.spawn("page fetcher", pages.fetcher.run())
