"""When the cluster stops, no connection to a Service is left open: neither one that is being made, nor one that comes just then."""

import asyncio
import socket
from functools import partial

import pytest

from kubesim.runtime.tcp_proxies import TcpProxies
from kubesim.storage.store import Store

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
