"""
One HTTP request, as `curl` makes it, without what curl would also do.

No proxy from the environment, no cookie kept, no redirect unless asked for and then never to another host; the body is
cut at 1 MiB. The host is resolved once and checked, and the connection goes to a checked address.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import IPv6Address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kintsugi.clients.addresses import Address, AddressRule
from kintsugi.errors import OutcomeUnknown, ProbeFailed, Refused
from kintsugi.telemetry import in_words, refused_as

BODY_LIMIT = 1 << 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LONGEST_CHAIN = 5
_HEADER_LIMIT = 16 * 1024
# What curl sends; `identity` because a compressed body could grow past its limit when it is unpacked.
_OWN_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "kintsugi"}


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRequest:
    """
    A request. `insecure` accepts any certificate, `follow` follows redirects on the same host.

    It is not sent to any of the `denied_addresses`, each with why, whatever name leads there.
    """

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    insecure: bool = False
    follow: bool = False
    denied_addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    """A response. Header names are lower case; `body` is text, with invalid UTF-8 replaced."""

    status: int
    reason: str
    url: str
    headers: Mapping[str, str]
    body: str
    cut: bool = False


@dataclass(kw_only=True, slots=True)
class _Passage:
    """The progress of a request: `reached` once any server has accepted a connection for it."""

    reached: bool = False

    def tracing(self) -> aiohttp.TraceConfig:
        """
        Return a trace that notes an established connection, TLS included: a request that fails before it was never
        sent.
        """
        config = aiohttp.TraceConfig()
        config.on_connection_create_end.append(self._note)
        return config

    async def _note(self, *_: object) -> None:
        self.reached = True


class HttpClient:
    """Ask HTTP servers, each request on a connection of its own."""

    def __init__(self, rule: AddressRule) -> None:
        self._rule = rule

    async def ask(self, request: HttpRequest, *, within: timedelta) -> HttpResponse:
        """
        Send a request and read its answer, all of it `within` that time.

        Raises Refused for a host that may not be asked, ProbeFailed when there is no answer.
        """
        return await self._ask(request, within, _Passage())

    async def send(self, request: HttpRequest, *, within: timedelta) -> HttpResponse:
        """
        Send a request that changes something, as `ask` does.

        Raises Refused or ProbeFailed only when no server was reached, OutcomeUnknown for whatever goes wrong after that.
        """
        passage = _Passage()
        try:
            return await self._ask(request, within, passage)
        except (ProbeFailed, Refused) as error:
            if not passage.reached:
                raise
            raise OutcomeUnknown(f"{error}: the outcome of the request is unknown") from error

    async def _ask(self, request: HttpRequest, within: timedelta, passage: _Passage) -> HttpResponse:
        # A ClientError, OSError or ValueError of aiohttp and yarl, and whatever else their parsers raise on bytes that are
        # no HTTP. Whoever answers so has not answered.
        with refused_as(lambda error: ProbeFailed(f"{request.url}: {in_words(error)}")):
            try:
                async with asyncio.timeout(within.total_seconds()):
                    return await self._follow(request, within, passage)
            except TimeoutError as error:
                raise ProbeFailed(f"{request.url}: no answer within {within.total_seconds():g} s") from error

    async def _follow(self, request: HttpRequest, within: timedelta, passage: _Passage) -> HttpResponse:
        for _ in range(_LONGEST_CHAIN + 1):
            response = await self._once(request, within, passage)
            target = response.headers.get("location")
            if not request.follow or response.status not in _REDIRECTS or not target:
                return response
            request = _next(request, response.status, target)
        raise ProbeFailed(f"{request.url}: more than {_LONGEST_CHAIN} redirects")

    async def _once(self, request: HttpRequest, within: timedelta, passage: _Passage) -> HttpResponse:
        url = URL(request.url)
        if url.scheme not in ("http", "https") or not url.host:
            raise ProbeFailed(f"{request.url!r} is not asked: write http://HOST/… or https://HOST/…")
        addresses = await self._rule.resolve(
            url.host, url.port or 80, within=within, denied_addresses=request.denied_addresses
        )
        connector = aiohttp.TCPConnector(resolver=_Pinned(addresses), ssl=not request.insecure, force_close=True)
        async with (
            aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[passage.tracing()],
                timeout=aiohttp.ClientTimeout(total=None),
            ) as session,
            session.request(
                request.method,
                url,
                headers=_headers(request),
                data=request.body.encode() if request.body is not None else None,
                allow_redirects=False,
            ) as answer,
        ):
            body = await _capped(answer.content)
            return HttpResponse(
                status=answer.status,
                reason=answer.reason or "",
                url=str(url),
                headers=_bounded(answer.headers),
                body=body[:BODY_LIMIT].decode(errors="replace"),
                cut=len(body) > BODY_LIMIT,
            )


class _Pinned(AbstractResolver):
    """A resolver that knows nothing but the addresses that were checked."""

    def __init__(self, addresses: tuple[Address, ...]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _headers(request: HttpRequest) -> list[tuple[str, str]]:
    given = {name.lower() for name, _ in request.headers}
    own = [(name, value) for name, value in _OWN_HEADERS.items() if name.lower() not in given]
    if request.body is not None and "content-type" not in given:
        own.append(("Content-Type", "application/x-www-form-urlencoded"))
    return [*own, *request.headers]


def _next(request: HttpRequest, status: int, target: str) -> HttpRequest:
    """Make the request that a redirect asks for; like curl, a POST that is answered 301, 302 or 303 becomes a GET."""
    here = URL(request.url)
    there = here.join(URL(target))
    if there.host != here.host:
        raise Refused(f"{request.url} redirects to another host ({there.host}): that is not followed")
    if not _is_as_good(here, there):
        raise Refused(
            f"{request.url} redirects to {there.scheme}://{there.authority}: another port, or a weaker scheme"
        )
    kept = status in (307, 308) or request.method in ("GET", "HEAD")
    if kept:
        return replace(request, url=str(there))
    return replace(request, url=str(there), method="GET", body=None)


def _is_as_good(here: URL, there: URL) -> bool:
    """Return whether a redirect stays where it is; from http to https with the usual ports it becomes better."""
    if here.scheme == there.scheme:
        return here.port == there.port
    return (here.scheme, there.scheme) == ("http", "https") and here.is_default_port() and there.is_default_port()


def _bounded(headers: Mapping[str, str]) -> dict[str, str]:
    bounded: dict[str, str] = {}
    left = _HEADER_LIMIT
    for name, value in headers.items():
        left -= len(name) + len(value)
        if left >= 0:
            bounded.setdefault(name.lower(), value)
    return bounded


async def _capped(content: aiohttp.StreamReader) -> bytes:
    """Read up to a byte more than is kept; that byte shows that the body is longer."""
    body = bytearray()
    async for chunk in content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > BODY_LIMIT:
            break
    return bytes(body[: BODY_LIMIT + 1])
