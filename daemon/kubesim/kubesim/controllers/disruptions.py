"""Disruption budgets: the number of pods that may be disrupted, and evictions that respect it."""

from collections.abc import Iterable
from typing import Final

from kubeobjects import resources
from kubesim.controllers.control import Controller, Key
from kubesim.controllers.workload_pods import active
from kubesim.manifest import Json, is_true, labels_of, name_of, namespace_of
from kubesim.storage.defaults import percentage
from kubesim.storage.registry import DeleteOptions, Registry
from kubesim.storage.selectors import matches
from kubesim.storage.status import too_many_requests
from kubesim.storage.store import Change, Store

REFUSED: Final = "Cannot evict pod as it would violate the pod's disruption budget."
EVICTED: Final[Json] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Disruptions(Controller):
    """Keep the status of PodDisruptionBudgets."""

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a budget when it changes, and when one of its pods does."""
        namespace = namespace_of(change.object)
        if change.resource == resources.PDBS:
            yield (namespace, name_of(change.object))
        if change.resource == resources.PODS:
            for budget in self._store.list(resources.PDBS, namespace):
                if matches(budget["spec"].get("selector"), labels_of(change.object)):
                    yield (namespace, name_of(budget))

    def reconcile(self, key: Key) -> float | None:
        """Count the pods of one budget."""
        budget = self._store.get(resources.PDBS, *key)
        if budget is None:
            return None
        pods = _pods_of(self._store, budget)
        healthy = len([pod for pod in pods if is_true(pod, "Ready")])
        desired = _desired(budget["spec"], len(pods))
        status: Json = {
            **budget["status"],
            "expectedPods": len(pods),
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": max(0, healthy - desired) if pods else 0,
            "observedGeneration": budget["metadata"].get("generation", 1),
        }
        self._registry.set_status(resources.PDBS, budget, status)
        return None


def evict(registry: Registry, namespace: str | None, name: str, eviction: Json) -> Json:
    """Delete a pod if its budgets allow it; raise ApiRefusal 429 when one does not."""
    pod = registry.get(resources.PODS, namespace, name)
    options = DeleteOptions.read(eviction.get("deleteOptions") or {}, {})
    budgets = [
        budget
        for budget in registry.store.list(resources.PDBS, namespace)
        if matches(budget["spec"].get("selector"), labels_of(pod))
    ]
    for budget in budgets:
        if is_true(pod, "Ready") and budget["status"]["disruptionsAllowed"] < 1:
            raise too_many_requests(REFUSED, causes=[_cause(budget)])
    registry.delete(resources.PODS, namespace, name, options)
    return EVICTED


def _cause(budget: Json) -> Json:
    status = budget["status"]
    message = (
        f"The disruption budget {name_of(budget)} needs {status['desiredHealthy']} healthy pods "
        f"and has {status['currentHealthy']} currently"
    )
    return {"reason": "DisruptionBudget", "message": message}


def _pods_of(store: Store, budget: Json) -> list[Json]:
    return [
        pod
        for pod in store.list(resources.PODS, namespace_of(budget))
        if matches(budget["spec"].get("selector"), labels_of(pod)) and active(pod)
    ]


def _desired(spec: Json, total: int) -> int:
    if spec.get("maxUnavailable") is not None:
        return max(0, total - percentage(spec["maxUnavailable"], total, up=True))
    return percentage(spec.get("minAvailable", 1), total, up=True)
