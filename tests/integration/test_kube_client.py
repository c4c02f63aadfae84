"""
The client's words to the API server, and what it makes of every answer and of none.

It tells of clocks, too: each answer's `Date`, and certificates that are refused for their dates.

Promise P3 rests on the difference between "nothing was done" and "nobody knows". Faults B2, B7 to B13, B17 and B19.
"""

import json
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from aiohttp import web

from kintsugi.errors import (
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    OutcomeUnknown,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
)
from kintsugi.kube import transport
from kintsugi.kube.api_errors import Request
from kintsugi.kube.client import KubeClient, Patch, PatchKind
from kintsugi.kube.transport import RawAnswer, Transport
from kintsugi.settings import KubeSettings
from kubeobjects import resources
from tests.harness.certificates import Authority
from tests.integration.scripted_api import (
    Answer,
    ScriptedApi,
    after,
    bad_gateway,
    cut,
    demand,
    kubeconfig,
    listing,
    pod,
    refuse,
    reply,
    scripted_api,
    silent,
    stream,
    write,
)

POD = "/api/v1/namespaces/production/pods/web-1"
DEPLOYMENT = "/apis/apps/v1/namespaces/production/deployments/web"
LOG = f"GET {POD}/log"
SECONDS = timedelta(seconds=5)
Change = Callable[[KubeClient], Awaitable[object]]


@pytest.fixture
async def hasty(api: ScriptedApi, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """A client for answers that never come, or come too late."""
    settings = KubeSettings(
        kubeconfig=kubeconfig(tmp_path, api.url),
        request_timeout=timedelta(seconds=3),
        read_timeout=timedelta(seconds=2),
    )
    async with KubeClient.connect(settings) as client:
        yield client


async def delete_the_pod(kube: KubeClient) -> object:
    """Delete one pod."""
    return await kube.delete(resources.PODS, "web-1", "production", uid="u-1")


async def scale_the_deployment(kube: KubeClient) -> object:
    """Patch a subresource."""
    patch = {"spec": {"replicas": 5}}
    return await kube.patch(
        resources.DEPLOYMENTS, "web", "production", patch, kind=PatchKind.MERGE, subresource="scale"
    )


async def replace_the_deployment(kube: KubeClient) -> object:
    """Replace one object: the method that aiohttp would repeat by itself."""
    return await kube.replace(resources.DEPLOYMENTS, "web", "production", {"metadata": {"name": "web"}})


async def evict_the_pod(kube: KubeClient) -> object:
    """Create an eviction."""
    return await kube.create(resources.PODS, "production", {}, name="web-1", subresource="eviction")


CHANGES = [
    pytest.param(delete_the_pod, f"DELETE {POD}", id="delete"),
    pytest.param(scale_the_deployment, f"PATCH {DEPLOYMENT}/scale", id="patch"),
    pytest.param(replace_the_deployment, f"PUT {DEPLOYMENT}", id="replace"),
    pytest.param(evict_the_pod, f"POST {POD}/eviction", id="create"),
]


async def test_a_delete_carries_the_uid_that_was_judged(api: ScriptedApi, kube: KubeClient) -> None:
    """P4, B13: a pod of the same name that came later is not hit."""
    api.on(f"DELETE {POD}", reply({"status": "Success"}))
    await kube.delete(
        resources.PODS, "web-1", "production", uid="u-1", resource_version="77", grace=timedelta(seconds=5)
    )
    body = api.requests(f"DELETE {POD}")[0].json
    assert body["preconditions"] == {"uid": "u-1", "resourceVersion": "77"}
    assert body["gracePeriodSeconds"] == 5
    assert body["propagationPolicy"] == "Background"


@pytest.mark.parametrize(("kind", "content_type"), [(kind, kind.value) for kind in PatchKind])
async def test_a_patch_says_which_form_it_has_and_whose_it_is(
    api: ScriptedApi, kube: KubeClient, kind: PatchKind, content_type: str
) -> None:
    """The three forms differ in their content type; the field manager is ours."""
    api.on(f"PATCH {DEPLOYMENT}", reply({"kind": "Deployment"}))
    operations = [{"op": "add", "path": "/metadata/labels/a", "value": "b"}]
    patch: Patch = operations if kind is PatchKind.JSON else {"spec": {}}
    await kube.patch(resources.DEPLOYMENTS, "web", "production", patch, kind=kind)
    seen = api.requests(f"PATCH {DEPLOYMENT}")[0]
    assert seen.headers["Content-Type"] == content_type
    assert seen.query["fieldManager"] == "kintsugi"
    assert json.loads(seen.body) == patch


async def test_a_patch_that_the_server_finds_invalid_says_why(api: ScriptedApi, kube: KubeClient) -> None:
    """An invalid value is the author's mistake, not a conflict."""
    sentence = 'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1'
    api.on(f"PATCH {DEPLOYMENT}", refuse(422, "Invalid", sentence, causes=[{"reason": "FieldValueInvalid"}]))
    patch = [{"op": "test", "path": "/metadata/uid", "value": "u"}]
    with pytest.raises(Invalid, match=r"spec\.replicas"):
        await kube.patch(resources.DEPLOYMENTS, "web", "production", patch, kind=PatchKind.JSON)


@pytest.mark.parametrize(("change", "place"), CHANGES)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refuse(504, "Timeout", "request did not complete within requested timeout"), id="504"),
        pytest.param(refuse(500, "InternalError", "etcdserver: leader changed"), id="500"),
        pytest.param(refuse(503, "ServiceUnavailable", "apiserver is shutting down"), id="503"),
        pytest.param(bad_gateway(), id="502"),
        pytest.param(cut(), id="connection lost"),
        pytest.param(cut(b'{"kind":'), id="lost in mid-answer"),
        pytest.param(write(b"<html>ok</html>", kind="text/html"), id="an answer that is not JSON"),
    ],
)
async def test_a_change_whose_answer_is_lost_is_unknown_and_never_repeated(
    api: ScriptedApi, kube: KubeClient, change: Change, place: str, answer: Answer
) -> None:
    """P3, B7, B9, B17: it may have happened; a kept connection from a change before does not make it two."""
    api.on(place, reply({"kind": "Status"}), answer)
    await change(kube)
    with pytest.raises(OutcomeUnknown):
        await change(kube)
    assert len(api.requests(place)) == 2


