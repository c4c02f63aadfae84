"""Commands that only look, each by its own reader or client."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import orjson

from kintsugi.actions import events, get, logs, psql, top, waits
from kintsugi.actions.asker import Asker
from kintsugi.actions.containers import Containers
from kintsugi.actions.execute import execute
from kintsugi.actions.get import by_name
from kintsugi.actions.live import Live
from kintsugi.actions.polling import until
from kintsugi.actions.result import Result, of_objects
from kintsugi.actions.revisions import current_of, find_revisions
from kintsugi.actions.rollout_status import Status, status_of
from kintsugi.actions.threads import computed
from kintsugi.clients.clients import Clients
from kintsugi.clients.http import HttpRequest, HttpResponse
from kintsugi.commands import render
from kintsugi.depth import DEEPEST_ANSWER, is_too_deep
from kintsugi.errors import KintsugiError, KubeError, ProbeFailed, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import (
    CanI,
    Command,
    Curl,
    Describe,
    Events,
    Exec,
    Get,
    Logs,
    NcZ,
    Nslookup,
    Psql,
    Rollout,
    Top,
    Verb,
    Wait,
)
from kintsugi.telemetry import in_words

_LAST_LOOK = 5.0
"""Seconds that a look may take which was begun before the deadline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What looks are made with."""

    kube: KubeClient
    clients: Clients
    containers: Containers


async def look(means: Means, command: Command, *, deadline: timedelta, asker: Asker) -> Result:
    """Do a command that only looks. Raises Refused for one that changes something, ProbeFailed when it takes too long."""
    lasts = isinstance(command, Exec | Logs | Wait) or (
        isinstance(command, Rollout) and command.verb is Verb.ROLLOUT_STATUS
    )
    try:
        # What lasts until its deadline ends by itself, with what it has seen; a second is for its last look.
        async with asyncio.timeout(deadline.total_seconds() + (_LAST_LOOK if lasts else 0)):
            return await _look(means, command, deadline=deadline, asker=asker)
    except TimeoutError as error:
        raise ProbeFailed(f"{render(command)}: no answer within {deadline.total_seconds():g} s") from error
    except KintsugiError:
        raise
    # Contained: what a reader of answers raises on one that is not as the API describes it. Nothing is known then (P6).
    except Exception as error:
        raise KubeError(f"{render(command)}: the answer cannot be read: {in_words(error)}") from error


async def _look(means: Means, command: Command, *, deadline: timedelta, asker: Asker) -> Result:
    kube = means.kube
    match command:
        case Curl() | Nslookup() | NcZ():
            return await _ask(means.clients, command, deadline)
        case Exec():
            return await execute(kube, means.containers, command, deadline)
        case Psql():
            return await psql.directly(kube, means.clients.postgres, command, asker, deadline)
        case Rollout(verb=Verb.ROLLOUT_HISTORY):
            return await _history(kube, command, asker.good)
        case Rollout(verb=Verb.ROLLOUT_STATUS):
            return await _status(kube, command, deadline)
        case Wait():
            return await waits.wait(kube, command, within=deadline)
        case Logs() if asker.patterns:
            return await logs.scan(kube, command, asker.patterns, within=deadline)
        case Logs():
            return await logs.read(kube, command, within=deadline)
        case _:
            return await _read(kube, command)


async def _read(kube: KubeClient, command: Command) -> Result:
    match command:
        case Get():
            return await get.get(kube, command)
        case Describe():
            return await get.describe_objects(kube, command)
        case Top():
            return await top.read(kube, command)
        case Events():
            return await events.read(kube, command)
        case CanI():
            return await _can_i(kube, command)
        case _:
            raise Refused(f"{type(command).__name__} changes something: it is not a look")


async def _can_i(kube: KubeClient, command: CanI) -> Result:
    allowed = await kube.can_i(
        command.verb, command.resource, command.namespace, subresource=command.subresource, name=command.name
    )
    what = f"{command.verb} {command.resource.qualified}"
    reason = "" if allowed else f"our identity may not {what}"
    return Result(
        names={"allowed": allowed, "reason": reason},
        summary=reason or f"our identity may {what}",
        failed=reason,
    )


async def _ask(clients: Clients, command: Curl | Nslookup | NcZ, deadline: timedelta) -> Result:
    match command:
        case Curl():
            return await _curl(clients, command, deadline)
        case Nslookup():
            addresses = await clients.dns.resolve(command.name, server=command.server, within=deadline)
            return Result(names={"addresses": list(addresses)}, summary=f"{command.name} is {', '.join(addresses)}")
        case NcZ():
            within = min(command.timeout or deadline, deadline)
            why = await clients.tcp.opens(command.host, command.port, within=within)
            summary = why or f"{command.host}:{command.port} is open"
            return Result(names={"open": not why}, summary=summary, failed=why)


async def _curl(clients: Clients, command: Curl, deadline: timedelta) -> Result:
    request = HttpRequest(
        url=command.url,
        method=command.method,
        headers=command.headers,
        body=command.body,
        insecure=command.insecure,
        follow=command.follow,
    )
    response = await clients.http.ask(request, within=min(command.max_time or deadline, deadline))
    names: dict[str, object] = {"status": response.status, "body": response.body, "headers": dict(response.headers)}
    if (content := await computed(len(response.body), lambda: _json(response))) is not None:
        names["json"] = content
    cut = ", cut at 1 MiB" if response.cut else ""
    error = command.fail and response.status >= 400
    return Result(
        names=names,
        summary=f"{response.url}: {response.status} {response.reason}, {len(response.body)} characters{cut}",
        failed=f"the requested URL returned error: {response.status}" if error else "",
    )


def _json(response: HttpResponse) -> object:
    """Read the body as JSON, whatever its content type says; None when it is none, or nested too deep to be kept."""
    if is_too_deep(response.body.encode(), DEEPEST_ANSWER):
        return None
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None


async def _history(kube: KubeClient, command: Rollout, good: frozenset[str]) -> Result:
    (workload,) = await by_name(kube, (command.object,), command.namespace)
    found = await find_revisions(kube, command.object, workload, good)
    if command.revision:
        found = tuple(revision for revision in found if revision.number == command.revision)
    current = current_of(found)
    known = ", ".join(str(revision.number) for revision in found if revision.good) or "none"
    result = of_objects([workload], named=1, summary="")
    return Result(
        names={**result.names, "revisions": [revision.columns() for revision in found]},
        summary=f"{len(found)} revisions, now at {current.number if current else '?'}, known to be good: {known}",
        failed="" if found else _no_history(command),
    )


def _no_history(command: Rollout) -> str:
    return "unable to find the specified revision" if command.revision else "no rollout history found"


async def _status(kube: KubeClient, command: Rollout, deadline: timedelta) -> Result:
    """Watch a rollout until it has ended or cannot end; kubectl's own wait has no end without --timeout."""

    async def look_once() -> tuple[Live, Status]:
        (workload,) = await by_name(kube, (command.object,), command.namespace)
        return workload, status_of(workload, command.revision)

    within = min(command.timeout or deadline, deadline)
    workload, status = await until(look_once, lambda seen: seen[1].done or seen[1].error, within=within)
    failed = "" if status.done else status.message
    if not status.done and not status.error:
        failed = f"timed out waiting for the condition ({status.message})"
    names = of_objects([workload], named=1, summary="").names
    return Result(
        names={**names, "complete": status.done, "message": status.message},
        summary=failed or status.message,
        failed=failed,
    )
