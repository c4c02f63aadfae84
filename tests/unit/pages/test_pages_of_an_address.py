"""The page that an alert names: only over HTTPS from a host of the settings, once in a while, and never waited for."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kintsugi.catalog.pages import PageFolder, PageTerms, PageUnreadable
from kintsugi.clients.http import HttpClient, HttpRequest, HttpResponse
from kintsugi.errors import KintsugiError, Refused
from kintsugi.model.rules import RuleSource
from kintsugi.pipeline.pages import KEPT_FOR, PageFetcher, PagePending, RunbookPages
from kintsugi_import.pages import read
from tests.unit.factories import NOW, signal

URL = "https://runbooks.example.com/web"
MARKDOWN = "# WebHangs\n\n- Look: `kubectl get pods`\n"
HTML = """<!doctype html><head><script>`kubectl get secret`</script></head><body><nav><p><code>kubectl get ns</code></p></nav>
<main><h1>WebHangs <a>¶</a></h1><h2>Diagnosis</h2><p>Look: <code>kubectl get pods</code></p>
<h2>Mitigation</h2><ol><li><p>Inform <b>the owners</b></p></li></ol>
<pre><code class="language-shell">kubectl delete pod <span>web-1</span></code></pre></main></body>"""
ALERT = replace(
    signal(), kind=RuleSource.ALERT, labels={"alertname": "WebHangs"}, annotations={"runbook_url": f"{URL}#webhangs"}
)


@dataclass
class Site(HttpClient):
    """A host that answers what the test says, and notes what it is asked."""

    body: str = MARKDOWN
    status: int = 200
    error: KintsugiError | None = None
    asked: list[HttpRequest] = field(default_factory=list)

    async def ask(self, request: HttpRequest, *, within: timedelta) -> HttpResponse:
        """Answer."""
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return HttpResponse(status=self.status, reason="Not Found", url=request.url, headers={}, body=self.body)


class Bench:
    """Pages that are fetched from one site, at a time that the test sets."""

    def __init__(self, site: Site) -> None:
        self.now: datetime = NOW
        hosts = frozenset({"runbooks.example.com", "raw.githubusercontent.com"})
        self.fetcher = PageFetcher(hosts=hosts, terms=PageTerms(reader=read), http=site, clock=lambda: self.now)
        self.pages = RunbookPages(fetcher=self.fetcher)

    async def fetched(self) -> None:
        """Let the fetcher do what is wanted of it."""
        task = asyncio.create_task(self.fetcher.run())
        while any(each.at is None for each in self.fetcher._known.values()):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (f"{URL}#webhangs", URL),
        ("https://RUNBOOKS.example.com/web", URL),
        (
            "https://github.com/team/docs/blob/main/a/web.md#webhangs",
            "https://raw.githubusercontent.com/team/docs/main/a/web.md",
        ),
        ("https://github.com/team/docs/wiki/web", ""),
        ("http://runbooks.example.com/web", ""),
        ("https://runbooks.example.com:8443/web", ""),
        ("https://user:word@runbooks.example.com/web", ""),
        ("https://other.example.com/web", ""),
        ("https://runbooks.example.com.evil.org/web", ""),
        ("https://[broken/web", ""),
        (f"{URL}?{'x' * 2000}", ""),
        ("file:///etc/passwd", ""),
        ("", ""),
    ],
)
def test_only_a_page_over_https_on_a_host_of_the_settings_is_asked_for(url: str, asked: str) -> None:
    bench, alert = Bench(Site()), replace(ALERT, annotations={"runbook_url": url})
    assert bench.fetcher.address(alert) == asked
    assert bench.pages.concerns(alert) == bool(asked)


@pytest.mark.parametrize("body", [MARKDOWN, HTML], ids=["Markdown", "HTML"])
async def test_a_page_is_pending_until_it_is_fetched_and_fetched_again_only_after_a_while(body: str) -> None:
    site = Site(body=body)
    bench = Bench(site)
    with pytest.raises(PagePending):
        bench.pages.find(ALERT)
    await bench.fetched()
    page = bench.pages.find(ALERT)
    assert page is not None
    text = next(iter(page.catalog.texts.values()))
    assert ("run: kubectl get pods" in text, "kubectl get ns" in text, "secret" in text) == (True, False, False)
    assert page.address == URL
    bench.now += KEPT_FOR
    assert bench.pages.find(ALERT) is page
    assert [each.url for each in site.asked] == [URL]
    bench.now += timedelta(seconds=1)
    with pytest.raises(PagePending):
        bench.pages.find(ALERT)


@pytest.mark.parametrize(
    ("site", "why"),
    [
        (Site(status=404), "answered 404 Not Found"),
        (Site(error=Refused("it is link-local")), "it is link-local"),
        (Site(body="x" * 300_000), "it is larger than 256 KiB"),
        (Site(body="- `kubectl get pods`\n" * 501), "it has more than 500 commands"),
        (Site(body="# Nothing"), "it has no step"),
        (Site(body=f"{MARKDOWN}{MARKDOWN.replace('Web', 'Api')}".replace("WebHangs", "CacheHangs")), "it has no part"),
    ],
)
async def test_a_page_that_cannot_be_had_is_said_and_not_asked_for_again(site: Site, why: str) -> None:
    bench = Bench(site)
    with pytest.raises(PagePending):
        bench.pages.find(ALERT)
    await bench.fetched()
    for _ in range(2):
        with pytest.raises(PageUnreadable, match=why):
            bench.pages.find(ALERT)
    assert len(site.asked) == 1


async def test_of_a_page_of_html_the_content_is_read_with_its_lists_and_blocks() -> None:
    (page,) = PageTerms(reader=read).read(HTML.encode(), URL)
    text = next(iter(page.catalog.texts.values()))
    assert page.alerts == ("WebHangs",)
    assert "text: Inform the owners" in text, "a numbered item is a step"
    assert "command: kubectl delete pod web-1" in text, "so is each command of a block"


async def test_a_page_of_the_folder_comes_before_the_one_that_the_alert_names(tmp_path: Path) -> None:
    site = Site()
    bench = Bench(site)
    (tmp_path / "WebHangs.md").write_text(MARKDOWN)
    bench.pages.folder = PageFolder(path=tmp_path, terms=bench.fetcher.terms)
    with pytest.raises(PagePending):
        bench.pages.find(ALERT)
    await bench.pages.folder.check()
    page = bench.pages.find(ALERT)
    assert (page.address if page else "", site.asked) == ("WebHangs.md", [])
