"""What enforces NetworkPolicies in a cluster of our own: kube-network-policies, which judges the first packet of each connection."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.cluster import RealCluster
from tests.harness.components import NODE, POD_RANGE
from tests.harness.parts import parts
from tests.harness.processes import Program
from tests.harness.waiting import HopelessError, wait_for

_QUEUE = 100
# Its own rules need nftables with queues, which a kernel may lack; these say the same of TCP to pods. What comes from the node
# itself does not come this way: no NetworkPolicy is about it. Once the controller is gone nothing is held up.
_RULE = f"FORWARD -p tcp --syn -d {POD_RANGE} -j NFQUEUE --queue-num {_QUEUE} --queue-bypass".split()


@contextmanager
def enforced(cluster: RealCluster) -> Iterator[None]:
    """Have the NetworkPolicies of a cluster of our own enforced. Raises PartsError without the controller's binary."""
    layout = cluster.machine.layout
    controller = Program(
        name="network-policies",
        arguments=[
            str(parts("network-policies").binary("network-policies")),
            f"--kubeconfig={layout.login('system:network-policies', 'system:masters')}",
            f"--node={NODE}",
            f"--queue={_QUEUE}",
        ],
        log=layout.folder / "network-policies.log",
    )
    controller.start()
    try:
        wait_for(lambda: _listens(controller), within=60, describe=controller.tail)
        subprocess.run(["iptables", "-I", *_RULE], check=True)
        try:
            yield
        finally:
            subprocess.run(["iptables", "-D", *_RULE], check=True)
    finally:
        controller.stop()


def _listens(controller: Program) -> bool:
    """Return whether packets of the queue are taken: the kernel lists it with the process that does."""
    if controller.pid is None:
        raise HopelessError(f"network-policies ended by itself:\n{controller.tail()}")
    queues = Path(f"/proc/{controller.pid}/net/netfilter/nfnetlink_queue").read_text().splitlines()
    return any(line.split()[0] == str(_QUEUE) for line in queues)
