"""
One HTTP exchange with the API server: connections, deadlines, renewed credentials, and errors in our words.

The client and the reflectors speak through this; nothing here is ever repeated, except a request that was answered
401, once, with credentials read anew.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import urlencode

import aiohttp
import structlog
from yarl import URL

from kintsugi.errors import KubeError, OutcomeUnknown, ServerUnavailable, StreamSilent
from kintsugi.kube.api_errors import Request, refusal, unanswered
from kintsugi.kube.credentials import Access, Credentials
from kintsugi.settings import KubeSettings

log = structlog.get_logger(__name__)

_LOGGED_FROM = 1.0
"""The seconds of waiting for the throttle from which a wait is logged."""


# Above the 1.5 MiB that etcd takes for one object: a whole event can wait in the buffer.
READ_BUFFER_BYTES = 2 * 1024 * 1024
# A page of a list has some hundred objects; an aggregated API may send anything.
LONGEST_ANSWER = 64 * 1024 * 1024
_LIMIT_OF_ERROR_BODY = 64 * 1024
# A piece of a stream: others have their turn after each, and of a watch one pod is evaluated.
_CHUNK_BYTES = 128 * 1024
AnswerListener = Callable[[str, float, float], None]
"""
Called with each answer: its `Date` ("" when that is not the present time), and the steady times of request and answer.
"""

# A dead connection under a quiet watch is noticed within a minute, as HTTP/2 pings show it to client-go: seconds without
# a byte before the first probe, seconds between two, and how many stay unanswered.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
# How long a WebSocket waits for the other side to close, too, in seconds.
_FAREWELL = aiohttp.ClientWSTimeout(ws_close=1.0)
# Why OpenSSL refuses a certificate (X509_V_ERR_…), where that may be the fault of a clock.
_NOT_YET_VALID, _EXPIRED = 9, 10
# Paths that the API server answers itself. Others may be those of an aggregated API: its answers carry another machine's clock.
_OWN_PATHS = ("/api/v1/", "/apis/apps/")
# Answers come from the same network: compressing them costs the API server more than it saves.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "kintsugi"}


class Throttle:
    """
    Limits the requests of one API client: a token bucket as in client-go, with `qps` a second and `burst` at once.

    A change is counted but never waits: it has passed its gate, whose facts must still hold when it is made. Reads wait
    for those before them. Watches are not counted: they are few and last long.
    """

    def __init__(self, *, qps: float, burst: int) -> None:
        self._qps = qps
        self._burst = burst
        self._tokens = float(burst)
        self._filled: float | None = None

    async def pass_through(self, request: Request, *, within: float) -> None:
        """Take a token, and wait for it where none is left. Raises ServerUnavailable where that takes too long."""
        wait = self._take(asyncio.get_running_loop().time())
        if request.changes or wait <= 0:
            return
        if wait >= within:
            self._tokens += 1
            why = f"our own limit of {self._qps:g} a second (kube.qps) leaves no room for {within:g}s"
            raise ServerUnavailable(f"{request}: nothing was sent: {why}")
        if wait >= _LOGGED_FROM:
            log.info("request throttled", request=str(request), seconds=round(wait, 1), qps=self._qps)
        try:
            await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self._tokens += 1
            raise

    def _take(self, now: float) -> float:
        """Take a token, which may be a future one, and return how far away that is."""
        since = now - self._filled if self._filled is not None else 0
        self._filled = now
        self._tokens = min(self._tokens + since * self._qps, self._burst) - 1
        return max(-self._tokens, 0) / self._qps


@dataclass(frozen=True, kw_only=True, slots=True)
class RawAnswer:
    """An answer of any status."""

    status: int
    reason: str
    body: bytes


def ignore_answer(_date: str, _sent: float, _received: float) -> None:
    """Ignore an answer."""


class Transport:
    """
    The connections to one API server.

    Changes go over connections of their own that are never used twice: on a kept connection that turns out to be dead
    it would not be known whether a change was received. Nor does aiohttp repeat them by itself, see `_once`.
    """

    def __init__(
        self,
        authentication: Credentials,
        settings: KubeSettings,
        reads: aiohttp.ClientSession,
        changes: aiohttp.ClientSession,
        on_answer: AnswerListener,
    ) -> None:
        self._authentication = authentication
        self._settings = settings
        self._reads = reads
        self._changes = changes
        self._on_answer = on_answer
        self._throttle = Throttle(qps=settings.qps, burst=settings.burst)

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: KubeSettings, on_answer: AnswerListener = ignore_answer) -> AsyncIterator[Self]:
        """
        Read the credentials and hold the connections open for as long as the context lasts; `on_answer` is called with
        each answer.
        """
        authentication = await Credentials.load(settings)
        async with AsyncExitStack() as stack:
            limits = aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout.total_seconds())
            reads = _session(aiohttp.TCPConnector(limit=200, socket_factory=_kept_alive), limits)
            changes = _session(aiohttp.TCPConnector(limit=50, force_close=True), limits, _once)
            await stack.enter_async_context(reads)
            await stack.enter_async_context(changes)
            yield cls(authentication, settings, reads, changes, on_answer)

    @property
    def server(self) -> str:
        """Return the URL of the API server."""
        return self._authentication.access.host

    @property
    def source(self) -> str:
        """Return where the credentials are from."""
        return self._authentication.access.source

    @property
    def context(self) -> str:
        """Return the context of the kubeconfig, "" for a service account."""
        return self._authentication.access.context

    async def send(self, request: Request, *, total: timedelta | None = None) -> bytes:
        """
        Send a request and return the body of a successful answer.

        `total` bounds the exchange (request_timeout by default). Raises a KubeError: ServerUnavailable when nothing
        was sent or a read got no answer, OutcomeUnknown when a change was sent and its answer lost.
        """
        bound = total or self._settings.request_timeout
        await self._throttle.pass_through(request, within=bound.total_seconds())
        with _in_our_words(request):
            response = await self._open(request, self._limits(total=bound, silence=self._settings.read_timeout))
            async with response:
                return await _whole(request, response)

    async def ask(self, request: Request, *, total: timedelta, longest: int) -> RawAnswer:
        """
        Send a read and return its answer, whatever its status, but for those of our own rights and of too many requests.

        Raises a KubeError as `send` does, also where the answer has more than `longest` bytes.
        """
        await self._throttle.pass_through(request, within=total.total_seconds())
        with _in_our_words(request):
            response = await self._answered(request, self._limits(total=total, silence=self._settings.read_timeout))
            async with response:
                if response.status in (401, 403, 429):
                    raise await _refusal(request, response)
                body = await _whole(request, response, longest)
                return RawAnswer(status=response.status, reason=response.reason or "", body=body)

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: timedelta | None) -> AsyncIterator[AsyncIterator[bytes]]:
        """
        Open a long answer and give its chunks as they come; `silence` is the longest wait for a byte, None for ever.

        The chunks end when the server ends the answer; they raise ServerUnavailable when the connection breaks, and
        StreamSilent when nothing comes.
        """
        if "watch" not in request.params:
            await self._throttle.pass_through(request, within=self._settings.request_timeout.total_seconds())
        with _in_our_words(request):
            response = await self._open(request, self._limits(total=None, silence=silence))
        async with response:
            yield _chunks(request, response)

    @asynccontextmanager
    async def websocket(
        self, request: Request, *, protocols: Sequence[str]
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket. Raises as `send` does: a connection that breaks later leaves the outcome unknown."""
        await self._throttle.pass_through(request, within=self._settings.request_timeout.total_seconds())
        with _in_our_words(request):
            try:
                socket = await self._upgrade(request, self._authentication.access, protocols)
            except aiohttp.WSServerHandshakeError as error:
                if error.status != 401:
                    raise await self._why_not(request, error.status) from error
                renewed = await self._authentication.renew(self._authentication.access)
                socket = await self._upgrade(request, renewed, protocols)
            async with socket:
                yield socket

    async def _upgrade(
        self, request: Request, access: Access, protocols: Sequence[str]
    ) -> aiohttp.ClientWebSocketResponse:
        return await self._changes.ws_connect(
            _url(access, request),
            protocols=protocols,
            headers=access.headers,
            ssl=access.tls,
            server_hostname=access.server_hostname,
            proxy=access.proxy,
            timeout=_FAREWELL,
            max_msg_size=READ_BUFFER_BYTES,
        )

    async def _why_not(self, request: Request, status: int) -> KubeError:
        """Learn the server's sentence, which a refused upgrade does not carry, by asking without an upgrade."""
        if status >= 500:
            return refusal(request, status, b"")
        try:
            await self.send(replace(request, changes=False))
        except KubeError as error:
            if error.status == status:
                return error
        return refusal(request, status, b"")

    async def _open(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        response = await self._answered(request, limits)
        if 200 <= response.status < 300:
            return response
        async with response:
            raise await _refusal(request, response)

    async def _answered(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        access = self._authentication.access
        response = await self._exchange(request, access, limits)
        if response.status == 401:
            response.close()
            renewed = await self._authentication.renew(access)
            response = await self._exchange(request, renewed, limits)
        return response

    async def _exchange(
        self, request: Request, access: Access, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        session = self._changes if request.changes else self._reads
        typed = {"Content-Type": request.content_type} if request.body is not None else {}
        if request.accept:
            typed["Accept"] = request.accept
        sent = time.monotonic()
        response = await session.request(
            request.method,
            _url(access, request),
            data=request.body,
            headers={**access.headers, **typed},
            ssl=access.tls,
            server_hostname=access.server_hostname,
            proxy=access.proxy,
            allow_redirects=False,
            timeout=limits,
        )
        if request.path.startswith(_OWN_PATHS):
            self._on_answer(_date_of(response), sent, time.monotonic())
        return response

    def _limits(self, *, total: timedelta | None, silence: timedelta | None) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=total.total_seconds() if total else None,
            sock_connect=self._settings.connect_timeout.total_seconds(),
            sock_read=silence.total_seconds() if silence else None,
        )


class _AnswerLostError(aiohttp.ClientError):
    """The connection ended before the answer began."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """
    Keep aiohttp from sending a change twice (P3).

    It repeats PUT and DELETE when the connection ends without an answer. It does so on two errors only; in place of
    these it gets one that it passes on.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _AnswerLostError(str(error)) from error


def _date_of(response: aiohttp.ClientResponse) -> str:
    """Return when an answer was written; "" where it comes out of a cache."""
    return "" if "Age" in response.headers else response.headers.get("Date", "")


def _url(access: Access, request: Request) -> URL:
    query = f"?{urlencode(request.params)}" if request.params else ""
    return URL(f"{access.host}{request.path}{query}", encoded=True)


def _kept_alive(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket whose peer the kernel probes while nothing comes."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def _session(
    connector: aiohttp.TCPConnector, limits: aiohttp.ClientTimeout, *middlewares: aiohttp.ClientMiddlewareType
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        timeout=limits,
        middlewares=middlewares,
        read_bufsize=READ_BUFFER_BYTES,
        trust_env=False,
    )


async def _chunks(request: Request, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    with _in_our_words(request):
        try:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                yield chunk
                if len(chunk) == _CHUNK_BYTES:  # after a shorter one the next has to be waited for
                    await asyncio.sleep(0)
        except aiohttp.SocketTimeoutError as error:
            raise StreamSilent(f"{request}: the answer was lost: {error}") from error


async def _refusal(request: Request, response: aiohttp.ClientResponse) -> KubeError:
    body = await response.content.read(_LIMIT_OF_ERROR_BODY)
    return refusal(request, response.status, body, response.headers.get("Retry-After"))


async def _whole(request: Request, response: aiohttp.ClientResponse, longest: int | None = None) -> bytes:
    """
    Read an answer. Raises KubeError, or OutcomeUnknown for a change, when it is too long: the request is not repeated.
    """
    parts, size, longest = list[bytes](), 0, longest or LONGEST_ANSWER
    async for part in response.content.iter_any():
        size += len(part)
        if size > longest:
            kind = OutcomeUnknown if request.changes else KubeError
            raise kind(f"{request}: the answer is longer than {longest >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


@contextmanager
def _in_our_words(request: Request) -> Iterator[None]:
    """Turn aiohttp's errors into ours, by one question: can the server have seen the request?"""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        why = _by_the_clock(error) or _in_words(error)
        raise ServerUnavailable(f"{request}: no connection, nothing was sent: {why}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unanswered(request, f"the answer was lost: {error or type(error).__name__}") from error


def _in_words(error: aiohttp.ClientError) -> str:
    """Return why there is no connection; aiohttp's own sentence shows the TLS context as an object of Python."""
    certificate = isinstance(error, aiohttp.ClientConnectorCertificateError)
    if isinstance(error, aiohttp.ClientConnectorError) and not certificate:
        return f"{error.host}:{error.port}: {error.os_error}"
    return str(error)


def _by_the_clock(error: aiohttp.ClientError) -> str:
    """Return a sentence that a certificate is refused for its dates, and what this machine's clock has to do with it; else ""."""
    refused = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else None
    code = refused.verify_code if isinstance(refused, ssl.SSLCertVerificationError) else 0
    shown = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if code == _NOT_YET_VALID:
        return f"the server's certificate is not yet valid: this machine's clock is probably wrong, it shows {shown}"
    if code == _EXPIRED:
        return f"the server's certificate has expired, or this machine's clock is wrong: it shows {shown}"
    return ""
