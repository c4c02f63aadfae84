"""
The base struct of kept objects, and their metadata.

Kept structs are decoded straight from the API server's bytes (msgspec), live in the reflectors' stores, and are the
fields that expressions may read (by their JSON names). Absent numbers, strings and lists read as 0, "" and empty, as in
the Go types; a value that may be truly absent is None. They hold no cycles, so the garbage collector need not track
them.
"""

import re
from datetime import datetime
from typing import Annotated, ClassVar

import msgspec

# kubectl's copy of the last manifest can be as large as the object itself, and nobody decides on it.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
"""The name of a namespace, and of a Service (RFC 1123)."""

SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
"""The name of any other object (RFC 1123; as in Kubernetes, only the whole is bounded)."""

REVISION = "deployment.kubernetes.io/revision"
"""Annotation of a Deployment and of its ReplicaSets: the number of the revision."""


Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time as the API writes it, with its time zone: one without cannot be compared with ours."""


class PartialObject(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Base of every kept struct: frozen, JSON names in camel case, unknown fields ignored."""


class OwnerReference(PartialObject, frozen=True):
    """An owner of the object; at most one has `controller`."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Metadata(PartialObject, frozen=True):
    """An object's identity and marks. `uid` distinguishes an object from another of the same name."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    creation_timestamp: Moment | None = None
    deletion_timestamp: Moment | None = None
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()

    def __post_init__(self) -> None:
        if LAST_APPLIED in self.annotations:
            rest = {key: value for key, value in self.annotations.items() if key != LAST_APPLIED}
            msgspec.structs.force_setattr(self, "annotations", rest)


class Object(PartialObject, frozen=True):
    """
    Any object, of which only the metadata is known.

    `MOST_PARTS`: what has more structs, times and entries of lists and maps is not kept. A pod of a hundred containers has fewer.
    """

    MOST_PARTS: ClassVar[int] = 2_000

    metadata: Metadata = Metadata()


class Condition(PartialObject, frozen=True):
    """One entry of `status.conditions`. `status` is "True", "False" or "Unknown"."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: Moment | None = None


class LabelRequirement(PartialObject, frozen=True):
    """One expression of a label selector; `operator` is In, NotIn, Exists or DoesNotExist."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class LabelSelector(PartialObject, frozen=True):
    """`spec.selector` of a workload: which pods are its own."""

    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[LabelRequirement, ...] = ()


class ObjectReference(PartialObject, frozen=True):
    """A reference to an object of any kind."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    field_path: str = ""
