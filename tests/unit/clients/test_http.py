"""One request as curl makes it, and nothing that it did not ask for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address

import pytest
from aiohttp import web

from kintsugi.clients.addresses import NONE_DENIED, Address, AddressRule
from kintsugi.clients.http import BODY_LIMIT, HttpClient, HttpRequest, _next
from kintsugi.commands import parse
from kintsugi.errors import OutcomeUnknown, ProbeFailed, Refused
from tests.unit.actions.cluster_of_dicts import actions_on
from tests.unit.actions.samples import change_context

SOON = timedelta(seconds=5)


@dataclass
class Site:
    """A server on loopback that remembers what it was asked."""

    port: int = 0
    asked: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the URL of a page."""
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer by the path."""
        body = await request.text()
        self.asked.append((request.method, request.path, body, dict(request.headers)))
        match request.path:
            case "/health":
                return web.json_response({"status": "ok"}, headers={"X-Version": "7"})
            case "/down":
                return web.Response(status=503, text="no back end")
            case "/here":
                return web.Response(status=302, headers={"Location": "/health"})
            case "/away":
                return web.Response(status=302, headers={"Location": self.url("/health", "localhost")})
            case "/next-door":
                return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{self.port + 1}/health"})
            case "/broken":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "/round":
                return web.Response(status=307, headers={"Location": "/round"})
            case "/big" | "/binary":
                return web.Response(body=b"x" * (BODY_LIMIT + 10) if request.path == "/big" else b"\xff\xfeok")
            case _:
                await asyncio.sleep(30)
                return web.Response()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Run the server."""
    made = Site()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


CLIENT = HttpClient(AddressRule(allow_loopback=True))


async def test_a_request_goes_out_as_it_is_asked_for(site: Site) -> None:
    """Method, headers and body; without the headers that would bring back more than text."""
    request = HttpRequest(url=site.url("/health"), method="POST", headers=(("X-Probe", "1"),), body="a=b")
    response = await CLIENT.ask(request, within=SOON)
    assert (response.status, response.reason, response.body) == (200, "OK", '{"status": "ok"}')
    assert response.headers["x-version"] == "7"
    ((method, _, body, headers),) = site.asked
    assert (method, body) == ("POST", "a=b")
    assert headers["X-Probe"] == "1"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_redirect_is_an_answer_unless_it_is_followed(site: Site) -> None:
    """curl without -L."""
    assert (await CLIENT.ask(HttpRequest(url=site.url("/here")), within=SOON)).status == 302
    followed = await CLIENT.ask(HttpRequest(url=site.url("/here"), method="POST", body="x", follow=True), within=SOON)
    assert (followed.status, followed.url) == (200, site.url("/health"))
    assert site.asked[-1][:3] == ("GET", "/health", ""), "curl turns a redirected POST into a GET"


@pytest.mark.parametrize(("path", "where"), [("/away", "another host"), ("/next-door", "another port")])
async def test_a_redirect_to_another_place_is_never_followed(site: Site, path: str, where: str) -> None:
    """E6: a service cannot send the daemon elsewhere; headers and bodies stay with who was asked."""
    with pytest.raises((Refused, ProbeFailed), match=where):
        await CLIENT.ask(HttpRequest(url=site.url(path), follow=True), within=SOON)
    assert len(site.asked) == 1


async def test_redirects_come_to_an_end(site: Site) -> None:
    """A circle is no answer."""
    with pytest.raises(ProbeFailed, match="more than 5 redirects"):
        await CLIENT.ask(HttpRequest(url=site.url("/round"), follow=True), within=SOON)


async def test_a_body_is_cut_at_its_limit_and_made_text(site: Site) -> None:
    """The ledger keeps it."""
    big = await CLIENT.ask(HttpRequest(url=site.url("/big")), within=SOON)
    assert (len(big.body), big.cut) == (BODY_LIMIT, True)
    assert (await CLIENT.ask(HttpRequest(url=site.url("/binary")), within=SOON)).body.endswith("ok")


async def test_no_answer_in_time_is_a_failed_probe(site: Site) -> None:
    """C7: the whole of it is bounded."""
    with pytest.raises(ProbeFailed, match=r"no answer within 0\.05 s"):
        await CLIENT.ask(HttpRequest(url=site.url("/slow")), within=timedelta(seconds=0.05))


async def test_a_closed_port_is_a_failed_probe(site: Site, unused_tcp_port: int) -> None:
    """It says which URL."""
    with pytest.raises(ProbeFailed, match=f"127.0.0.1:{unused_tcp_port}"):
        await CLIENT.ask(HttpRequest(url=f"http://127.0.0.1:{unused_tcp_port}/"), within=SOON)


