"""
Asks the API for the objects that alerts name, where no cache has them: a few at once, within one deadline.

A name in an alert costs one GET at most, and does not delay alerts that need none. An alert whose lookup was not answered in
time is evaluated again.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.actions import api_objects
from kintsugi.errors import KubeError, NotFound, ServerUnavailable
from kintsugi.kube.client import KubeClient
from kubeobjects.kept import Object
from kubeobjects.resources import Resource

AT_ONCE = 8
LOOKUP_TIMEOUT = timedelta(seconds=5)
"""The time limit of a whole batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExistenceQuery:
    """One object that is asked for; `namespace` is "" for a cluster-scoped one."""

    resource: Resource
    namespace: str
    name: str


class Lookups:
    """Asks the API for objects; the answers are valid for one batch of signals, None for what does not exist."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._answers: dict[ExistenceQuery, Object | KubeError | None] = {}

    async def query(self, wanted: Iterable[ExistenceQuery]) -> None:
        """Ask for all of these objects, and forget earlier answers."""
        unique = list(dict.fromkeys(wanted))
        answers: dict[ExistenceQuery, Object | KubeError | None] = {}
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(query: ExistenceQuery) -> None:
            async with limit:
                try:
                    answers[query] = await self._ask(query)
                except KubeError as error:
                    answers[query] = error

        asking = [asyncio.ensure_future(one(query)) for query in unique]
        try:
            if asking:
                await asyncio.wait(asking, timeout=LOOKUP_TIMEOUT.total_seconds())
        finally:
            for task in asking:
                task.cancel()
        late = ServerUnavailable(f"not answered within {LOOKUP_TIMEOUT.total_seconds():g} s, with others")
        self._answers = {query: answers.get(query, late) for query in unique}

    def forget(self) -> None:
        """Forget the answers: their batch is evaluated."""
        self._answers = {}

    async def find(self, query: ExistenceQuery) -> Object | None:
        """Return an object as it was prefetched, else as it is now; None without one. Raises KubeError when unknown."""
        if query not in self._answers:
            try:
                async with asyncio.timeout(LOOKUP_TIMEOUT.total_seconds()):
                    return await self._ask(query)
            except TimeoutError as error:
                raise ServerUnavailable(f"not answered within {LOOKUP_TIMEOUT.total_seconds():g} s") from error
        answer = self._answers[query]
        if isinstance(answer, KubeError):
            raise answer
        return answer

    async def _ask(self, query: ExistenceQuery) -> Object | None:
        try:
            found = await self._kube.get(query.resource, query.name, query.namespace or None)
        except NotFound:
            return None
        return api_objects.convert(found, Object)
