"""The cloud's part in a Service of type LoadBalancer: it gives each one an address, which kube-proxy then routes."""

import socket
import threading
from collections.abc import Mapping
from typing import Any

from tests.harness.access import Access
from tests.harness.api import ApiClient, ApiError, Object

# The node's default route leads over its bridge, where kube-proxy's rules take these addresses up.
ADDRESSES = tuple(f"10.99.0.{host}" for host in range(1, 255))
_AGAIN_AFTER = 0.25


class LoadBalancers:
    """A thread that watches Services and gives each LoadBalancer without an address one."""

    def __init__(self, access: Access) -> None:
        self._api = ApiClient(access, limit=10)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-balancers", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the thread to end: at once when the API server is gone, else at the next change or after 10 s."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._api.changed("services", self._look())
            except TimeoutError:
                # Nothing has changed for so long.
                continue
            except (ApiError, OSError, ValueError):
                # The API server is stopped or frozen by a test, or the service is gone again: look later.
                self._over.wait(_AGAIN_AFTER)

    def _look(self) -> str:
        found = self._api.request("GET", self._api.resource("services").path(None))
        services = [each for each in found["items"] if each["spec"]["type"] == "LoadBalancer"]
        taken = {address_of(each) for each in services}
        free = (address for address in ADDRESSES if address not in taken)
        for service in services:
            if address_of(service) is None:
                self._give(service, next(free))
        version: str = found["metadata"]["resourceVersion"]
        return version

    def _give(self, service: Object, address: str) -> None:
        status = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
        metadata = service["metadata"]
        self._api.patch("service", metadata["name"], {"status": status}, metadata["namespace"], sub="status")


def address_of(service: Mapping[str, Any]) -> str | None:
    """Return the address that a Service was given, or None."""
    ingress = service["status"].get("loadBalancer", {}).get("ingress") or [{}]
    address: str | None = ingress[0].get("ip") or ingress[0].get("hostname")
    return address


def is_routed(address: str, port: int) -> bool:
    """Return whether kube-proxy has taken an address up: with pods behind it connects, without any it is refused."""
    try:
        with socket.create_connection((address, port), timeout=0.5):
            return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
