"""The port to good templates of workloads that somebody keeps: for those that Kubernetes itself has forgotten."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kubeobjects.metadata import Metadata
from kubeobjects.unstructured import Unstructured


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
