"""
The embedded cluster: a small Kubernetes in this process, for demonstrations and fast tests.

    async with EmbeddedCluster.start(speed=10) as cluster:
        cluster.apply(manifest)
        cluster.kubeconfig(path)

`in_background` runs one for a caller without an event loop. `cluster.faults` break pods and templates,
`cluster.api_faults` the API; `cluster.requests` is the audit log.
"""

from kubesim.apiserver.api_faults import Fault, FaultKind
from kubesim.apiserver.audit import Request
from kubesim.apiserver.rights import ALL, Rule
from kubesim.background import BackgroundCluster, in_background
from kubesim.cluster import EmbeddedCluster
from kubesim.errors import KubesimError
from kubesim.faults import PodFault
from kubesim.images import CRASHING, GOOD, NEVER_READY, TASK, ExecReply, Image

__all__ = [
    "ALL",
    "CRASHING",
    "GOOD",
    "NEVER_READY",
    "TASK",
    "BackgroundCluster",
    "EmbeddedCluster",
    "ExecReply",
    "Fault",
    "FaultKind",
    "Image",
    "KubesimError",
    "PodFault",
    "Request",
    "Rule",
    "in_background",
]
