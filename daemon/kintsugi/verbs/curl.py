"""
`curl`: a request that only reads is a probe; one that sends something is a change, whose outcome no probe can determine.

Only the author knows the effect of a request: the runbook declares its undo. A request whose answer was lost is never sent again
(P3): a person is asked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import orjson
from typing_extensions import override
from yarl import URL

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus, Intent, Write, record_without_undo
from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ChangeVerb, ProbeVerb, VerbClients
from kintsugi.clients.http import HttpRequest, HttpResponse
from kintsugi.commands import arg_types, encode, results
from kintsugi.commands.command_problem import BY_A_PERSON, CommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.words import seconds, switch
from kintsugi.errors import KubeError, OutcomeUnknown, ProbeFailed, Refused
from kintsugi.json_limits import DEEPEST_ANSWER, MOST_IN_ANSWER, has_more, is_too_deep
from kintsugi.model.command import Command, Verb
from kintsugi.model.hosts import PodAddress, service_of

_NO_CREDENTIALS = f"a runbook must not contain credentials; {BY_A_PERSON}"
_QUERY = "write the query into the URL, percent-encoded; a Prometheus is asked with promtool query instant URL 'QUERY'"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

USUAL = timedelta(seconds=30)
"""The default time limit of the answer to a change."""

LONGEST = timedelta(minutes=1)
"""The largest time limit of that answer: the daemon's own stop waits for it, too."""

LARGEST_BODY = 64 * 1024
"""Characters of an answer to a change that are kept with its effect."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curl(Command):
    """One HTTP request. `max_time` is the limit of the whole request."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    insecure: bool = False
    fail: bool = False
    follow: bool = False
    max_time: timedelta | None = None

    @property
    def changes(self) -> bool:
        """Return whether the request sends something: any method but GET and HEAD, and any body."""
        return self.method not in ("GET", "HEAD") or self.body is not None


def build(parsed: ParsedCommand) -> Curl:
    """Build `curl` of one URL; with a body it is a POST, as curl does it."""
    (target,) = parsed.exactly(1)
    if parsed.text("output") not in {"", "/dev/null", "-"}:
        raise parsed.misused("-o writes a file: only -o /dev/null is understood, the body is kept with the incident")
    bodies = parsed.texts("body")
    method = _method(parsed, has_body=bool(bodies))
    return Curl(
        url=str(target.value),
        method=method,
        headers=_headers(parsed),
        body="&".join(bodies) if bodies else None,
        insecure=parsed.on("insecure"),
        fail=parsed.on("fail"),
        follow=parsed.on("follow"),
        max_time=parsed.duration("max_time"),
    )


def _method(parsed: ParsedCommand, *, has_body: bool) -> str:
    if parsed.on("head"):
        if parsed.text("method") or has_body:
            raise parsed.misused("-I asks for the head alone: leave out -X and -d")
        return "HEAD"
    method = parsed.text("method") or ("POST" if has_body else "GET")
    if method not in _METHODS:
        raise parsed.misused(f"-X {method} is not known: it is one of {', '.join(_METHODS)}")
    return method


def _headers(parsed: ParsedCommand) -> tuple[tuple[str, str], ...]:
    headers = parsed.flags.get("headers", ())
    assert isinstance(headers, tuple), "-H may stand several times"
    for name, _ in headers:
        if name.lower() in {"authorization", "cookie", "proxy-authorization"}:
            raise CommandProblem(f"curl: the header {name} carries credentials: {_NO_CREDENTIALS}")
    return headers


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpWrite(Write):
    """A request over HTTP, and the addresses that it is not sent to, each with why."""

    denied_addresses: Mapping[str, str]


class RequestIntent(Intent, frozen=True, kw_only=True):
    """The host that a request is sent to."""

    host: str


