"""
Reads that may each be refused or fail: a failed read is recorded as unknown, and the diagnosis continues without it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from kubediagnosis import object_facts, words
from kubediagnosis.facts import LogFacts, PodFacts
from kubediagnosis.kube_reader import KubeReader
from kubeobjects.errors import ObjectNotFound, ReadError, ReadForbidden
from kubeobjects.resources import Resource
from kubeobjects.unstructured import Unstructured

Read = TypeVar("Read")


def as_labels(selector: Mapping[str, str]) -> str:
    """Return a Service's selector as a label selector."""
    return ",".join(f"{key}={value}" for key, value in selector.items())


@dataclass(kw_only=True, slots=True)
class TolerantReads:
    """
    Reads of one namespace; `unknown` collects, once each, what could not be read and why.

    `redact` masks what may be a secret in the line of a log.
    """

    client: KubeReader
    namespace: str
    redact: Callable[[str], str]
    unknown: dict[str, None] = field(default_factory=dict)

    async def known(self, what: str, read: Awaitable[Read], instead: Read) -> Read:
        """
        Return the read value, or `instead` where it cannot be read: the failure is recorded in `unknown` and raises
        nothing.
        """
        try:
            return await read
        except ReadError as error:
            self.unknown[f"{what}: {error}"] = None
            return instead

    async def listed(
        self, what: str, resource: Resource, *, labels: str = "", fields: str = ""
    ) -> Sequence[Unstructured] | None:
        """Return the objects of a kind, of all namespaces where the kind has none; None where they cannot be read."""

        async def items() -> Sequence[Unstructured] | None:
            namespace = self.namespace if resource.namespaced else None
            return (await self.client.list(resource, namespace, labels=labels, fields=fields)).items

        return await self.known(what, items(), None)

    async def logged(
        self, pod: PodFacts, container: str, *, previous: bool, since: timedelta | None = None
    ) -> LogFacts | None:
        """Return the telling line of the end of a container's log, of its run before where that is asked for. Raises ReadError."""
        read = bytearray()
        chunks = self.client.logs(
            pod.metadata.name,
            self.namespace,
            container=container,
            previous=previous,
            since=since,
            tail=object_facts.LOG_LINES,
            limit_bytes=object_facts.LOG_BYTES,
            deadline=object_facts.LOG_TIME,
        )
        async for chunk in chunks:
            read += chunk
        line = words.error_line(bytes(read).decode(errors="replace").splitlines())
        return LogFacts(pod=pod.metadata.name, container=container, line=self.redact(line)) if line else None

    async def logs_of(self, reads: Iterable[Awaitable[LogFacts | None]]) -> tuple[LogFacts, ...]:
        """Return the telling lines of several logs, of those that can be read."""
        found = await asyncio.gather(*(self.known("logs", each, None) for each in reads))
        return tuple(each for each in found if each is not None)

    async def got(self, what: str, resource: Resource, name: str) -> tuple[Unstructured | None, bool]:
        """Return one object, None where it does not exist; and whether that is known."""
        try:
            return await self.client.get(resource, name, self.namespace), True
        except ObjectNotFound:
            return None, True
        except ReadForbidden:
            self.unknown[f"{what}: no right to get them"] = None
        except ReadError as error:
            self.unknown[f"{resource.singular}/{name}: {error}"] = None
        return None, False
