"""The volume controller: binds claims to volumes, marks lost claims, and releases volumes."""

from collections.abc import Iterable

from kubeobjects import resources
from kubeobjects.quantities import quantity
from kubesim.controllers.control import Controller, Key
from kubesim.controllers.recorder import Recorder
from kubesim.manifest import Json, annotations_of, deleting, dig, name_of, namespace_of, timestamp, uid_of
from kubesim.storage.registry import Registry
from kubesim.storage.store import Change, Store

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
STATIC_ONLY = "kubernetes.io/no-provisioner"


class Claims(Controller):
    """Bind claims to volumes, and write down what has become of them."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._events = Recorder(registry, "persistentvolume-controller")

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a claim when it changes, at every claim when a volume does, and at a pod's claims when it goes."""
        if change.resource == resources.PVCS:
            yield (namespace_of(change.object), name_of(change.object))
        if change.resource in (resources.PVS, resources.STORAGECLASSES, resources.PODS):
            for claim in self._store.list(resources.PVCS):
                if change.resource != resources.PODS or deleting(claim):
                    yield (namespace_of(claim), name_of(claim))

    def reconcile(self, key: Key) -> float | None:
        """Take one claim as far as it can go."""
        claim = self._store.get(resources.PVCS, *key)
        if claim is None:
            return None
        if deleting(claim):
            if not self._in_use(claim):
                self._registry.drop_finalizer(resources.PVCS, claim, "kubernetes.io/pvc-protection")
            return None
        if dig(claim, "spec", "volumeName") and annotations_of(claim).get("pv.kubernetes.io/bind-completed"):
            self._check_volume(claim)
        else:
            self._find_volume(claim)
        return None

    def _check_volume(self, claim: Json) -> None:
        volume = self._store.get(resources.PVS, None, claim["spec"]["volumeName"])
        if volume is not None and dig(volume, "spec", "claimRef", "uid") == uid_of(claim):
            self._expand(claim, volume)
            return
        if claim["status"]["phase"] != "Lost":
            self._store.put(resources.PVCS, {**claim, "status": {"phase": "Lost"}})
            message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            self._events.warning(resources.PVCS, claim, "ClaimLost", message)

    def _expand(self, claim: Json, volume: Json) -> None:
        """Enlarge the volume of a claim that asks for more than it has, where a provisioner can."""
        size = claim["spec"]["resources"]["requests"]["storage"]
        provisioned = "pv.kubernetes.io/provisioned-by" in annotations_of(volume)
        if not provisioned or quantity(size) <= quantity(dig(claim, "status", "capacity", "storage")):
            return
        capacity = {"storage": size}
        self._store.put(resources.PVS, {**volume, "spec": {**volume["spec"], "capacity": capacity}})
        self._store.put(resources.PVCS, {**claim, "status": {**claim["status"], "capacity": capacity}})
        self._events.normal(
            resources.PVCS, claim, "FileSystemResizeSuccessful", "MountVolume.NodeExpandVolume succeeded"
        )

    def _find_volume(self, claim: Json) -> None:
        claim = self._with_class(claim)
        volume = best_volume(self._store, claim)
        if volume is None:
            volume = self._provision(claim)
        if volume is None:
            why = "no persistent volumes available for this claim and no storage class is set"
            if dig(claim, "spec", "storageClassName"):
                why = f'storageclass.storage.k8s.io "{claim["spec"]["storageClassName"]}" not found'
            self._events.normal(resources.PVCS, claim, "FailedBinding", why)
            return
        self._bind(claim, volume)

    def _with_class(self, claim: Json) -> Json:
        """Return a claim that names no class the default one."""
        if dig(claim, "spec", "storageClassName", default=None) is not None:
            return claim
        for each in self._store.list(resources.STORAGECLASSES):
            if annotations_of(each).get(DEFAULT_CLASS) == "true":
                spec = {**claim["spec"], "storageClassName": name_of(each)}
                return self._store.put(resources.PVCS, {**claim, "spec": spec})
        return claim

    def _provision(self, claim: Json) -> Json | None:
        storage = self._store.get(resources.STORAGECLASSES, None, dig(claim, "spec", "storageClassName", default=""))
        wants_one = dig(claim, "spec", "volumeName")
        if storage is None or storage["provisioner"] == STATIC_ONLY or wants_one:
            return None
        spec = {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "storageClassName": name_of(storage),
            "persistentVolumeReclaimPolicy": storage["reclaimPolicy"],
            "hostPath": {"path": f"/volumes/{uid_of(claim)}"},
        }
        annotations = {"pv.kubernetes.io/provisioned-by": storage["provisioner"]}
        body = {"metadata": {"name": f"pvc-{uid_of(claim)}", "annotations": annotations}, "spec": spec}
        return self._registry.create(resources.PVS, None, body)

    def _bind(self, claim: Json, volume: Json) -> None:
        reference = {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": namespace_of(claim),
            "name": name_of(claim),
            "uid": uid_of(claim),
            "resourceVersion": claim["metadata"]["resourceVersion"],
        }
        owned = {**annotations_of(volume), "pv.kubernetes.io/bound-by-controller": "yes"}
        bound = {**volume, "metadata": {**volume["metadata"], "annotations": owned}}
        bound |= {"spec": {**volume["spec"], "claimRef": reference}, "status": _phase(self._registry, "Bound")}
        annotations = {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}
        metadata = {**claim["metadata"], "annotations": {**annotations_of(claim), **annotations}}
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"]["accessModes"],
            "capacity": volume["spec"]["capacity"],
        }
        spec = {**claim["spec"], "volumeName": name_of(volume)}
        self._store.put(resources.PVS, bound)
        self._store.put(resources.PVCS, {**claim, "metadata": metadata, "spec": spec, "status": status})

    def _in_use(self, claim: Json) -> bool:
        """Return whether a pod that is on a node uses a claim; one that still waits for a node does not count."""
        return any(
            dig(volume, "persistentVolumeClaim", "claimName") == name_of(claim)
            for pod in self._store.list(resources.PODS, namespace_of(claim))
            if dig(pod, "spec", "nodeName") and dig(pod, "status", "phase") not in ("Succeeded", "Failed")
            for volume in dig(pod, "spec", "volumes", default=())
        )


