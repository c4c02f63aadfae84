"""
The ReplicaSet controller: as many pods as are wanted, and their count in the status.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from kubeobjects import resources
from kubesim.cluster_time import ClusterTime
from kubesim.controllers.control import Controller, Key
from kubesim.controllers.recorder import Recorder
from kubesim.controllers.workload_pods import active, is_available, keys_about, owned, pod_from, released, removal_rank
from kubesim.manifest import Json, deleting, is_true, labels_of, name_of, namespace_of
from kubesim.storage.registry import DeleteOptions, Registry
from kubesim.storage.selectors import matches
from kubesim.storage.store import Change

REQUEUE_AFTER: Final = timedelta(seconds=1)


class ReplicaSets(Controller):
    """Keep the number of pods of each ReplicaSet."""

    def __init__(self, registry: Registry, time: ClusterTime) -> None:
        super().__init__(registry)
        self._time = time
        self._events = Recorder(registry, "replicaset-controller")

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a ReplicaSet when it or one of its pods changes."""
        return keys_about(resources.REPLICASETS, change)

    def reconcile(self, key: Key) -> float | None:
        """Make or remove pods, then write the status."""
        found = self._store.get(resources.REPLICASETS, *key)
        if found is None or deleting(found):
            return None
        pods = released(self._store, found, owned(self._store, resources.PODS, found))
        living = [pod for pod in pods if active(pod)]
        missing = found["spec"]["replicas"] - len(living)
        for _ in range(missing):
            self._make(found)
        for pod in sorted(living, key=removal_rank)[: max(0, -missing)]:
            self._remove(found, pod)
        return self._write_status(found)

    def _make(self, owner: Json) -> None:
        pod = self._registry.create(resources.PODS, namespace_of(owner), pod_from(owner, owner["spec"]["template"]))
        self._events.normal(resources.REPLICASETS, owner, "SuccessfulCreate", f"Created pod: {name_of(pod)}")

    def _remove(self, owner: Json, pod: Json) -> None:
        self._registry.delete(resources.PODS, namespace_of(pod), name_of(pod), DeleteOptions())
        self._events.normal(resources.REPLICASETS, owner, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")

    def _write_status(self, found: Json) -> float | None:
        pods = [pod for pod in owned(self._store, resources.PODS, found) if active(pod)]
        min_ready = found["spec"].get("minReadySeconds", 0)
        ready = [pod for pod in pods if is_true(pod, "Ready")]
        available = [pod for pod in ready if is_available(pod, min_ready, self._time)]
        template = {"matchLabels": labels_of(found["spec"]["template"])}
        counts = {
            "fullyLabeledReplicas": len([pod for pod in pods if matches(template, labels_of(pod))]),
            "readyReplicas": len(ready),
            "availableReplicas": len(available),
        }
        status = {"replicas": len(pods), "observedGeneration": found["metadata"].get("generation", 1)}
        status |= {key: value for key, value in counts.items() if value}
        self._registry.set_status(resources.REPLICASETS, found, status)
        return self._time.seconds(REQUEUE_AFTER) if len(available) < len(ready) else None
