"""What leads to pods: a LoadBalancer's address tells the truth about them, and no connection outlives the cluster."""

import asyncio
import socket
from functools import partial
from typing import Any

import aiohttp
import pytest

from kubeobjects import resources
from kubesim import EmbeddedCluster
from kubesim.manifest import dig
from kubesim.runtime.tcp_proxies import TcpProxies
from kubesim.storage.store import Store
from tests.contract.kube.objects import deployment, of_kind
from tests.harness.waiting import eventually
from tests.unit.kubesim.waiting import until


def service(port: int) -> dict[str, Any]:
    """Describe a LoadBalancer Service."""
    spec = {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": port, "targetPort": 8080}]}
    return of_kind("v1", "Service", "web", spec=spec)


def address(embedded: EmbeddedCluster) -> str:
    """Read the address of the Service."""
    ingress = dig(embedded.get(resources.SERVICES, "web"), "status", "loadBalancer", "ingress", default=[])
    return str(ingress[0]["ip"]) if ingress else ""


def available(embedded: EmbeddedCluster) -> int:
    """Read how many pods are available."""
    return int(dig(embedded.get(resources.DEPLOYMENTS, "web"), "status", "availableReplicas", default=0))


async def test_health_follows_the_endpoints(embedded: EmbeddedCluster) -> None:
    embedded.apply(service(18080))
    ip = await until(lambda: address(embedded), lambda: embedded.get(resources.SERVICES, "web"))
    assert ip.startswith("127.")
    assert ip != "127.0.0.1"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{ip}:18080/health") as response:
            assert response.status == 503
        embedded.apply(deployment(replicas=1))
        await until(lambda: available(embedded) == 1, lambda: embedded.get(resources.DEPLOYMENTS, "web"))
        async with session.get(f"http://{ip}:18080/health") as response:
            assert (response.status, await response.text()) == (200, "ok\n")
        (pod,) = embedded.find(resources.PODS, "default")
        embedded.faults.make_unready(pod["metadata"]["uid"])
        await until(lambda: not available(embedded), lambda: embedded.get(resources.DEPLOYMENTS, "web"))
        async with session.get(f"http://{ip}:18080/health") as response:
            assert response.status == 503


async def test_two_clusters_do_not_share_an_address(embedded: EmbeddedCluster) -> None:
    async with EmbeddedCluster.start(speed=20) as other:
        for each in (embedded, other):
            each.apply(service(18081))
        for each in (embedded, other):
            await until(partial(address, each), lambda: "no address")
        assert address(embedded) != address(other)


async def test_a_service_that_goes_closes_its_door(embedded: EmbeddedCluster) -> None:
    embedded.apply(service(18082))
    ip = await until(lambda: address(embedded), lambda: embedded.get(resources.SERVICES, "web"))
    embedded.delete(resources.SERVICES, "web")

    async def refused() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://{ip}:18082/"):
                return False
        except aiohttp.ClientConnectionError:
            return True

    for _ in range(200):
        if await refused():
            return
    raise AssertionError("the door is still open")


async def test_a_port_that_speaks_http_is_answered_at_its_cluster_ip_once_a_pod_is_ready(
    embedded: EmbeddedCluster,
) -> None:
    """No pod is a process; a port that does not say what it speaks refuses."""
    ports = [{"name": "web", "port": 18082, "appProtocol": "http"}, {"name": "other", "port": 18083}]
    spec = {"selector": {"app": "web"}, "ports": ports}
    embedded.apply(of_kind("v1", "Service", "web", spec=spec))
    ip = dig(embedded.get(resources.SERVICES, "web"), "spec", "clusterIP")
    async with aiohttp.ClientSession() as session:

        async def status(port: int) -> int:
            try:
                async with session.get(f"http://{ip}:{port}/health") as response:
                    return response.status
            except aiohttp.ClientConnectorError:
                return 0

        assert await status(18082) == 0
        embedded.apply(deployment(replicas=1))

        async def answers() -> bool:
            return await status(18082) == 200

        await eventually(answers, within=15, describe=lambda: embedded.get(resources.DEPLOYMENTS, "web"), every=0.02)
        assert await status(18083) == 0


async def test_names_of_services_lead_to_them_in_every_form_and_others_to_nothing(embedded: EmbeddedCluster) -> None:
    embedded.apply(service(80))
    ip = dig(embedded.get(resources.SERVICES, "web"), "spec", "clusterIP")
    for name in ("web.default", "web.default.svc", "web.default.svc.cluster.local."):
        assert embedded.resolve(name) == (ip,)
    assert embedded.resolve("kubernetes.default.svc") == ("127.0.0.1",)
    for stranger in ("web", "web.ingress", "web.default.example.com", "nobody.default"):
        assert embedded.resolve(stranger) == ()


ADDRESS = ("127.0.0.1", 5432)


async def test_a_connection_whose_other_end_is_being_made_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    proxies, asked = TcpProxies(Store()), asyncio.Event()
    proxies._targets = {ADDRESS: ADDRESS}

    async def never(*_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    server = await asyncio.start_server(partial(proxies._accept, ADDRESS), "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.settimeout(0)
        monkeypatch.setattr(asyncio, "open_connection", never)
        await asked.wait()
        await proxies.close()
        assert await is_ended(client)
    server.close()


async def test_a_connection_that_comes_when_the_cluster_has_stopped_is_ended() -> None:
    proxies = TcpProxies(Store())
    server = await asyncio.start_server(partial(proxies._accept, ADDRESS), "127.0.0.1", 0)
    await proxies.close()
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.settimeout(0)
        assert await is_ended(client)
    server.close()


async def is_ended(client: socket.socket) -> bool:
    """Wait until the other side has ended a connection."""
    try:
        return await asyncio.get_running_loop().sock_recv(client, 1) == b""
    except ConnectionResetError:
        return True
