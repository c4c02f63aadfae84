"""The port to the Kubernetes API: a reader of workloads only reads, and says nothing of how."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Protocol, TypedDict, Unpack

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
