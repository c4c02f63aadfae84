"""A real CoreDNS beside the cluster: what answers the names of Services, `database.production`, to its pods."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import ProxyHandler, build_opener

from tests.harness.cluster import RealCluster
from tests.harness.network import NODE_ADDRESS
from tests.harness.parts import parts
from tests.harness.processes import Program
from tests.harness.waiting import HopelessError, wait_for

DOMAIN = "cluster.local"
_READY = 8181
_COREFILE = """\
.:53 {{
    bind {address}
    errors
    ready {ready}
    kubernetes {domain} {{
        kubeconfig {kubeconfig}
    }}
}}
"""
_RESOLV_CONF = "nameserver {address}\nsearch svc.{domain} {domain}\noptions ndots:5\n"
_DIRECT = build_opener(ProxyHandler({}))


class CoreDns:
    """One CoreDNS of a cluster of our own; every pod is told the node's address by the kubelet, another one is for whoever is told."""

    def __init__(self, cluster: RealCluster, *, address: str = NODE_ADDRESS) -> None:
        """Write its configuration; nothing runs yet. Raises NotOursError for a lent cluster, PartsError without its binary."""
        layout = self._layout = cluster.machine.layout
        self._address = address
        name = "coredns" if address == NODE_ADDRESS else f"coredns-{address}"
        text = _COREFILE.format(
            address=address,
            ready=f"{address}:{_READY}",
            domain=DOMAIN,
            kubeconfig=layout.login("system:coredns", "system:masters"),
        )
        self._program = Program(
            name=name,
            arguments=[str(parts("coredns").binary("coredns")), "-conf", str(layout.file(f"Corefile-{name}", text))],
            log=layout.folder / f"{name}.log",
        )

    def start(self) -> None:
        """Start it and wait until it knows the cluster's Services."""
        self._program.start()
        wait_for(self._is_ready, within=60, describe=self._program.tail)

    def stop(self) -> None:
        """Stop it."""
        self._program.stop()

    @contextmanager
    def asked_here(self) -> Iterator[None]:
        """Let what runs beside the cluster, in the run's own mounts, ask it for names, as its pods do."""
        file = self._layout.file("resolv.conf", _RESOLV_CONF.format(address=self._address, domain=DOMAIN))
        subprocess.run(["mount", "--bind", str(file), "/etc/resolv.conf"], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "/etc/resolv.conf"], check=True)

    def _is_ready(self) -> bool:
        if self._program.pid is None:
            raise HopelessError(f"CoreDNS ended by itself:\n{self._program.tail()}")
        with _DIRECT.open(f"http://{self._address}:{_READY}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
