"""
TCP proxies: connections to the address of a Service whose pods are processes are passed on to them.

As with kube-proxy, a port is open while a pod behind it is ready, and refuses otherwise. Where no pod is a process, a
port with `appProtocol: http` answers every request with 200; other ports refuse.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

from kubeobjects import resources
from kubesim.controllers.services import ready_endpoints, slices_of
from kubesim.manifest import Json
from kubesim.storage.store import Change, Store

Address = tuple[str, int]

CHUNK: Final = 256 * 1024
"""Bytes that are passed on at once."""

PLAYED: Final[Address] = ("", 0)
"""In place of a process's address: nothing is there to pass a connection on to, and HTTP is answered here."""

RETRY: Final = 1.0
"""Seconds until a port is tried again that could not be opened."""


class TcpProxies:
    """Keep a listener for each port of a Service that has a ready process behind it, or pods for whom HTTP is answered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = asyncio.Event()
        self._listeners: dict[Address, asyncio.Server] = {}
        self._targets: Mapping[Address, Address] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._closed = False
        store.subscribe(self._on_change)

    async def run(self) -> None:
        """Follow the endpoints until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            services = self._store.list(resources.SERVICES)
            self._targets = dict(pair for service in services for pair in self._pairs(service))
            for address in self._listeners.keys() - self._targets.keys():
                self._listeners.pop(address).close()
            for address in self._targets.keys() - self._listeners.keys():
                try:
                    accept = partial(self._accept, address)
                    server = await asyncio.start_server(accept, *address, start_serving=False)
                    self._listeners[address] = server  # before it serves: who is cancelled then would leave it open
                    await server.start_serving()
                except OSError:
                    asyncio.get_running_loop().call_later(RETRY, self._changed.set)

    async def close(self) -> None:
        """Close every listener and connection."""
        self._closed = True  # what a listener has accepted by now is handed over only later
        for listener in self._listeners.values():
            listener.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _on_change(self, change: Change) -> None:
        if change.resource in (resources.SERVICES, resources.ENDPOINTSLICES):
            self._changed.set()

    def _pairs(self, service: Json) -> list[tuple[Address, Address]]:
        """Return each port of a Service and the port of the first ready process behind it, or that HTTP is answered here."""
        own = service["spec"].get("clusterIP")
        behind = [each["addresses"][0] for each in ready_endpoints(self._store, service)]
        real = [address for address in behind if address.startswith("127.")]
        if not behind or own in (None, "", "None"):
            return []
        if not real:
            http = [port for port in service["spec"]["ports"] if port.get("appProtocol") == "http"]
            return [((own, port["port"]), PLAYED) for port in http]
        ports = zip(service["spec"]["ports"], slices_of(self._store, service)[0]["ports"], strict=True)
        return [((own, port["port"]), (real[0], target["port"])) for port, target in ports]

    def _accept(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        connection = asyncio.create_task(self._connect(address, reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connect(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            target = self._targets[address]
            if target == PLAYED:
                await _answer(reader, writer)
                return
            ahead, onward = await asyncio.open_connection(*target)
            ends.append(onward)
            await asyncio.gather(_pass(reader, onward), _pass(ahead, writer))
        except (OSError, KeyError, EOFError, asyncio.LimitOverrunError):
            pass  # nothing is behind the address any more: whoever asked sees the connection end
        except asyncio.CancelledError:
            for end in ends:
                end.transport.abort()  # what nobody reads any more would keep it open
            raise
        finally:
            for end in ends:
                end.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, as a web server that is well does. Raises EOFError where it ends early."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
    await writer.drain()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends; then end the other side, too."""
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()