class CurlVerb(ProbeVerb[Curl], ChangeVerb[Curl]):
    """A probe, or a change by one request."""

    command = Curl
    intent = RequestIntent
    sometimes_sends = True
    spec = CommandSpec(
        verb=Verb.CURL,
        changes=False,
        usage="curl URL [-X METHOD] [-H 'NAME: VALUE']… [-d BODY] [-I] [-L] [-k] [-f] [-m SECONDS]",
        example="curl http://web.production/health",
        flags=(
            Flag(names=("-X", "--request"), key="method", kind=arg_types.METHOD),
            Flag(names=("-H", "--header"), key="headers", kind=arg_types.HEADER, many=True),
            Flag(names=("-d", "--data", "--data-raw"), key="body", kind=arg_types.BODY, many=True),
            Flag(names=("-I", "--head"), key="head"),
            Flag(names=("-L", "--location"), key="follow"),
            Flag(names=("-k", "--insecure"), key="insecure"),
            Flag(names=("-f", "--fail"), key="fail"),
            Flag(names=("-m", "--max-time"), key="max_time", kind=arg_types.SECONDS),
            Flag(names=("-o", "--output"), key="output", kind=arg_types.TEXT),
            Flag(names=("-w", "--write-out"), kind=arg_types.TEXT),
            *(Flag(names=(name,)) for name in ("-s", "-S", "-i", "-v")),
            *(Flag(names=(f"--{name}",)) for name in ("silent", "show-error", "include", "verbose")),
            Flag(
                names=("--retry",),
                kind=arg_types.NATURAL,
                refused="a step repeats its request until `within` has passed",
            ),
            Flag(names=("-u", "--user"), kind=arg_types.TEXT, refused=_NO_CREDENTIALS),
            Flag(names=("-G", "--get"), refused=_QUERY),
            Flag(names=("--data-urlencode",), kind=arg_types.TEXT, many=True, refused=_QUERY),
        ),
        arguments=(arg_types.URL,),
        build=build,
        result=results.RESPONSE,
    )

    @override
    def words(self, command: Curl) -> Iterator[str]:
        usual = "GET" if command.body is None else "POST"
        if command.method == "HEAD":
            yield "-I"
        elif command.method != usual:
            yield from ["-X", command.method]
        yield from (word for name, value in command.headers for word in ("-H", f"{name}: {value}"))
        yield from [] if command.body is None else ["-d", command.body]
        yield from [*switch("-k", command.insecure), *switch("-f", command.fail), *switch("-L", command.follow)]
        yield from [*seconds("-m", command.max_time), command.url]

    async def read(
        self, clients: VerbClients, command: Curl, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Send a request that changes nothing. Raises Refused for one that sends something, ProbeFailed without an answer."""
        if command.changes:
            raise Refused(f"curl with {command.method} changes something: it is not a probe")
        within = min(command.max_time or deadline, deadline)
        response = await clients.clients.http.ask(_request(command), within=within)
        return _result(command, response, response.body)

    def sends(self, command: Curl) -> bool:
        """Return whether it has a body, or a method that may change something."""
        return command.changes

    def payload(self, command: Curl) -> object:
        """Return the whole command."""
        return encode(command)

    async def plan_effect(self, clients: VerbClients, command: Curl, context: ChangeContext) -> EffectPlan:
        """Judge a request that sends something: not into a protected namespace, and not to our own ledger's database."""
        if not command.changes:
            raise Refused("Curl is a probe: there is nothing to prepare")
        host = URL(command.url).host or ""
        place = service_of(host)
        unread = context.unread_addresses
        preconditions.check(
            preconditions.protected(place.namespace if place is not None else "", context),
            preconditions.own_ledger(host, host, context),
            unread and f"{unread}, and no request that changes something may reach it",
        )
        return EffectPlan(
            command=command,
            intent=RequestIntent(uid=context.mark, host=host),
            undo=record_without_undo("only the receiver of the request can undo it"),
            write=HttpWrite(denied_addresses=context.denied_addresses),
        )

    async def apply(self, clients: VerbClients, plan: EffectPlan) -> Result:
        """
        Send a request once, and to none of the denied addresses, whatever its host is called.

        Raises Refused or KubeError when it changed nothing, OutcomeUnknown when that is not known.

        With `-f` an answer of 400 to 499 is a refusal; after one of 500 and more it is unknown what was done.
        """
        command, write = plan.command, plan.write
        assert isinstance(command, Curl), command
        assert isinstance(write, HttpWrite), write
        request = replace(_request(command), denied_addresses=write.denied_addresses)
        try:
            response = await clients.clients.http.send(request, within=min(command.max_time or USUAL, LONGEST))
        except ProbeFailed as error:
            raise KubeError(f"it was not sent: {error}") from error
        result = _result(command, response, response.body[:LARGEST_BODY])
        if result.failed:
            raise (OutcomeUnknown if response.status >= 500 else KubeError)(result.failed, status=response.status)
        return result

    async def reread(self, clients: VerbClients, plan: EffectPlan) -> Result:
        """Return an empty result: the effect of a request cannot be read."""
        return Result(names={}, summary="the effect of a request cannot be read")

    async def probe(self, clients: VerbClients, plan: EffectPlan) -> EffectStatus:
        """Return UNKNOWN: the outcome cannot be determined."""
        return EffectStatus.UNKNOWN

    def at_pod(self, command: Curl, pod: PodAddress) -> Curl | None:
        """
        Return the request to the pod, with its Service's name as the host; None where that is not possible.

        A request with TLS is not: no certificate is valid for an address.
        """
        url = URL(command.url)
        if url.scheme != "http" or url.host is None or command.changes:
            return None
        port = pod.port_behind(url.host, url.port or 0)
        if port is None:
            return None
        named = any(name.lower() == "host" for name, _ in command.headers)
        asked = url.host if url.is_default_port() else f"{url.host}:{url.port}"
        headers = command.headers if named else (*command.headers, ("Host", asked))
        return replace(command, url=str(url.with_host(pod.ip).with_port(port)), headers=headers)


VERBS = (CurlVerb(),)


def _request(command: Curl) -> HttpRequest:
    return HttpRequest(
        url=command.url,
        method=command.method,
        headers=command.headers,
        body=command.body,
        insecure=command.insecure,
        follow=command.follow,
    )


def _result(command: Curl, response: HttpResponse, body: str) -> Result:
    names: dict[str, object] = {"status": response.status, "body": body, "headers": dict(response.headers)}
    if (content := json_in(body)) is not None:
        names["json"] = content
    cut = ", cut" if response.cut or len(body) < len(response.body) else ""
    error = command.fail and response.status >= 400
    return Result(
        names=names,
        summary=f"{response.url}: {response.status} {response.reason}, {len(body)} characters{cut}",
        failed=f"the requested URL returned error: {response.status}" if error else "",
    )


def json_in(body: str) -> object:
    """Return the body as JSON, for any content type; None when it is not JSON, nested too deep, or has too many entries."""
    if is_too_deep(body.encode(), DEEPEST_ANSWER):
        return None
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return None if has_more(body.encode(), content, MOST_IN_ANSWER) else content
