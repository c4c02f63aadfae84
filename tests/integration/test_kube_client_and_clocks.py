"""What the client tells of clocks: each answer's `Date`, and certificates that are refused for their dates."""

import re
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from aiohttp import web

from kintsugi.errors import NotFound, ServerUnavailable
from kintsugi.kube.api_errors import Request
from kintsugi.kube.client import KubeClient
from kintsugi.kube.transport import Transport
from kintsugi.settings import KubeSettings
from kubeobjects import resources
from tests.harness.certificates import Authority
from tests.integration.scripted_api import ScriptedApi, kubeconfig, refuse, reply, scripted_api

POD = "/api/v1/namespaces/production/pods/web-1"


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    """A scripted API server."""
    async with scripted_api() as server:
        yield server


async def test_each_answer_tells_when_it_was_written_and_between_which_moments(
    api: ScriptedApi, tmp_path: Path
) -> None:
    """C9: a refusal is an answer, too."""
    api.on(f"GET {POD}", reply({"kind": "Pod"}), refuse(404, "NotFound", "not found"))
    heard: list[tuple[str, float, float]] = []
    async with KubeClient.connect(
        KubeSettings(kubeconfig=kubeconfig(tmp_path, api.url)), lambda *told: heard.append(told)
    ) as kube:
        began = time.monotonic()
        await kube.get(resources.PODS, "web-1", "production")
        with pytest.raises(NotFound):
            await kube.get(resources.PODS, "web-1", "production")
    assert len(heard) == 2
    for date, sent, received in heard:
        assert began <= sent <= received <= time.monotonic()
        assert abs(parsedate_to_datetime(date) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_an_answer_out_of_a_cache_tells_nothing_of_now(api: ScriptedApi, tmp_path: Path) -> None:
    """Whatever stands between must not make a clock look wrong."""

    async def cached(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Pod"}, headers={"Age": "3600", "Date": "Tue, 24 Nov 2026 02:00:00 GMT"})

    api.on(f"GET {POD}", cached)
    dates: list[str] = []
    async with KubeClient.connect(
        KubeSettings(kubeconfig=kubeconfig(tmp_path, api.url)), lambda date, _sent, _received: dates.append(date)
    ) as kube:
        await kube.get(resources.PODS, "web-1", "production")
    assert dates == [""]


async def test_an_aggregated_api_tells_nothing_of_the_api_servers_clock(api: ScriptedApi, tmp_path: Path) -> None:
    """Its answers are passed on as they are, with the `Date` of the machine that its pod is on."""
    usage = "/apis/metrics.k8s.io/v1beta1/nodes"
    api.on(f"GET {usage}", reply({"kind": "NodeMetricsList", "items": []}))
    heard: list[object] = []
    async with KubeClient.connect(
        KubeSettings(kubeconfig=kubeconfig(tmp_path, api.url)), lambda *told: heard.append(told)
    ) as kube:
        await kube.raw(usage)
    assert heard == []


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
    authority = Authority(tmp_path / "pki", valid_from=datetime.now(UTC) + valid_for)
    serving = authority.server("apiserver", "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(serving.certificate, serving.key)
    (tmp_path / "token").write_text("one")
    (tmp_path / "ca.crt").write_bytes(authority.own.certificate.read_bytes())
    settings = KubeSettings(service_account_dir=tmp_path)
    async with scripted_api(tls) as api:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", api.url.rpartition(":")[2])
        async with Transport.connect(settings) as transport:
            with pytest.raises(ServerUnavailable, match="nothing was sent") as refused:
                await transport.send(Request(method="GET", path=POD))
    assert said in str(refused.value)
    assert re.search(r"it shows \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", str(refused.value))
