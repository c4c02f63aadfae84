"""The node controller: renews the leases of nodes, and marks those that stop."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from kubeobjects import resources
from kubesim.cluster_time import ClusterTime
from kubesim.controllers.control import Controller, Key
from kubesim.faults import Faults
from kubesim.manifest import (
    Json,
    condition_entry,
    dig,
    is_true,
    micro_timestamp,
    name_of,
    timestamp,
    with_condition,
)
from kubesim.storage.addresses import HOST
from kubesim.storage.registry import Registry
from kubesim.storage.store import Change

LEASES_IN: Final = "kube-node-lease"
RENEW: Final = timedelta(seconds=10)
GRACE: Final = timedelta(seconds=40)
CAPACITY: Final = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
HEALTHY: Final = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
}


class Nodes(Controller):
    """Renews the leases of living nodes, and marks a silent one."""

    def __init__(self, registry: Registry, time: ClusterTime, faults: Faults) -> None:
        super().__init__(registry)
        self._time = time
        self._faults = faults
        self._renewed: dict[str, float] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a node when it changes."""
        if change.resource == resources.NODES:
            yield (None, name_of(change.object))

    def reconcile(self, key: Key) -> float | None:
        """Renew a node's lease when it is due; mark the node when its lease has run out."""
        node = self._store.get(resources.NODES, *key)
        if node is None:
            return None
        name, now = name_of(node), self._time.clock()
        if not self._faults.is_down(name):
            self._renew(name, now)
        elif now - self._renewed.get(name, 0.0) >= self._time.seconds(GRACE):
            self._lose(node)
        return self._time.seconds(RENEW) / 4

    def _renew(self, name: str, now: float) -> None:
        if now - self._renewed.get(name, -1e9) < self._time.seconds(RENEW):
            return
        self._renewed[name] = now
        moment = micro_timestamp(self._registry.now())
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": moment}
        if self._store.get(resources.LEASES, LEASES_IN, name) is None:
            self._registry.create(resources.LEASES, LEASES_IN, {"metadata": {"name": name}, "spec": spec})
        else:
            self._registry.update(resources.LEASES, LEASES_IN, name, lambda lease: {**lease, "spec": spec})

    def _lose(self, node: Json) -> None:
        if not is_true(node, "Ready"):
            return
        moment = timestamp(self._registry.now())
        message = "Kubelet stopped posting node status."
        entry = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": message}
        entry |= {"lastHeartbeatTime": moment, "lastTransitionTime": moment}
        status = {**node["status"], "conditions": with_condition(node["status"]["conditions"], entry)}
        self._registry.set_status(resources.NODES, node, status)
        for pod in self._store.list(resources.PODS):
            if dig(pod, "spec", "nodeName") == name_of(node):
                self._mark_unready(pod)

    def _mark_unready(self, pod: Json) -> None:
        entry = condition_entry(pod, "Ready", self._registry.now(), holds=False)
        conditions = with_condition(dig(pod, "status", "conditions", default=()), entry)
        self._registry.set_status(resources.PODS, pod, {**pod["status"], "conditions": conditions})


def new_node(name: str, moment: datetime) -> tuple[Json, Json]:
    """Describe a healthy node: what is created, and the status that its kubelet writes."""
    stamp = timestamp(moment)
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    conditions = [
        {"type": kind, "status": status, "reason": reason, "message": message}
        | {"lastHeartbeatTime": stamp, "lastTransitionTime": stamp}
        for kind, (status, reason, message) in HEALTHY.items()
    ]
    status = {
        "capacity": CAPACITY,
        "allocatable": CAPACITY,
        "conditions": conditions,
        "addresses": [{"type": "InternalIP", "address": HOST}, {"type": "Hostname", "address": name}],
        "nodeInfo": {"kubeletVersion": "v1.34.4", "operatingSystem": "linux", "architecture": "amd64"},
    }
    return {"metadata": {"name": name, "labels": labels}, "spec": {}}, status
