"""A real CoreDNS beside the cluster: what answers the names of Services, `database.production`, to its pods."""

from urllib.request import ProxyHandler, build_opener

from tests.harness.cluster import Cluster
from tests.harness.network import NODE_ADDRESS
from tests.harness.parts import parts
from tests.harness.processes import Program
from tests.harness.waiting import HopelessError, wait_for

DOMAIN = "cluster.local"
_READY = f"{NODE_ADDRESS}:8181"
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
_DIRECT = build_opener(ProxyHandler({}))


class CoreDns:
    """One CoreDNS of a cluster of our own; every pod is told its address by the kubelet."""

    def __init__(self, cluster: Cluster) -> None:
        """Write its configuration; nothing runs yet. Raises NotOursError for a lent cluster, PartsError without its binary."""
        layout = cluster.machine.layout
        text = _COREFILE.format(
            address=NODE_ADDRESS,
            ready=_READY,
            domain=DOMAIN,
            kubeconfig=layout.login("system:coredns", "system:masters"),
        )
        self._program = Program(
            name="coredns",
            arguments=[str(parts("coredns").binary("coredns")), "-conf", str(layout.file("Corefile", text))],
            log=layout.folder / "coredns.log",
        )

    def start(self) -> None:
        """Start it and wait until it knows the cluster's Services."""
        self._program.start()
        wait_for(self._is_ready, within=60, describe=self._program.tail)

    def stop(self) -> None:
        """Stop it."""
        self._program.stop()

    def _is_ready(self) -> bool:
        if self._program.pid is None:
            raise HopelessError(f"CoreDNS ended by itself:\n{self._program.tail()}")
        with _DIRECT.open(f"http://{_READY}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
