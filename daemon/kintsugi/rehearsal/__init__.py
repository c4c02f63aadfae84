"""
The embedded cluster: a small Kubernetes in this process, for demonstrations, rehearsals and fast tests.

    async with EmbeddedCluster.start(speed=10) as cluster:
        cluster.apply(manifest)
        cluster.kubeconfig(path)

`cluster.faults` break pods and templates, `cluster.api_faults` the API; `cluster.requests` is the witness.
"""

from kintsugi.rehearsal.api_faults import Fault, FaultKind
from kintsugi.rehearsal.audit import Request
from kintsugi.rehearsal.cluster import EmbeddedCluster, RehearsalError
from kintsugi.rehearsal.faults import Ailment
from kintsugi.rehearsal.images import CRASHING, GOOD, NEVER_READY, TASK, Image, Spoken
from kintsugi.rehearsal.rights import ALL, Rule

__all__ = [
    "ALL",
    "CRASHING",
    "GOOD",
    "NEVER_READY",
    "TASK",
    "Ailment",
    "EmbeddedCluster",
    "Fault",
    "FaultKind",
    "Image",
    "RehearsalError",
    "Request",
    "Rule",
    "Spoken",
]
