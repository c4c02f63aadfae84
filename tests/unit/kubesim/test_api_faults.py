"""Every fault of the API that can be ordered does to a client what it says, and is seen by the witness."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from kubesim import EmbeddedCluster, Fault, FaultKind
from tests.contract.kube.objects import config
from tests.contract.kube.talk import ApiUser
from tests.unit.kubesim.waiting import until

PODS = "/api/v1/namespaces/default/pods"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (Fault(kind=FaultKind.TOO_MANY, retry_after=7), 429, "TooManyRequests"),
        (Fault(kind=FaultKind.ERROR), 500, "InternalError"),
        (Fault(kind=FaultKind.ERROR, status=503), 503, "InternalError"),
        (Fault(kind=FaultKind.UNAUTHORIZED), 401, "Unauthorized"),
        (Fault(kind=FaultKind.GONE), 410, "Expired"),
    ],
)
async def test_a_refusal_is_ordered_once(
    embedded: EmbeddedCluster, client: ApiUser, fault: Fault, status: int, reason: str
) -> None:
    embedded.api_faults.order(fault)
    answer = await client.get(PODS)
    assert (answer.status, answer.body["reason"]) == (status, reason)
    assert answer.headers.get("Retry-After") == ("7" if status == 429 else None), "it says when to come back"
    assert (await client.get(PODS)).status == 200


async def test_a_fault_meets_only_its_verb_and_path(embedded: EmbeddedCluster, client: ApiUser) -> None:
    embedded.api_faults.order(Fault(kind=FaultKind.ERROR, verb="list", path="*/pods", times=2))
    assert (await client.get(CONFIGMAPS)).status == 200
    assert (await client.get(f"{PODS}/one")).status == 404
    assert [(await client.get(PODS)).status for _ in range(3)] == [500, 500, 200]


async def test_a_fault_without_a_count_stays_until_it_is_cleared(embedded: EmbeddedCluster, client: ApiUser) -> None:
    embedded.api_faults.order(Fault(kind=FaultKind.ERROR, times=None))
    assert {(await client.get(PODS)).status for _ in range(5)} == {500}
    embedded.api_faults.clear()
    assert (await client.get(PODS)).status == 200


@pytest.mark.parametrize("kind", [FaultKind.APPLY_THEN_504, FaultKind.APPLY_THEN_RESET])
async def test_a_change_is_made_and_its_answer_lost(
    embedded: EmbeddedCluster, client: ApiUser, kind: FaultKind
) -> None:
    """The client cannot know, the witness does."""
    embedded.api_faults.order(Fault(kind=kind, verb="create"))
    try:
        status = (await client.create(CONFIGMAPS, config("one"))).status
    except aiohttp.ClientError:
        status = 0
    assert status == (504 if kind is FaultKind.APPLY_THEN_504 else 0)
    assert (await client.get(f"{CONFIGMAPS}/one")).status == 200
    request = next(each for each in embedded.requests if each.verb == "create")
    assert (request.applied, request.fault) == (True, kind)


async def test_a_connection_is_reset_before_anything_is_done(embedded: EmbeddedCluster, client: ApiUser) -> None:
    embedded.api_faults.order(Fault(kind=FaultKind.RESET, verb="create"))
    with pytest.raises(aiohttp.ClientError):
        await client.create(CONFIGMAPS, config("one"))
    assert (await client.get(f"{CONFIGMAPS}/one")).status == 404
    assert embedded.requests.changes() == []


async def test_a_proxy_answers_with_a_page(embedded: EmbeddedCluster, client: ApiUser) -> None:
    embedded.api_faults.order(Fault(kind=FaultKind.HTML))
    answer = await client.get(PODS)
    assert answer.status == 502
    assert answer.body.startswith("<html>")


async def test_a_request_hangs(embedded: EmbeddedCluster, client: ApiUser) -> None:
    """No answer ever comes, and nothing was changed."""
    embedded.api_faults.order(Fault(kind=FaultKind.HANG, verb="create"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.create(CONFIGMAPS, config("one")), 0.2)
    assert (await client.get(f"{CONFIGMAPS}/one")).status == 404


async def test_a_slow_server_answers_late(embedded: EmbeddedCluster, client: ApiUser) -> None:
    embedded.api_faults.order(Fault(kind=FaultKind.SLOW, delay=timedelta(milliseconds=200)))
    began = time.monotonic()
    assert (await client.get(PODS)).status == 200
    assert time.monotonic() - began >= 0.2


async def test_a_page_of_a_list_expires(embedded: EmbeddedCluster, client: ApiUser) -> None:
    for name in ("one", "two"):
        embedded.apply(config(name))
    embedded.api_faults.order(Fault(kind=FaultKind.EXPIRED_CONTINUE))
    page = (await client.get(CONFIGMAPS, limit=1)).body["metadata"]["continue"]
    answer = await client.get(CONFIGMAPS, limit=1, **{"continue": page})
    assert (answer.status, answer.body["reason"]) == (410, "Expired")
    assert answer.body["metadata"]["continue"]


async def test_a_watch_ends_with_an_error_in_the_stream(embedded: EmbeddedCluster, client: ApiUser) -> None:
    embedded.api_faults.order(Fault(kind=FaultKind.GONE_IN_STREAM, after=1))
    embedded.apply(config("one"))
    async with client.watch(CONFIGMAPS) as watch:
        assert b'"ADDED"' in await watch.line()
        embedded.apply(config("two"))
        assert b'"code":410' in await watch.line()
        assert await watch.line() == b""


async def test_a_watch_is_cut(embedded: EmbeddedCluster, client: ApiUser) -> None:
    async with client.watch(CONFIGMAPS, resourceVersion=str(embedded.store.version)) as watch:
        assert embedded.api_faults.strike(FaultKind.CUT) == 1
        assert await watch.line() == b""


async def test_a_line_of_a_watch_is_torn(embedded: EmbeddedCluster, client: ApiUser) -> None:
    """Half a line, then the end."""
    async with client.watch(CONFIGMAPS, resourceVersion=str(embedded.store.version)) as watch:
        embedded.api_faults.strike(FaultKind.TORN, "*/configmaps")
        line = await watch.line()
    assert line.startswith(b'{"type":')
    assert not line.endswith(b"\n")


async def test_a_watch_goes_silent(embedded: EmbeddedCluster, client: ApiUser) -> None:
    """The connection stays open, and nothing comes, not even what happened."""
    async with client.watch(CONFIGMAPS, resourceVersion=str(embedded.store.version)) as watch:
        embedded.api_faults.strike(FaultKind.SILENT)
        embedded.apply(config("one"))
        with pytest.raises(TimeoutError):
            await watch.line(within=0.2)
        assert list(embedded.api_faults.open_watches()) == [CONFIGMAPS]
    await until(lambda: not list(embedded.api_faults.open_watches()), embedded.api_faults.open_watches)


async def test_bookmarks_can_be_left_out(embedded: EmbeddedCluster, client: ApiUser) -> None:
    version = str(embedded.store.version)
    embedded.apply(config("one"))
    query = {"resourceVersion": version, "allowWatchBookmarks": "1", "timeoutSeconds": "3", "labelSelector": "a=b"}
    embedded.api_faults.bookmarks = False
    async with client.watch(CONFIGMAPS, **query) as watch:
        assert await watch.rest() == []


async def test_a_frozen_server_answers_after_the_thaw(embedded: EmbeddedCluster, client: ApiUser) -> None:
    """Requests wait, watches stall, and nothing is lost."""
    async with client.watch(CONFIGMAPS, resourceVersion=str(embedded.store.version)) as watch:
        embedded.freeze()
        request = asyncio.create_task(client.get(PODS))
        embedded.apply(config("one"))
        line = asyncio.create_task(watch.line())
        done, _ = await asyncio.wait((request, line), timeout=0.2)
        assert not done
        embedded.thaw()
        assert (await request).status == 200
        assert b'"ADDED"' in await line


async def test_a_request_is_witnessed_with_its_effect(embedded: EmbeddedCluster, client: ApiUser) -> None:
    """The witness of what was done: only what changed something counts as applied."""
    await client.create(CONFIGMAPS, config("one"))
    await client.create(CONFIGMAPS, config("one"))
    await client.patch(f"{CONFIGMAPS}/one", {"data": {"a": "b"}})
    await client.patch(f"{CONFIGMAPS}/one", {"data": {"a": "b"}})
    await client.delete(f"{CONFIGMAPS}/one", dryRun="All")
    await client.get(f"{CONFIGMAPS}/one")
    seen = [(each.verb, each.status, each.applied, each.mutating) for each in embedded.requests]
    assert seen == [
        ("create", 201, True, True),
        ("create", 409, False, True),
        ("patch", 200, True, True),
        ("patch", 200, False, True),
        ("delete", 200, False, False),
        ("get", 200, False, False),
    ]
    assert {each.user for each in embedded.requests} == {"kubernetes-admin"}
    first = embedded.requests[0]
    assert (first.path, len(first.digest)) == (CONFIGMAPS, 64)
    assert first.time <= embedded.requests[-1].time


async def test_a_kubeconfig_is_for_its_owner_only(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    path = embedded.kubeconfig(tmp_path / "kubeconfig", account="secret")
    assert path.stat().st_mode & 0o777 == 0o600
