"""
The way to real programs: behind the address of a Service whose pods are processes, connections are passed on to them.

What kube-proxy does: a port is open while a pod behind it is ready, and refuses otherwise.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

from kintsugi.objects import resources
from kintsugi.rehearsal.manifest import Json
from kintsugi.rehearsal.services import ready_endpoints, slices_of
from kintsugi.rehearsal.store import Change, Store

Address = tuple[str, int]

CHUNK: Final = 256 * 1024
"""Bytes that are passed on at once."""

RETRY: Final = 1.0
"""Seconds until a port is tried again that could not be opened."""


class Relays:
    """Keep a listener for each port of a Service that has a ready process behind it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = asyncio.Event()
        self._listeners: dict[Address, asyncio.Server] = {}
        self._targets: Mapping[Address, Address] = {}
        self._connections: set[asyncio.Task[None]] = set()
        store.subscribe(self._on_change)

    async def run(self) -> None:
        """Follow the endpoints until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._targets = dict(self._wanted())
            for address in self._listeners.keys() - self._targets.keys():
                self._listeners.pop(address).close()
            for address in self._targets.keys() - self._listeners.keys():
                try:
                    self._listeners[address] = await asyncio.start_server(partial(self._accept, address), *address)
                except OSError:
                    asyncio.get_running_loop().call_later(RETRY, self._changed.set)

    async def close(self) -> None:
        """Close every listener and connection."""
        for listener in self._listeners.values():
            listener.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _on_change(self, change: Change) -> None:
        if change.resource in (resources.SERVICES, resources.ENDPOINTSLICES):
            self._changed.set()

    def _wanted(self) -> list[tuple[Address, Address]]:
        return [pair for service in self._store.list(resources.SERVICES) for pair in self._pairs(service)]

    def _pairs(self, service: Json) -> list[tuple[Address, Address]]:
        """Give each port of a Service and the port of the first ready process behind it."""
        own = service["spec"].get("clusterIP")
        behind = [each["addresses"][0] for each in ready_endpoints(self._store, service)]
        real = [address for address in behind if address.startswith("127.")]
        if not real or own in (None, "", "None"):
            return []
        ports = zip(service["spec"]["ports"], slices_of(self._store, service)[0]["ports"], strict=True)
        return [((own, port["port"]), (real[0], target["port"])) for port, target in ports]

    def _accept(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._connect(address, reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connect(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            ahead, onward = await asyncio.open_connection(*self._targets[address])
        except (OSError, KeyError):
            writer.close()
            return
        try:
            await asyncio.gather(_pass(reader, onward), _pass(ahead, writer))
        finally:
            writer.close()
            onward.close()


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
