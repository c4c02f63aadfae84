"""The five services of the shipped rules on the embedded cluster: real programs that are ready while their upstream answers."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from kintsugi_demo.scenes import STACK_CLUSTER
from kintsugi_demo.stage import furnished
from kubesim import EmbeddedCluster

pytestmark = pytest.mark.long


@pytest.fixture
async def cluster() -> AsyncIterator[EmbeddedCluster]:
    """Have all five up."""
    async with furnished(STACK_CLUSTER) as started:
        yield started


async def status_of(host: str, port: int, path: str, *, tls: bool) -> int:
    """Ask over HTTP, and return the status of the answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context if tls else None)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


async def test_names_of_services_lead_to_them_in_every_form_and_others_to_nothing(cluster: EmbeddedCluster) -> None:
    """What the shipped smoke tests ask answers: the API over HTTP, the ingress over HTTPS in a namespace of its own."""
    [api] = cluster.resolve("api-service.production")
    assert (
        cluster.resolve("api-service.production.svc")
        == cluster.resolve("api-service.production.svc.cluster.local.")
        == (api,)
    )
    assert cluster.resolve("kubernetes.default.svc") == ("127.0.0.1",)
    for stranger in ("api-service", "api-service.ingress", "api-service.production.example.com", "nobody.production"):
        assert cluster.resolve(stranger) == ()
    [ingress] = cluster.resolve("ingress-controller.ingress")
    assert await status_of(api, 80, "/health", tls=False) == 200
    assert await status_of(ingress, 443, "/healthz", tls=True) == 200
