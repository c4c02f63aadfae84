"""A page from a real HTTPS server whose certificate an own CA has signed: what is read, and what is said where it is not."""

import asyncio
import hashlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import connector, web

from kintsugi.catalog.pages import PageTerms, PageUnreadable, RunbookPage
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.http import HttpClient
from kintsugi.model.runbooks import PAGE_DIGEST
from kintsugi.pipeline import pages
from kintsugi.pipeline.pages import PageFetcher, PagePending
from kintsugi_import.pages import read
from tests.harness.certificates import Authority
from tests.harness.waiting import eventually
from tests.integration.answering_service import serving
from tests.unit.factories import NOW

BODY = "# WebHangs\n\n- Look: `kubectl get pods`\n"


class Site:
    """What is asked of the server, and its answers."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.app = web.Application()
        self.app.router.add_get("/{path:.*}", self.answer)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer by the path."""
        self.asked[request.path] += 1
        match request.path:
            case "/moved":
                raise web.HTTPFound("/page")
            case "/away":
                raise web.HTTPFound(str(request.url.with_host("localhost").with_path("/page")))
            case "/large":
                return web.Response(text="x" * 300_000)
            case "/endless":
                return web.Response(text="x" * 3_000_000)
            case "/hangs":
                await asyncio.Event().wait()
        return web.Response(text=BODY)


@asynccontextmanager
async def fetching(
    folder: Path, patch: pytest.MonkeyPatch, *, trusting: bool = True
) -> AsyncIterator[tuple[PageFetcher, Site, str]]:
    """Serve pages and fetch from there, in a process that trusts the server's CA as `SSL_CERT_FILE` has it."""
    authority, site = Authority(folder), Site()
    pair = authority.server("pages", "127.0.0.1", "localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    if trusting:
        patch.setenv("SSL_CERT_FILE", str(authority.own.certificate))
    # aiohttp makes its context when it is imported.
    patch.setattr(connector, "_SSL_CONTEXT_VERIFIED", connector._make_ssl_context(verified=True))
    http = HttpClient(AddressRule(allow_loopback=True))
    fetcher = PageFetcher(hosts=frozenset({"127.0.0.1"}), terms=PageTerms(reader=read), http=http, clock=lambda: NOW)
    async with serving(site.app, tls) as url:
        task = asyncio.create_task(fetcher.run())
        try:
            yield fetcher, site, url
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def found(fetcher: PageFetcher, address: str) -> RunbookPage:
    """Ask until the page has come. Raises PageUnreadable."""

    async def come() -> RunbookPage | PageUnreadable | None:
        try:
            return fetcher.find(address, "WebHangs")
        except PagePending:
            return None
        except PageUnreadable as error:
            return error

    page: RunbookPage | PageUnreadable = await eventually(come, within=20)
    if isinstance(page, PageUnreadable):
        raise page
    return page


async def test_a_page_is_fetched_once_also_by_a_redirect_on_its_host_and_its_digest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fetching(tmp_path, monkeypatch) as (fetcher, site, url):
        page = await found(fetcher, f"{url}/page")
        assert page.runbook.annotations[PAGE_DIGEST] == f"sha256:{hashlib.sha256(BODY.encode()).hexdigest()}"
        assert await found(fetcher, f"{url}/page") is page
        assert site.asked == {"/page": 1}
        assert (await found(fetcher, f"{url}/moved")).address == f"{url}/moved"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/away", r"redirects to another host \(localhost\): that is not followed"),
        ("/large", "it is larger than 256 KiB"),
        ("/endless", "it is larger than 256 KiB"),
        ("/hangs", "no answer within 0.5 s"),
    ],
)
async def test_a_page_that_cannot_be_had_is_said_and_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    if path == "/hangs":
        monkeypatch.setattr(pages, "WITHIN", timedelta(seconds=0.5))
    async with fetching(tmp_path, monkeypatch) as (fetcher, site, url):
        with pytest.raises(PageUnreadable, match=said):
            await found(fetcher, f"{url}{path}")
        with pytest.raises(PageUnreadable, match=said):
            fetcher.find(f"{url}{path}", "WebHangs")
        assert site.asked == {path: 1}


async def test_a_server_whose_ca_is_unknown_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fetching(tmp_path, monkeypatch, trusting=False) as (fetcher, site, url):
        with pytest.raises(PageUnreadable, match="certificate verify failed"):
            await found(fetcher, f"{url}/page")
        assert not site.asked
