"""
The HTTP client of the daemon's API: a method a route, typed values out, errors of `kintsugi.errors` for every refusal.

The shapes are the server's own, so that both sides change together.

`kintsugi login` remembers one daemon in a file: its address, and the files of the token and of its authority. The token
itself stays in its own file. An address that is typed, or is in KINTSUGI_SERVER, is another daemon: nothing of the file
is used with it, so that no token is sent elsewhere.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from kintsugi.cli.errors import Unreachable, print_note
from kintsugi.cli.options import DEFAULT_SERVER, Connection
from kintsugi.errors import KintsugiError, NotRecorded, Refused, UsageError, WrongState
from kintsugi.model.api_types import (
    AbortResult,
    AnswerRequest,
    DeadLetterResendResult,
    DeadLetterSummary,
    EvaluatedSignal,
    Explanation,
    IncidentDetail,
    PauseRequest,
    RecoverPreview,
    RollbackPreview,
    RouteTest,
    ServiceExplanation,
    ServiceTree,
    TakeResult,
)
from kintsugi.model.manual import RecoverRequest
from kintsugi.model.questions import Question
from kintsugi.model.records import Incident, Pause
from kintsugi.server.responses import (
    DeadLetterList,
    DeliveryResponse,
    ErrorResponse,
    IncidentList,
    PauseList,
    SignalList,
)
from kintsugi.tokens import read_tokens
from kubediagnosis.causes import Diagnosis

_TIMEOUT = timedelta(seconds=60)
_CONNECT_TIMEOUT = timedelta(seconds=5)
_SENT_BY = "--token-file FILE, KINTSUGI_TOKEN_FILE or KINTSUGI_TOKEN"
_RETRY_FOR = timedelta(minutes=1)
"""The time for which the daemon may be unreachable: one that was killed is back by then."""

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Server:
    """A server over HTTP. It is asked by the standard library in a thread: importing aiohttp takes longer than an answer."""

    address: SplitResult
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None

    async def ask(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
        """
        Return the status and the content of an answer; redirects are not followed. `target` goes on from the address.

        Raises OSError, TimeoutError and HTTPException. A person may think for a while between two requests: each gets a
        connection of its own, none of them is stale.
        """
        host, port, limit = self.address.hostname or "", self.address.port, _CONNECT_TIMEOUT.total_seconds()
        connection = (
            HTTPConnection(host, port, timeout=limit)
            if self.address.scheme == "http"
            else HTTPSConnection(host, port, timeout=limit, context=self.tls)
        )

        is_awaited = True

        def exchange() -> tuple[int, bytes]:
            connection.connect()
            if not is_awaited:
                raise ConnectionAbortedError
            connection.sock.settimeout(_TIMEOUT.total_seconds())
            connection.request(
                method, f"{quote(self.address.path, safe='/%')}{target}", body=body, headers=dict(self.headers)
            )
            response = connection.getresponse()
            return response.status, response.read()

        try:
            async with asyncio.timeout(_TIMEOUT.total_seconds()):
                return await asyncio.to_thread(exchange)
        finally:
            is_awaited = False
            if (opened := connection.sock) is not None:
                with suppress(OSError):  # whoever stops waiting also wakes the thread
                    opened.shutdown(socket.SHUT_RDWR)
            connection.close()


class DaemonClient:
    """
    One daemon, asked as one person.

    Methods raise UsageError (400), Refused (401, 403), NotRecorded (404), WrongState (409), Unreachable (no answer, one
    that is not Kintsugi's, or a daemon that has lost its ledger or its cluster).
    """

    def __init__(self, server: _Server, who: str, token_source: str = "") -> None:
        self._asked, self._server, self._who = server, server.address.geturl(), who
        self._token_source = token_source

    async def incidents(self, *, service: str, open_only: bool, limit: int) -> Sequence[Incident]:
        """List incidents, newest first."""
        query = {"limit": str(limit), "service": service, "open": "true" if open_only else ""}
        return (await self._ask("GET", "incidents", IncidentList, query=query)).incidents

    async def incident(self, incident: str) -> IncidentDetail:
        """Return everything about one."""
        return await self._ask("GET", f"incidents/{_part(incident)}", IncidentDetail)

    async def signals(self, *, verdict: str, reason: str, before: str, limit: int) -> Sequence[EvaluatedSignal]:
        """List signals with their verdicts, newest first; what is empty is no filter."""
        query = {"verdict": verdict, "reason": reason, "before": before, "limit": str(limit)}
        return (await self._ask("GET", "signals", SignalList, query=query)).signals

    async def dead_letters(self, *, before: str, limit: int) -> Sequence[DeadLetterSummary]:
        """List what could not be understood, newest first."""
        query = {"limit": str(limit), "before": before}
        return (await self._ask("GET", "dead-letters", DeadLetterList, query=query)).dead_letters

    async def resend(self, letter: str) -> DeadLetterResendResult:
        """Send a dead letter in again."""
        where = f"dead-letters/{_part(letter)}/resend"
        return await self._ask("POST", where, DeadLetterResendResult, body={"who": self._who})

    async def answer(self, incident: str, request: AnswerRequest) -> Question:
        """Answer the question about the plan with this digest."""
        body = {
            "path": request.path,
            "plan": request.plan,
            "answer": request.answer,
            "why": request.why,
            "who": self._who,
        }
        return await self._ask("POST", f"incidents/{_part(incident)}/answer", Question, body=body)

    async def abort(self, incident: str, *, why: str) -> AbortResult:
        """End an incident without a further step."""
        body = {"why": why, "who": self._who}
        return await self._ask("POST", f"incidents/{_part(incident)}/abort", AbortResult, body=body)

    async def take(self, incident: str, *, why: str) -> TakeResult:
        """Take an incident."""
        body = {"why": why, "who": self._who}
        return await self._ask("POST", f"incidents/{_part(incident)}/take", TakeResult, body=body)

    async def test_route(self, route: str) -> RouteTest:
        """Send a test to each destination of a notice route."""
        return await self._ask("POST", f"notice-routes/{_part(route)}/test", RouteTest)

    async def roll_back(self, incident: str, *, confirmed: str = "") -> RollbackPreview:
        """Undo a run as it was shown with this digest, or without one learn what that would do."""
        body = {"confirm": bool(confirmed), "digest": confirmed, "who": self._who}
        return await self._ask("POST", f"incidents/{_part(incident)}/rollback", RollbackPreview, body=body)

    async def services(self) -> ServiceTree:
        """Return how each service is."""
        return await self._ask("GET", "services", ServiceTree)

    async def drill(self, service: str) -> Incident:
        """Begin a drill of a service's backups."""
        return await self._ask("POST", f"services/{_part(service)}/drill", Incident, body={"who": self._who})

    async def recover(self, request: RecoverRequest, *, digest: str = "") -> RecoverPreview:
        """Start a runbook by hand as it was shown with this digest, or without one be shown its plan."""
        body = {
            "service": request.service,
            "parameters": dict(request.parameters),
            "why": request.why,
            "overrides": sorted(request.overrides),
            "confirm": bool(digest),
            "digest": digest,
            "key": request.key,
            "who": self._who,
        }
        return await self._ask("POST", f"runbooks/{_part(request.runbook)}/recover", RecoverPreview, body=body)

    async def pauses(self) -> Sequence[Pause]:
        """List the pauses that hold."""
        return (await self._ask("GET", "pauses", PauseList)).pauses

    async def pause(self, request: PauseRequest) -> Pause:
        """Begin a pause."""
        minutes = None if request.lasts is None else request.lasts / timedelta(minutes=1)
        body = {
            "scope": request.scope,
            "name": request.name,
            "why": request.why,
            "freeze": request.freeze,
            "minutes": minutes,
            "who": self._who,
        }
        return await self._ask("POST", "pauses", Pause, body=body)

    async def resume(self, of: str, *, why: str) -> Pause:
        """Lift a pause, or end the rest after an incident's hand-over."""
        return await self._ask("DELETE", f"pauses/{_part(of)}", Pause, body={"why": why, "who": self._who})

    async def diagnose(self, kind: str, name: str, namespace: str) -> Diagnosis:
        """Learn what is wrong with a workload now."""
        return await self._ask("GET", f"diagnosis/{_part(namespace)}/{_part(kind)}/{_part(name)}", Diagnosis)

    async def explain_service(self, service: str) -> ServiceExplanation:
        """Learn what a service is, and where each of its values comes from."""
        return await self._ask("GET", f"services/{_part(service)}", ServiceExplanation)

    async def manifest(self, service: str) -> bytes:
        """Return the workload of a service as it was last good, in JSON."""
        return bytes(await self._ask("GET", f"services/{_part(service)}/manifest", msgspec.Raw))

    async def explain_pod(self, namespace: str, name: str) -> Explanation:
        """Learn what would become of a pod as it is now."""
        return await self._ask("GET", "explain", Explanation, query={"pod": f"{namespace}/{name}"})

    async def explain_alert(self, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Explanation:
        """Learn what would become of an alert with these labels."""
        body = {"labels": dict(labels), "annotations": dict(annotations)}
        return await self._ask("POST", "explain", Explanation, body=body)

    async def deliver(self, webhook: Mapping[str, object]) -> DeliveryResponse:
        """Bring alerts in as Alertmanager does; the token must be the webhook's."""
        return await self._ask("POST", "/alertmanager", DeliveryResponse, body=webhook)

    async def _ask(
        self,
        method: str,
        where: str,
        kind: type[Value],
        *,
        query: Mapping[str, str] = {},
        body: Mapping[str, object] | None = None,
    ) -> Value:
        """
        Ask the API for people, or with a path from the root another part of the server; read the answer as a value.

        What is empty in `query` is not sent.
        """
        params = {name: value for name, value in query.items() if value}
        data = None if body is None else msgspec.json.encode(body)
        target = f"{where if where.startswith('/') else f'/api/v1/{where}'}{'?' if params else ''}{urlencode(params)}"
        try:
            status, content = await self._asked.ask(method, target, data)
        except (OSError, HTTPException) as error:
            raise Unreachable(_unreachable(self._server, error)) from error
        if status >= 300:
            raise self._failure(status, content)
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreachable(_foreign(self._server, f"its answer cannot be read: {error}")) from error

    def _failure(self, status: int, content: bytes) -> KintsugiError:
        """Turn an answer that is not a success into the error that it means."""
        try:
            text = msgspec.json.decode(content, type=ErrorResponse).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Unreachable(_foreign(self._server, f"it answered {status}"))
        match status:
            case 401 if self._token_source:
                unknown = f"401: {self._token_source} is unknown to the daemon at {self._server}"
                return Refused(
                    f"{unknown}: send another token ({_SENT_BY}), or put this one into server.operatorTokenFiles"
                )
            case 401:
                return Refused(f"401: no token was sent; an operator's is needed: {_SENT_BY}")
            case 403:
                return Refused(f"403: {self._token_source} is no operator's token: {text} ({_SENT_BY})")
            case 404:
                return NotRecorded(text)
            case 409:
                return WrongState(text)
            case _ if status < 500:
                return UsageError(text)
            case 502 | 503 | 504:
                return Unreachable(f"{self._server} cannot answer now: {text}")
            case _:
                return KintsugiError(f"{self._server} failed: {text}")


async def retry_while_unreachable(attempt: Callable[[], Awaitable[Value]], *, every: timedelta) -> Value:
    """Retry while the daemon cannot be reached, and print that once. Raises Unreachable after `_RETRY_FOR`."""
    from kintsugi.retries import Waits, retry

    loop = asyncio.get_running_loop()
    until = loop.time() + _RETRY_FOR.total_seconds()
    announced = False

    def again(error: Exception) -> bool:
        nonlocal announced
        if not isinstance(error, Unreachable) or loop.time() >= until:
            return False
        if not announced:
            print_note(f"{str(error).partition('. ')[0]}; trying again")
            announced = True
        return True

    return await retry(attempt, again, Waits.of(every))


def connect(
    server: str, *, token: str, token_source: str = "", who: str = "", ca_file: Path | None = None
) -> DaemonClient:
    """Make a client of a daemon's API; nothing is sent yet. Raises UsageError for an invalid address or file."""
    address = urlsplit(server.rstrip("/"))
    try:
        is_valid = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UsageError(f"--server: {server!r} is not an address over HTTP: write http://HOST:PORT or https://HOST")
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    tls = None if ca_file is None else _trusting(ca_file)
    return DaemonClient(_Server(address=address, headers=headers, tls=tls), who, token_source)


def dial(connection: Connection) -> DaemonClient:
    """Make the client that the options of a command ask for. Raises UsageError."""
    connection = with_login(connection, os.environ)
    token, file = _read_token(connection.token_file, os.environ), connection.token_file
    source = f"the token in {file or 'KINTSUGI_TOKEN'}" if token else ""
    return connect(
        connection.server or DEFAULT_SERVER,
        token=token,
        token_source=source,
        who=connection.who,
        ca_file=connection.ca_file,
    )


def _trusting(ca_file: Path) -> ssl.SSLContext:
    """Trust this authority alone. Raises UsageError."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        why = "it contains no certificate in PEM format" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"--ca-file: {ca_file} cannot be read: {why}") from error


def _read_token(file: Path | None, environ: Mapping[str, str]) -> str:
    """
    Return the operator's token: the file's first one (`TOKEN`, or `NAME:TOKEN` as in the daemon's own file), else
    KINTSUGI_TOKEN, else none. Raises UsageError.
    """
    if file is not None:
        return token_in(file, "--token-file", named=True)
    token = environ.get("KINTSUGI_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError("KINTSUGI_TOKEN: not a token; a token is one word of plain letters, digits and signs")
    return token


def token_in(file: Path, option: str, *, named: bool) -> str:
    """Read the first token of a file as the daemon reads it; `option` named the file. Raises UsageError."""
    try:
        read = read_tokens(file.read_bytes(), named=named)
    except OSError as error:
        raise UsageError(f"{option}: {file} cannot be read: {error}") from error
    if not read.lines:
        raise UsageError(f"{option}: {file} contains no token: {read.problems[0]}")
    return read.lines[0].token.decode("ascii")


def _part(text: str) -> str:
    """Make one part of a path of whatever was typed."""
    return quote(text, safe="")


def _unreachable(server: str, error: BaseException) -> str:
    return (
        f"{server} cannot be reached: {_why(error)}. Is the daemon running there? Set the address with --server or KINTSUGI_SERVER, "
        "or forward its port: kubectl -n kintsugi port-forward service/kintsugi 8080"
    )


def _why(error: BaseException) -> str:
    """Return what went wrong in the system's words where it has any, without the library's."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message or str(error)
        return f"its certificate is not trusted ({why}); name its authority with --ca-file or KINTSUGI_CA_FILE"
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed ({error.reason or error})"
    if isinstance(error, OSError):
        number = error.errno or 0
        return os.strerror(number).lower() if number > 0 else error.strerror or str(error)
    return "its answer is not HTTP, or not whole"


def _foreign(server: str, what: str) -> str:
    return f"{server} does not answer like Kintsugi: {what}. Is --server right?"


class Login(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The remembered daemon; paths are absolute."""

    server: str
    token_file: str = ""
    ca_file: str = ""


def _login_file(environ: Mapping[str, str]) -> Path:
    """Return where the login is kept, by the XDG Base Directory Specification."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kintsugi" / "login.json"


def with_login(connection: Connection, environ: Mapping[str, str]) -> Connection:
    """Return a connection with the login's values where no address was given. Raises UsageError for a file that cannot be read."""
    if connection.server is not None:
        return connection
    file = _login_file(environ)
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=Login)
    except FileNotFoundError:
        return replace(connection, server=DEFAULT_SERVER)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}; `kintsugi login` writes it") from error
    token = connection.token_file or (None if environ.get("KINTSUGI_TOKEN") else _path(kept.token_file))
    return replace(connection, server=kept.server, token_file=token, ca_file=connection.ca_file or _path(kept.ca_file))


def keep(connection: Connection, environ: Mapping[str, str]) -> Path:
    """Write a connection down as the login, and return the file."""
    kept = Login(
        server=connection.server or DEFAULT_SERVER,
        token_file=_text(connection.token_file),
        ca_file=_text(connection.ca_file),
    )
    file = _login_file(environ)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
    return file


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _text(path: Path | None) -> str:
    return "" if path is None else str(path.absolute())
