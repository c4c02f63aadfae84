"""The kept fields of volumes: claims, volumes and storage classes."""

import msgspec

from kubeobjects.metadata import Condition, Object, ObjectReference, PartialObject
from kubeobjects.pods import Requirements


class ClaimSpec(PartialObject, frozen=True):
    """The desired state. `volumeName` is set once the claim is bound, or was bound by hand."""

    access_modes: tuple[str, ...] = ()
    storage_class_name: str | None = None
    volume_name: str = ""
    volume_mode: str = "Filesystem"
    resources: Requirements = Requirements()


class ClaimStatus(PartialObject, frozen=True):
    """Pending, Bound or Lost."""

    phase: str = ""
    access_modes: tuple[str, ...] = ()
    capacity: dict[str, str] = msgspec.field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


class PersistentVolumeClaim(Object, frozen=True):
    """A PersistentVolumeClaim."""

    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()


class VolumeSpec(PartialObject, frozen=True):
    """The desired state. `persistentVolumeReclaimPolicy` is Retain, Delete or Recycle."""

    access_modes: tuple[str, ...] = ()
    capacity: dict[str, str] = msgspec.field(default_factory=dict)
    claim_ref: ObjectReference | None = None
    persistent_volume_reclaim_policy: str = ""
    storage_class_name: str = ""
    volume_mode: str = "Filesystem"


class VolumeStatus(PartialObject, frozen=True):
    """Pending, Available, Bound, Released or Failed."""

    phase: str = ""
    reason: str = ""
    message: str = ""


class PersistentVolume(Object, frozen=True):
    """A PersistentVolume."""

    spec: VolumeSpec = VolumeSpec()
    status: VolumeStatus = VolumeStatus()


class StorageClass(Object, frozen=True):
    """A StorageClass."""

    provisioner: str = ""
    reclaim_policy: str = "Delete"
    volume_binding_mode: str = "Immediate"
    allow_volume_expansion: bool = False