async def test_the_proxy_of_the_environment_is_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """E6: trust_env is off."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    assert (await CLIENT.ask(HttpRequest(url=site.url("/health")), within=SOON)).status == 200


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/"]
)
async def test_an_address_that_is_not_asked_is_refused_also_as_a_literal(url: str) -> None:
    """The connector itself never resolves literals: they are judged before."""
    with pytest.raises(Refused):
        await HttpClient(AddressRule()).ask(HttpRequest(url=url), within=SOON)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/", "http:///x"])
async def test_other_schemes_are_not_spoken(url: str) -> None:
    """http and https only."""
    with pytest.raises(ProbeFailed, match="write http://HOST"):
        await CLIENT.ask(HttpRequest(url=url), within=SOON)


class OneAnswer(AddressRule):
    """A rule whose resolver knows one name, once: a second question would find another address."""

    answers: list[tuple[Address, ...]]

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "answers", [(ip_address("127.0.0.1"),)])

    async def resolve(
        self, host: str, port: int, *, within: timedelta, denied_addresses: Mapping[str, str] = NONE_DENIED
    ) -> tuple[Address, ...]:
        """Return the checked address the first time, then fail the test."""
        assert host == "shop.test"
        return self.answers.pop()


async def test_the_connection_goes_to_the_address_that_was_checked(site: Site) -> None:
    """E6, DNS rebinding: nothing resolves the name a second time; Host is the name."""
    response = await HttpClient(OneAnswer()).ask(HttpRequest(url=site.url("/health", "shop.test")), within=SOON)
    assert response.status == 200
    assert site.asked[0][3]["Host"] == f"shop.test:{site.port}"


async def test_curl_answers_with_the_columns_of_the_grammar(site: Site) -> None:
    """status, body, headers, json; -f makes a bad status a failure."""
    does = actions_on()
    good = await does.read(parse(f"curl {site.url('/health')}"), deadline=SOON)
    assert good.names["status"] == 200
    assert good.names["json"] == {"status": "ok"}
    bad = await does.read(parse(f"curl {site.url('/down')}"), deadline=SOON)
    assert (bad.names["status"], bad.names["body"], bad.failed) == (503, "no back end", "")
    assert "json" not in bad.names
    failed = await does.read(parse(f"curl -f {site.url('/down')}"), deadline=SOON)
    assert failed.failed == "the requested URL returned error: 503"


@pytest.mark.parametrize(
    ("here", "there", "good"),
    [
        ("http://web.production/a", "https://web.production/b", True),
        ("http://web.production/a", "/b", True),
        ("https://web.production/a", "http://web.production/b", False),
        ("http://web.production:8080/a", "https://web.production/b", False),
        ("https://web.production/a", "https://web.production:8443/b", False),
    ],
)
def test_a_redirect_may_only_become_better(here: str, there: str, good: bool) -> None:
    if good:
        assert _next(HttpRequest(url=here), 302, there).url
    else:
        with pytest.raises(Refused, match="a weaker scheme"):
            _next(HttpRequest(url=here), 302, there)


async def test_a_change_that_reached_nobody_is_told_apart_from_one_whose_answer_is_lost(site: Site) -> None:
    """P3: only of the first it is known that nothing has happened."""
    with pytest.raises(OutcomeUnknown, match="the outcome of the request is unknown"):
        await CLIENT.send(HttpRequest(url=site.url("/broken"), method="POST"), within=SOON)
    with pytest.raises(OutcomeUnknown, match="the outcome of the request is unknown"):
        await CLIENT.send(HttpRequest(url=site.url("/slow"), method="POST"), within=timedelta(seconds=0.5))
    assert len(site.asked) == 2
    with pytest.raises(ProbeFailed):
        await CLIENT.send(HttpRequest(url="http://127.0.0.1:1/", method="POST"), within=SOON)
    with pytest.raises(Refused):
        await CLIENT.send(HttpRequest(url="http://169.254.169.254/", method="POST"), within=SOON)


@pytest.mark.parametrize(
    ("host", "denied"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("127.0.0.1", ":{port}"),
    ],
)
async def test_a_change_is_not_sent_to_an_address_or_port_to_keep_from_whatever_leads_there(
    site: Site, host: str, denied: str
) -> None:
    """P8: a Service is reached by its cluster IP, by any name that stands for it, and by a node port at every node."""
    context = change_context(denied_addresses={denied.format(port=site.port): "the database of our own ledger"})
    does = actions_on()
    plan = await does.plan_effect(parse(f"curl -X POST {site.url('/health', host)}"), context)
    with pytest.raises(Refused, match="is not asked: it is the database of our own ledger"):
        await does.apply(plan)
    assert site.asked == []
