"""The five services of the shipped rules on the embedded cluster: real programs that are ready while their upstream answers."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from kintsugi_demo.scenes import LABELS, STACK_CLUSTER
from kintsugi_demo.stage import furnished
from kubeobjects.resources import PODS
from kubesim import EmbeddedCluster
from kubesim.manifest import is_true
from tests.harness.waiting import eventually

pytestmark = pytest.mark.long

TIMEOUT = 120.0
DEPENDENTS = ("api-service", "web-service", "ingress-controller")


@pytest.fixture
async def cluster() -> AsyncIterator[EmbeddedCluster]:
    """Have all five up."""
    async with furnished(STACK_CLUSTER) as started:
        yield started


def ready(cluster: EmbeddedCluster) -> dict[str, int]:
    """Count the ready pods of each service."""
    return {
        name: sum(is_true(pod, "Ready") for pod in cluster.find(PODS, None, labels)) for name, labels in LABELS.items()
    }


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


async def test_a_database_that_crash_loops_takes_its_dependents_with_it_until_its_pod_is_made_anew(
    cluster: EmbeddedCluster,
) -> None:
    """A fault of a pod ends the real programs in it at each start; those that are well again were not touched."""
    [victim] = cluster.find(PODS, None, LABELS["database"])
    others = {str(pod["metadata"]["uid"]) for name in DEPENDENTS for pod in cluster.find(PODS, None, LABELS[name])}
    cluster.faults.crash_loop(victim["metadata"]["uid"])

    def is_down() -> bool:
        return not any(ready(cluster)[name] for name in ("database", *DEPENDENTS))

    await eventually(is_down, within=TIMEOUT, describe=lambda: ready(cluster))
    assert ready(cluster)["cache-service"] == 1

    def restarts() -> bool:
        [pod] = cluster.find(PODS, None, LABELS["database"])
        return bool(pod["status"]["containerStatuses"][0]["restartCount"] > 1)

    await eventually(restarts, within=TIMEOUT, describe=lambda: ready(cluster))
    cluster.delete(PODS, "database-0", "production")
    wanted = {"database": 1, "cache-service": 1, "api-service": 2, "web-service": 3, "ingress-controller": 1}
    await eventually(lambda: ready(cluster) == wanted, within=TIMEOUT, describe=lambda: ready(cluster))
    assert others == {
        str(pod["metadata"]["uid"]) for name in DEPENDENTS for pod in cluster.find(PODS, None, LABELS[name])
    }


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
