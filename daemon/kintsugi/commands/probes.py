"""Builders of the commands that ask a service itself: curl, nslookup, nc -z."""

from kintsugi.commands.problem import CommandProblem
from kintsugi.commands.row import Bound
from kintsugi.model.command import Curl, NcZ, Nslookup

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def build_curl(bound: Bound) -> Curl:
    """Build `curl` of one URL; with a body it is a POST, as curl does it."""
    (target,) = bound.exactly(1)
    if bound.text("output") not in {"", "/dev/null", "-"}:
        raise bound.misused("-o writes a file: only -o /dev/null is understood, the body is kept with the incident")
    bodies = bound.texts("body")
    method = _method(bound, has_body=bool(bodies))
    return Curl(
        url=str(target.value),
        method=method,
        headers=_headers(bound),
        body="&".join(bodies) if bodies else None,
        insecure=bound.on("insecure"),
        fail=bound.on("fail"),
        follow=bound.on("follow"),
        max_time=bound.duration("max_time"),
    )


def _method(bound: Bound, *, has_body: bool) -> str:
    if bound.on("head"):
        if bound.text("method") or has_body:
            raise bound.misused("-I asks for the head alone: leave out -X and -d")
        return "HEAD"
    method = bound.text("method") or ("POST" if has_body else "GET")
    if method not in _METHODS:
        raise bound.misused(f"-X {method} is not known: it is one of {', '.join(_METHODS)}")
    return method


def _headers(bound: Bound) -> tuple[tuple[str, str], ...]:
    headers = bound.flags.get("headers", ())
    assert isinstance(headers, tuple), "-H may stand several times"
    for name, _ in headers:
        if name.lower() in {"authorization", "cookie", "proxy-authorization"}:
            raise CommandProblem(f"curl: the header {name} carries credentials: they do not stand in a runbook")
    return headers


def build_nslookup(bound: Bound) -> Nslookup:
    """Build `nslookup NAME [SERVER]`."""
    if not 1 <= len(bound.arguments) <= 2:
        raise bound.misused(f"it takes a name and perhaps a server, not {len(bound.arguments)} arguments")
    name, *server = (argument.text for argument in bound.arguments)
    return Nslookup(name=name, server=server[0] if server else "")


def build_nc(bound: Bound) -> NcZ:
    """Build `nc -z HOST PORT`: it only knocks, nothing is sent."""
    if not bound.on("knock"):
        raise bound.misused("only nc -z is understood: it sees whether a port accepts connections, and sends nothing")
    host, port = bound.exactly(2)
    assert isinstance(port.value, int), "the second place takes a port"
    return NcZ(host=host.text, port=port.value, timeout=bound.duration("timeout"))