@pytest.mark.parametrize(("change", "place"), CHANGES)
async def test_a_change_that_is_met_with_silence_is_unknown_and_never_repeated(
    api: ScriptedApi, hasty: KubeClient, change: Change, place: str
) -> None:
    """C7: it may have happened, and happen still."""
    api.on(place, silent())
    with pytest.raises(OutcomeUnknown):
        await change(hasty)
    assert len(api.requests(place)) == 1


@pytest.mark.parametrize(("change", "place"), CHANGES)
async def test_a_change_that_could_not_be_sent_did_not_happen(tmp_path: Path, change: Change, place: str) -> None:
    """P3, B9: a refused connection is no unknown outcome."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with KubeClient.connect(KubeSettings(kubeconfig=kubeconfig(tmp_path, url))) as kube:
        with pytest.raises(ServerUnavailable, match="nothing was sent"):
            await change(kube)


@pytest.mark.parametrize(("change", "place"), CHANGES)
async def test_a_change_that_was_shed_is_not_sent_again_by_the_client(
    api: ScriptedApi, kube: KubeClient, change: Change, place: str
) -> None:
    """B8: a 429 says that nothing was applied, and when to come again; until then a person may say no."""
    api.on(place, refuse(429, "TooManyRequests", "slow down", headers={"Retry-After": "1"}), reply({"kind": "Status"}))
    with pytest.raises(TooManyRequests, match="slow down") as caught:
        await change(kube)
    assert caught.value.retry_after == timedelta(seconds=1)
    assert len(api.requests(place)) == 1


async def test_an_eviction_that_a_budget_forbids_is_not_tried_again(api: ScriptedApi, kube: KubeClient) -> None:
    """B19: this 429 means "not now"."""
    causes = [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 3 healthy pods"}]
    api.on(f"POST {POD}/eviction", refuse(429, "TooManyRequests", "Cannot evict pod", causes=causes))
    with pytest.raises(TooManyRequests) as caught:
        await evict_the_pod(kube)
    assert caught.value.reason == "DisruptionBudget"
    assert len(api.requests(f"POST {POD}/eviction")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refuse(500, "InternalError", "etcdserver: leader changed"), id="500"),
        pytest.param(bad_gateway(), id="502"),
        pytest.param(refuse(429, "TooManyRequests"), id="429"),
        pytest.param(cut(), id="connection lost"),
        pytest.param(silent(), id="silence"),
    ],
)
async def test_a_read_is_repeated(api: ScriptedApi, tmp_path: Path, answer: Answer) -> None:
    """B7, B8: nothing can be hurt by reading twice."""
    api.on(f"GET {POD}", answer, reply({"kind": "Pod"}))
    settings = KubeSettings(kubeconfig=kubeconfig(tmp_path, api.url), read_timeout=timedelta(seconds=1))
    async with KubeClient.connect(settings) as kube:
        assert await kube.get(resources.PODS, "web-1", "production") == {"kind": "Pod"}


async def test_a_read_gives_up_at_its_deadline_with_the_last_reason(api: ScriptedApi, hasty: KubeClient) -> None:
    """B8, C7: every request has a deadline; without one this test would not end."""
    api.on(f"GET {POD}", refuse(503, "ServiceUnavailable", "not yet"))
    with pytest.raises(ServerUnavailable, match="not yet"):
        await hasty.get(resources.PODS, "web-1", "production")


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        (403, Forbidden, 'pods "web-1" is forbidden: User "kintsugi" cannot get resource "pods" in API group ""'),
        (404, NotFound, 'pods "web-1" not found'),
        (400, Invalid, "bad request"),
    ],
)
async def test_a_refusal_is_told_in_the_servers_words(
    api: ScriptedApi, kube: KubeClient, code: int, kind: type[KubeError], sentence: str
) -> None:
    """B11: the sentence names the right that is missing; it is not asked for again."""
    api.on(f"GET {POD}", refuse(code, kind.__name__, sentence))
    with pytest.raises(kind) as caught:
        await kube.get(resources.PODS, "web-1", "production")
    assert str(caught.value) == sentence
    assert caught.value.status == code
    assert len(api.requests(f"GET {POD}")) == 1


async def test_a_dry_run_changes_nothing_and_says_so(api: ScriptedApi, kube: KubeClient) -> None:
    """A lost answer to a dry run leaves nothing unknown: it is asked again."""
    api.on(f"DELETE {POD}", refuse(503), reply({"kind": "Status"}))
    await kube.delete(resources.PODS, "web-1", "production", uid="u-1", dry_run=True)
    api.on(f"PATCH {DEPLOYMENT}", reply({"kind": "Deployment"}))
    await kube.patch(resources.DEPLOYMENTS, "web", "production", {}, kind=PatchKind.MERGE, dry_run=True)
    deletes = api.requests(f"DELETE {POD}")
    assert [seen.json["dryRun"] for seen in deletes] == [["All"], ["All"]]
    assert api.requests(f"PATCH {DEPLOYMENT}")[0].query["dryRun"] == "All"


async def test_a_list_is_read_to_its_last_page(api: ScriptedApi, kube: KubeClient) -> None:
    """B2: items carry their kind, which lists leave out; the page token that expired starts anew."""
    api.on(
        "LIST",
        listing(pod("gone", 1), version=10, token="t"),
        refuse(410, "Expired"),
        listing(pod("a", 1), version=20, token="t"),
        listing(pod("b", 2), version=20),
    )
    found = await kube.list(resources.PODS, "production", labels="app in (web)", fields="status.phase=Running")
    assert [item["metadata"]["name"] for item in found.items] == ["a", "b"]  # type: ignore[index]
    assert [(item["apiVersion"], item["kind"]) for item in found.items] == [("v1", "Pod")] * 2
    assert found.resource_version == "20"
    asked = api.requests("LIST")[0].query
    assert asked == {"labelSelector": "app in (web)", "fieldSelector": "status.phase=Running", "limit": "500"}


async def test_the_servers_opinion_on_our_rights_is_asked(api: ScriptedApi, kube: KubeClient) -> None:
    """A SelfSubjectAccessReview is a question, so it may be repeated."""
    place = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    api.on(place, refuse(503), reply({"status": {"allowed": True}}), reply({"status": {"allowed": False}}))
    assert await kube.can_i("patch", resources.DEPLOYMENTS, "production", subresource="scale", name="web")
    assert not await kube.can_i("delete", resources.NODES, None)
    assert api.requests(place)[0].json["spec"] == {
        "resourceAttributes": {
            "verb": "patch",
            "group": "apps",
            "version": "v1",
            "resource": "deployments",
            "subresource": "scale",
            "name": "web",
            "namespace": "production",
        }
    }


async def test_a_rotated_token_is_read_before_anybody_gives_up(api: ScriptedApi, tmp_path: Path) -> None:
    """B10: a 401 is no outcome: a change is sent again with the new token, once."""
    token = tmp_path / "token"
    token.write_text("old")
    path = kubeconfig(tmp_path, api.url, tokenFile=str(token))
    rotated = after(lambda: token.write_text("new"), reply({"kind": "Pod"}))
    api.on(f"GET {POD}", demand("old", rotated))
    api.on(f"DELETE {POD}", demand("new", reply({"kind": "Status"})))
    async with KubeClient.connect(KubeSettings(kubeconfig=path)) as kube:
        await kube.get(resources.PODS, "web-1", "production")
        await delete_the_pod(kube)
    assert len(api.requests(f"DELETE {POD}")) == 2


async def test_credentials_that_stay_refused_are_reported(api: ScriptedApi, kube: KubeClient) -> None:
    """B10: one more try, then the truth."""
    api.on(f"GET {POD}", refuse(401, "Unauthorized", "Unauthorized"))
    with pytest.raises(Unauthorized):
        await kube.get(resources.PODS, "web-1", "production")
    assert len(api.requests(f"GET {POD}")) == 2


@asynccontextmanager
async def in_cluster(
    folder: Path, monkeypatch: pytest.MonkeyPatch, valid_from: datetime | None = None
) -> AsyncIterator[ScriptedApi]:
    """Serve over TLS as in a cluster: its authority and the pod's token are in a folder, its place in the environment."""
    authority = Authority(folder / "pki", valid_from=valid_from)
    serving = authority.server("apiserver", "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(serving.certificate, serving.key)
    (folder / "token").write_text("old")
    (folder / "ca.crt").write_bytes(authority.own.certificate.read_bytes())
    async with scripted_api(tls) as api:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", api.url.rpartition(":")[2])
        yield api


async def test_the_pods_own_service_account_is_used_in_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B10: over TLS with the cluster's authority; the projected token is read anew when it is refused."""
    async with in_cluster(tmp_path, monkeypatch) as api:
        api.on(f"GET {POD}", demand("old", reply({"kind": "Pod"})), demand("new", reply({"kind": "Pod"})))
        async with KubeClient.connect(KubeSettings(service_account_dir=tmp_path)) as kube:
            await kube.get(resources.PODS, "web-1", "production")
            (tmp_path / "token").write_text("new")
            await kube.get(resources.PODS, "web-1", "production")


async def test_unreadable_credentials_say_where_they_were_sought(tmp_path: Path) -> None:
    """A person must know which file to mend."""
    (tmp_path / "kubeconfig").write_text("current-context: nowhere\n")
    for path in (tmp_path / "kubeconfig", tmp_path / "absent"):
        with pytest.raises(KubeError, match=str(path)):
            async with KubeClient.connect(KubeSettings(kubeconfig=path)):
                pytest.fail("connected without credentials")


async def test_a_proxy_of_the_environment_is_not_used(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets go to the API server alone, whatever HTTP_PROXY says."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    api.on(f"GET {POD}", reply({"kind": "Pod"}))
    async with KubeClient.connect(KubeSettings(kubeconfig=kubeconfig(tmp_path, api.url))) as kube:
        assert await kube.get(resources.PODS, "web-1", "production") == {"kind": "Pod"}


async def test_a_followed_log_comes_as_it_is_written_and_ends_at_its_deadline(
    api: ScriptedApi, kube: KubeClient
) -> None:
    """Silence is no fault while a log is followed."""
    api.on(LOG, stream(b"one\n", b"two\n", pause=0.05))
    chunks = kube.logs(
        "web-1",
        "production",
        container="web",
        follow=True,
        since=timedelta(minutes=15),
        tail=100,
        deadline=timedelta(seconds=3),
    )
    assert b"".join([chunk async for chunk in chunks]) == b"one\ntwo\n"
    assert api.requests(LOG)[0].query == {
        "container": "web",
        "follow": "true",
        "sinceSeconds": "900",
        "tailLines": "100",
        "limitBytes": str(10 * 1024 * 1024),
    }


async def test_a_followed_log_that_never_begins_ends_at_its_deadline(api: ScriptedApi, kube: KubeClient) -> None:
    """C7: a container that writes nothing holds nobody up."""
    api.on(LOG, silent())
    assert [
        chunk async for chunk in kube.logs("web-1", "production", follow=True, deadline=timedelta(seconds=0.2))
    ] == []


async def test_a_log_that_does_not_come_whole_is_an_error(api: ScriptedApi, hasty: KubeClient) -> None:
    """Half a log must not pass for the whole."""
    api.on(LOG, stream(b"one\n"))
    chunks = hasty.logs("web-1", "production")
    assert await anext(chunks) == b"one\n"
    with pytest.raises(ServerUnavailable):
        await anext(chunks)


async def test_a_log_is_cut_at_its_limit(api: ScriptedApi, kube: KubeClient) -> None:
    """Bounded memory, whatever the server sends."""
    api.on(LOG, stream(b"x" * 100_000, stays=False))
    chunks = [chunk async for chunk in kube.logs("web-1", "production", previous=True, limit_bytes=1000)]
    assert b"".join(chunks) == b"x" * 1000
    assert api.requests(LOG)[0].query["previous"] == "true"


async def test_a_log_may_be_closed_early(api: ScriptedApi, kube: KubeClient) -> None:
    """A reader that has seen enough leaves no connection behind: the client closes without waiting."""
    api.on(LOG, stream(b"FATAL\n"))
    async with aclosing(kube.logs("web-1", "production", follow=True)) as chunks:
        assert await anext(chunks) == b"FATAL\n"


async def test_the_log_of_a_missing_container_is_refused_in_the_servers_words(
    api: ScriptedApi, kube: KubeClient
) -> None:
    """A previous container that never was is a refusal, not an empty log."""
    sentence = 'previous terminated container "web" in pod "web-1" not found'
    api.on(LOG, refuse(400, "BadRequest", sentence))
    with pytest.raises(Invalid, match="previous terminated container"):
        await anext(kube.logs("web-1", "production", previous=True))


async def test_any_path_can_be_read_raw_and_an_answer_that_is_no_success_is_an_answer(
    api: ScriptedApi, kube: KubeClient
) -> None:
    """For /version, /readyz and the like: once, and with the reason in the body."""
    api.on("GET /healthz", write(b"ok", kind="text/plain"))
    assert await kube.raw("/healthz?verbose", within=SECONDS) == RawAnswer(status=200, reason="OK", body=b"ok")
    api.on("GET /readyz", write(b"[-]etcd failed", code=500, kind="text/plain"))
    failed = await kube.raw("/readyz", within=SECONDS)
    assert (failed.status, failed.body) == (500, b"[-]etcd failed")
    assert len(api.requests("GET /readyz")) == 1


async def test_a_path_that_may_not_be_read_or_is_too_long_gives_no_answer(api: ScriptedApi, kube: KubeClient) -> None:
    api.on("GET /readyz", refuse(403, "Forbidden", 'User "kintsugi" cannot get path "/readyz"'))
    with pytest.raises(Forbidden, match="cannot get path"):
        await kube.raw("/readyz", within=SECONDS)
    api.on("GET /livez", write(b" " * ((1 << 20) + 1)))
    with pytest.raises(KubeError, match="longer than 1 MiB"):
        await kube.raw("/livez", within=SECONDS)


async def test_an_answer_that_is_too_long_is_read_no_further_and_not_asked_for_again(
    api: ScriptedApi, kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever serves an aggregated API may send without end."""
    monkeypatch.setattr(transport, "LONGEST_ANSWER", 1 << 20)
    api.on("GET /apis/metrics.k8s.io/v1beta1/pods", write(b" " * (3 << 20)))
    with pytest.raises(KubeError, match="longer than 1 MiB"):
        await kube.fetch(Request(method="GET", path="/apis/metrics.k8s.io/v1beta1/pods"))
    assert len(api.requests("GET /apis/metrics.k8s.io/v1beta1/pods")) == 1
    api.on(f"DELETE {POD}", write(b" " * (3 << 20)))
    with pytest.raises(OutcomeUnknown, match="longer than 1 MiB"):
        await delete_the_pod(kube)


async def test_each_answer_of_the_api_server_tells_when_it_was_written_and_between_which_moments(
    api: ScriptedApi, tmp_path: Path
) -> None:
    """
    C9: a refusal is an answer, too. One out of a cache tells nothing of now.

    Nor does that of an aggregated API: it is passed on as it is, with the `Date` of the machine that its pod is on.
    """

    async def cached(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Pod"}, headers={"Age": "3600", "Date": "Tue, 24 Nov 2026 02:00:00 GMT"})

    usage = "/apis/metrics.k8s.io/v1beta1/nodes"
    api.on(f"GET {POD}", reply({"kind": "Pod"}), refuse(404, "NotFound", "not found"), cached)
    api.on(f"GET {usage}", reply({"kind": "NodeMetricsList", "items": []}))
    heard: list[tuple[str, float, float]] = []
    async with KubeClient.connect(
        KubeSettings(kubeconfig=kubeconfig(tmp_path, api.url)), lambda *told: heard.append(told)
    ) as kube:
        began = time.monotonic()
        await kube.get(resources.PODS, "web-1", "production")
        with pytest.raises(NotFound):
            await kube.get(resources.PODS, "web-1", "production")
        await kube.get(resources.PODS, "web-1", "production")
        await kube.raw(usage, within=SECONDS)
    *fresh, (of_cache, _, _) = heard
    assert (len(fresh), of_cache) == (2, "")
    for date, sent, received in fresh:
        assert began <= sent <= received <= time.monotonic()
        assert abs(parsedate_to_datetime(date) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("valid_for", "said"),
    [
        (timedelta(days=1), "is not yet valid: this machine's clock is probably wrong"),
        (timedelta(days=-9), "has expired"),
    ],
    ids=["not yet", "no longer"],
)
async def test_a_certificate_that_is_refused_for_its_dates_points_to_the_clock(
    valid_for: timedelta, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C9: with a clock that is days behind no answer comes, and so no `Date`."""
    async with (
        in_cluster(tmp_path, monkeypatch, datetime.now(UTC) + valid_for),
        Transport.connect(KubeSettings(service_account_dir=tmp_path)) as transport,
    ):
        with pytest.raises(ServerUnavailable, match="nothing was sent") as refused:
            await transport.send(Request(method="GET", path=POD))
    assert said in str(refused.value)
    assert re.search(r"it shows \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", str(refused.value))
