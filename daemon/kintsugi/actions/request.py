"""
`curl`: a request that only asks is a look; one that sends something is a change, which no probe can settle.

What a service did with a request, only its author knows: the runbook says how it is taken back. A request of which it is not
known whether it has arrived is never sent again (P3): a person is asked.
"""

from datetime import timedelta

import orjson
from yarl import URL

from kintsugi.actions import refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.prepared import Prepared
from kintsugi.actions.result import Result
from kintsugi.actions.threads import computed
from kintsugi.actions.undo import not_undone
from kintsugi.clients.clients import Clients
from kintsugi.clients.http import HttpRequest, HttpResponse
from kintsugi.depth import DEEPEST_ANSWER, is_too_deep
from kintsugi.errors import KubeError, OutcomeUnknown, ProbeFailed, Refused
from kintsugi.model.command import Curl
from kintsugi.model.hosts import service_of

USUAL, LONGEST = timedelta(seconds=30), timedelta(minutes=1)
"""How long the answer to a change is waited for, and at most: the daemon's own stop waits for it, too."""

LARGEST_BODY = 64 * 1024
"""Characters of an answer to a change that are kept with its effect."""


async def look(clients: Clients, command: Curl, within: timedelta) -> Result:
    """Ask, and change nothing. Raises Refused for a request that sends something, ProbeFailed without an answer."""
    if command.changes:
        raise Refused(f"curl with {command.method} changes something: it is not a look")
    response = await clients.http.ask(_request(command), within=min(command.max_time or within, within))
    return await _result(command, response, response.body)


def prepare(command: Curl, circumstances: Circumstances) -> Prepared:
    """Judge a request that sends something: not into a protected namespace, and not to where our own ledger is."""
    if not command.changes:
        raise Refused("Curl only looks: there is nothing to prepare")
    host = URL(command.url).host or ""
    place = service_of(host)
    refusals.check(
        refusals.protected(place.namespace if place is not None else "", circumstances),
        refusals.own_ledger(host, host, circumstances),
    )
    undo = not_undone("what was sent, its receiver alone could take back")
    return Prepared(command=command, facts={"uid": circumstances.mark, "host": host}, undo=undo)


async def perform(clients: Clients, command: Curl) -> Result:
    """
    Send a request once. Raises Refused or KubeError when it surely did nothing, OutcomeUnknown when nobody can tell.

    With `-f` an answer of 400 to 499 is a no, and one of 500 and more says nothing of what was done before.
    """
    try:
        response = await clients.http.send(_request(command), within=min(command.max_time or USUAL, LONGEST))
    except ProbeFailed as error:
        raise KubeError(f"it was not sent: {error}") from error
    result = await _result(command, response, response.body[:LARGEST_BODY])
    if result.failed:
        raise (OutcomeUnknown if response.status >= 500 else KubeError)(result.failed, status=response.status)
    return result


def _request(command: Curl) -> HttpRequest:
    return HttpRequest(
        url=command.url,
        method=command.method,
        headers=command.headers,
        body=command.body,
        insecure=command.insecure,
        follow=command.follow,
    )


async def _result(command: Curl, response: HttpResponse, body: str) -> Result:
    names: dict[str, object] = {"status": response.status, "body": body, "headers": dict(response.headers)}
    if (content := await computed(len(body), lambda: _json(body))) is not None:
        names["json"] = content
    cut = ", cut" if response.cut or len(body) < len(response.body) else ""
    error = command.fail and response.status >= 400
    return Result(
        names=names,
        summary=f"{response.url}: {response.status} {response.reason}, {len(body)} characters{cut}",
        failed=f"the requested URL returned error: {response.status}" if error else "",
    )


def _json(body: str) -> object:
    """Read the body as JSON, whatever its content type says; None when it is none, or nested too deep to be kept."""
    if is_too_deep(body.encode(), DEEPEST_ANSWER):
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
