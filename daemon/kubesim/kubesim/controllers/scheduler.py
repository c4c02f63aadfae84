"""The scheduler: finds a node for each pod, or writes the reason for none."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from kubeobjects import resources
from kubeobjects.quantities import quantity
from kubesim.cluster_time import ClusterTime
from kubesim.controllers.control import Controller, Key
from kubesim.controllers.recorder import Recorder
from kubesim.faults import Faults, PodFault
from kubesim.manifest import (
    Json,
    condition_entry,
    deleting,
    dig,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    with_condition,
)
from kubesim.storage.registry import Registry
from kubesim.storage.store import Change

RETRY: Final = timedelta(seconds=2)
NAME: Final = "default-scheduler"
INSUFFICIENT_CPU: Final = "Insufficient cpu"


class Scheduler(Controller):
    """Bind pods to nodes."""

    def __init__(self, registry: Registry, time: ClusterTime, faults: Faults) -> None:
        super().__init__(registry)
        self._time = time
        self._faults = faults
        self._events = Recorder(registry, NAME)

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at every pod that has no node yet."""
        if change.resource == resources.PODS and _is_ours(change.object):
            yield (namespace_of(change.object), name_of(change.object))

    def reconcile(self, key: Key) -> float | None:
        """Find a node for a pod, or write the reason for none and retry later."""
        pod = self._store.get(resources.PODS, *key)
        if pod is None or deleting(pod) or dig(pod, "spec", "nodeName"):
            return None
        problem = self._claims_problem(pod)
        nodes = self._store.list(resources.NODES)
        reasons = [self._objection(pod, node) for node in nodes]
        fitting = [node for node, reason in zip(nodes, reasons, strict=True) if not reason]
        if problem or not fitting:
            self._refuse(pod, problem or _explain([reason for reason in reasons if reason], len(nodes)))
            return self._time.seconds(RETRY)
        self._bind(pod, min(fitting, key=lambda node: len(self._pods_on(node))))
        return None

    def _pods_on(self, node: Json) -> list[Json]:
        return [pod for pod in self._store.list(resources.PODS) if dig(pod, "spec", "nodeName") == name_of(node)]

    def _claims_problem(self, pod: Json) -> str:
        for volume in dig(pod, "spec", "volumes", default=()):
            name = dig(volume, "persistentVolumeClaim", "claimName")
            if not name:
                continue
            claim = self._store.get(resources.PVCS, namespace_of(pod), name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            phase, volume_name = claim["status"]["phase"], dig(claim, "spec", "volumeName")
            if phase == "Lost":
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume_name}"'
            if phase != "Bound":
                return "pod has unbound immediate PersistentVolumeClaims"
        return ""

    def _objection(self, pod: Json, node: Json) -> str:
        """Return why a node cannot take a pod; empty when it can."""
        wanted = dig(pod, "spec", "nodeSelector", default={})
        if self._faults.has(pod, PodFault.UNSCHEDULABLE):
            return INSUFFICIENT_CPU
        if dig(node, "spec", "unschedulable"):
            return "node(s) were unschedulable"
        if not is_true(node, "Ready"):
            return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
        if any(labels_of(node).get(key) != value for key, value in wanted.items()):
            return "node(s) didn't match Pod's node affinity/selector"
        used = sum((_cpu(each) for each in self._pods_on(node)), Decimal(0))
        return INSUFFICIENT_CPU if used + _cpu(pod) > quantity(dig(node, "status", "allocatable", "cpu")) else ""

    def _refuse(self, pod: Json, why: str) -> None:
        entry = condition_entry(pod, "PodScheduled", self._registry.now(), holds=False)
        entry |= {"reason": "Unschedulable", "message": why}
        conditions = with_condition(dig(pod, "status", "conditions", default=()), entry)
        status = {**pod["status"], "conditions": conditions}
        if status != pod["status"]:
            self._store.put(resources.PODS, {**pod, "status": status})
            self._events.warning(resources.PODS, pod, "FailedScheduling", why)

    def _bind(self, pod: Json, node: Json) -> None:
        # the node's name is immutable to clients: the binding is written past the registry's validation
        entry = condition_entry(pod, "PodScheduled", self._registry.now(), holds=True)
        conditions = with_condition(dig(pod, "status", "conditions", default=()), entry)
        bound = {**pod, "spec": {**pod["spec"], "nodeName": name_of(node)}}
        self._store.put(resources.PODS, {**bound, "status": {**pod["status"], "conditions": conditions}})
        message = f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {name_of(node)}"
        self._events.normal(resources.PODS, pod, "Scheduled", message)


def _is_ours(pod: Json) -> bool:
    return not dig(pod, "spec", "nodeName") and dig(pod, "spec", "schedulerName") == NAME


def _cpu(pod: Json) -> Decimal:
    requests = (dig(each, "resources", "requests", "cpu") for each in pod["spec"]["containers"])
    return sum((quantity(request) for request in requests), Decimal(0))


def _explain(reasons: Sequence[str], total: int) -> str:
    if not total:
        return "no nodes available to schedule pods"
    counts = ", ".join(f"{reasons.count(reason)} {reason}" for reason in sorted(set(reasons)))
    return f"0/{total} nodes are available: {counts}. preemption: 0/{total} nodes are available: {total} No preemption victims found for incoming pod."