class Volumes(Controller):
    """Keep the phase of volumes."""

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a volume when it or its claim changes."""
        if change.resource == resources.PVS:
            yield (None, name_of(change.object))
        if change.resource == resources.PVCS and dig(change.object, "spec", "volumeName"):
            yield (None, change.object["spec"]["volumeName"])

    def reconcile(self, key: Key) -> float | None:
        """Write the phase of one volume; one that is deleted goes when nothing is bound to it."""
        volume = self._store.get(resources.PVS, *key)
        if volume is None:
            return None
        reference = dig(volume, "spec", "claimRef", default={})
        claim = self._store.get(resources.PVCS, reference.get("namespace"), reference.get("name", ""))
        bound = claim is not None and uid_of(claim) == reference.get("uid")
        phase = "Bound" if bound else ("Released" if reference.get("uid") else "Available")
        if dig(volume, "status", "phase") != phase:
            volume = self._store.put(resources.PVS, {**volume, "status": _phase(self._registry, phase)})
        if not bound and deleting(volume):
            self._registry.drop_finalizer(resources.PVS, volume, "kubernetes.io/pv-protection")
        elif phase == "Released" and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            self._registry.delete_now(resources.PVS, volume)
        return None


def best_volume(store: Store, claim: Json) -> Json | None:
    """Find the smallest free volume that meets a claim, or the one that is meant for it."""
    free = [volume for volume in store.list(resources.PVS) if not deleting(volume) and _meets(volume, claim)]
    return min(free, key=lambda volume: quantity(volume["spec"]["capacity"]["storage"]), default=None)


def _meets(volume: Json, claim: Json) -> bool:
    spec, wanted = volume["spec"], claim["spec"]
    reference = spec.get("claimRef") or {}
    if reference and (reference.get("namespace"), reference.get("name")) != (namespace_of(claim), name_of(claim)):
        return False
    if reference.get("uid") not in (None, "", uid_of(claim)):
        return False
    if wanted.get("volumeName") not in (None, "", name_of(volume)):
        return False
    return (
        spec.get("storageClassName", "") == (wanted.get("storageClassName") or "")
        and set(wanted["accessModes"]) <= set(spec["accessModes"])
        and quantity(spec["capacity"]["storage"]) >= quantity(wanted["resources"]["requests"]["storage"])
    )


def _phase(registry: Registry, phase: str) -> Json:
    return {"phase": phase, "lastPhaseTransitionTime": timestamp(registry.now())}
