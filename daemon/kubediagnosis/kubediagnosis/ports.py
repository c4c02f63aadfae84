"""The ports of the readers: to the Kubernetes API, which is only read, and to good templates that Kubernetes has forgotten."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypedDict, Unpack

from kubeobjects.metadata import Metadata
from kubeobjects.resources import Resource
from kubeobjects.unstructured import Unstructured


class ObjectList(Protocol):
    """The answer to a list, whole."""

    @property
    def items(self) -> Sequence[Unstructured]:
        """Return the objects."""
        ...


class LogEnd(TypedDict):
    """
    The part of a log that is read: the last `tail` lines, no more than `limit_bytes`, within `deadline`.

    `previous`: of the container's run before; `since`: only what was written in this time.
    """

    container: str
    previous: bool
    since: timedelta | None
    tail: int
    limit_bytes: int
    deadline: timedelta


class KubeReader(Protocol):
    """
    The reads of a client of the Kubernetes API; each raises ReadError.

    An object that does not exist is an ObjectNotFound, a missing right a ReadForbidden; a namespace of None means all of them, or
    none.
    """

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Unstructured:
        """Read one object."""
        ...

    async def get_metadata(self, resource: Resource, name: str, namespace: str | None = None) -> Unstructured:
        """Read one object as PartialObjectMetadata."""
        ...

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> ObjectList:
        """Read all objects of a kind that two selectors meet, with their `kind` and `apiVersion`."""
        ...

    def logs(self, name: str, namespace: str, **options: Unpack[LogEnd]) -> AsyncIterator[bytes]:
        """Yield the end of the log of a pod's container."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptTemplate:
    """
    The last good template of a workload: the number and the name (`template`) of its revision, and when it was `seen` good last.

    `pods` is the template with the values of now where its own are not kept; `missing` are the fields whose former values are not
    known. Empty: it is exactly the template that was good.
    """

    number: int
    template: str
    seen: datetime
    pods: Unstructured
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptManifest:
    """A workload as it was last good at `seen`: its metadata, and the fields whose values are not kept."""

    metadata: Metadata
    seen: datetime
    missing: tuple[str, ...]


class KeptTemplates(Protocol):
    """What is kept of a workload: `kind` is the singular word of kubectl. Each method raises ReadError."""

    async def find(self, kind: str, namespace: str, name: str, workload: Unstructured) -> KeptTemplate | None:
        """Return the last good template of a workload that is there, None where none is kept."""
        ...

    async def manifest(self, kind: str, namespace: str, name: str) -> KeptManifest | None:
        """Return a workload as it was last good, None where it is not kept."""
        ...
