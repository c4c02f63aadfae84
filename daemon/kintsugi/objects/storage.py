"""The kept fields of volumes: claims, volumes and storage classes."""

from kintsugi.objects.metadata import Condition, Kept, Object, ObjectReference
from kintsugi.objects.pods import Requirements


class ClaimSpec(Kept):
    """What was asked for. `volumeName` is set once the claim is bound, or was bound by hand."""

    access_modes: tuple[str, ...] = ()
    storage_class_name: str | None = None
    volume_name: str = ""
    volume_mode: str = "Filesystem"
    resources: Requirements = Requirements()


class ClaimStatus(Kept):
    """Pending, Bound or Lost."""

    phase: str = ""
    access_modes: tuple[str, ...] = ()
    capacity: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()


class PersistentVolumeClaim(Object):
    """A PersistentVolumeClaim."""

    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()


class VolumeSpec(Kept):
    """What was asked for. `persistentVolumeReclaimPolicy` is Retain, Delete or Recycle."""

    access_modes: tuple[str, ...] = ()
    capacity: dict[str, str] = {}
    claim_ref: ObjectReference | None = None
    persistent_volume_reclaim_policy: str = ""
    storage_class_name: str = ""
    volume_mode: str = "Filesystem"


class VolumeStatus(Kept):
    """Pending, Available, Bound, Released or Failed."""

    phase: str = ""
    reason: str = ""
    message: str = ""


class PersistentVolume(Object):
    """A PersistentVolume."""

    spec: VolumeSpec = VolumeSpec()
    status: VolumeStatus = VolumeStatus()


class StorageClass(Object):
    """A StorageClass."""

    provisioner: str = ""
    reclaim_policy: str = "Delete"
    volume_binding_mode: str = "Immediate"
    allow_volume_expansion: bool = False
