"""
Load balancers: a loopback address for each Service that asks for one, with a real HTTP server behind it.

`/health` answers 200 only while the Service has a ready endpoint, every other path likewise with a page.
"""

import asyncio
import socket
from typing import Final

from aiohttp import web

from kubeobjects import resources
from kubesim.controllers.recorder import Recorder
from kubesim.controllers.services import ready_endpoints
from kubesim.manifest import Json, dig, name_of, namespace_of, uid_of
from kubesim.storage.addresses import Addresses
from kubesim.storage.registry import Registry
from kubesim.storage.store import Change, ChangeType

ATTEMPTS: Final = 20


class Balancers:
    """Open and close the front of every LoadBalancer Service."""

    def __init__(self, registry: Registry, addresses: Addresses) -> None:
        self._registry = registry
        self._addresses = addresses
        self._events = Recorder(registry, "service-controller")
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._services: dict[str, web.AppRunner] = {}
        registry.store.subscribe(self._on_change)

    async def run(self) -> None:
        """Follow the Services until cancelled."""
        while True:
            change = await self._changes.get()
            service, uid = change.object, uid_of(change.object)
            wanted = change.type is not ChangeType.DELETED and service["spec"].get("type") == "LoadBalancer"
            if wanted and uid not in self._services:
                await self._open(service)
            elif not wanted and uid in self._services:
                await self._services.pop(uid).cleanup()

    async def close(self) -> None:
        """Close every front."""
        for runner in self._services.values():
            await runner.cleanup()
        self._services.clear()

    def _on_change(self, change: Change) -> None:
        if change.resource == resources.SERVICES:
            self._changes.put_nowait(change)

    async def _open(self, service: Json) -> None:
        ports = [port["port"] for port in service["spec"]["ports"]]
        try:
            address, sockets = self._bind(ports)
        except OSError as problem:
            message = f"Error syncing load balancer: no loopback address could be bound on ports {ports}: {problem}"
            self._events.warning(resources.SERVICES, service, "SyncLoadBalancerFailed", message)
            return
        runner = web.AppRunner(self._proxy(service), access_log=None, shutdown_timeout=0.1)
        self._services[uid_of(service)] = runner  # from here on `close` knows it
        try:
            await runner.setup()
            for each in sockets:
                await web.SockSite(runner, each).start()
        except asyncio.CancelledError:
            for each in sockets:  # those of a site that has not begun belong to nobody
                each.close()
            raise
        self._write_address(service, address)

    def _bind(self, ports: list[int]) -> tuple[str, list[socket.socket]]:
        """Find an address on which every port is free; raise OSError when no address is free."""
        problem = OSError("no address tried")
        for _ in range(ATTEMPTS):
            address, bound = self._addresses.loopback(), list[socket.socket]()
            try:
                for port in ports:
                    bound.append(socket.create_server((address, port), backlog=128))
            except OSError as refused:
                problem = refused
                for each in bound:
                    each.close()
            else:
                return address, bound
        raise problem

    def _proxy(self, service: Json) -> web.Application:
        namespace, name = namespace_of(service), name_of(service)

        async def answer(request: web.Request) -> web.Response:
            current = self._registry.store.get(resources.SERVICES, namespace, name)
            endpoints = ready_endpoints(self._registry.store, current) if current is not None else []
            if not endpoints:
                return web.Response(status=503, text=f"no ready endpoint for {namespace}/{name}\n")
            served_by = dig(endpoints[0], "targetRef", "name", default="")
            text = "ok\n" if request.path == "/health" else f"{namespace}/{name} {request.path}\n"
            return web.Response(text=text, headers={"X-Served-By": served_by})

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        return app

    def _write_address(self, service: Json, address: str) -> None:
        if self._registry.store.get(resources.SERVICES, namespace_of(service), name_of(service)) is None:
            return
        status = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
        self._registry.set_status(resources.SERVICES, service, status)
