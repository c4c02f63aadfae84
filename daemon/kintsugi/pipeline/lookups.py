"""
Asks the API whether objects that alerts name exist, where no cache knows them: a few at once, within one deadline.

A name in an alert costs one GET at most, and does not delay alerts that need none. An alert whose lookup was not answered in
time is evaluated again.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.errors import KubeError, NotFound, ServerUnavailable
from kintsugi.kube.client import KubeClient
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
    """Asks the API whether objects exist; the answers are valid for one batch of signals."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._answers: dict[ExistenceQuery, bool | KubeError] = {}

    async def query(self, wanted: Iterable[ExistenceQuery]) -> None:
        """Ask for all of these objects, and forget earlier answers."""
        unique = list(dict.fromkeys(wanted))
        answers: dict[ExistenceQuery, bool | KubeError] = {}
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

    async def exists(self, query: ExistenceQuery) -> bool:
        """Return whether an object exists: by the prefetched answer, else by asking now. Raises KubeError when unknown."""
        answer = self._answers.get(query)
        if answer is None:
            try:
                async with asyncio.timeout(LOOKUP_TIMEOUT.total_seconds()):
                    return await self._ask(query)
            except TimeoutError as error:
                raise ServerUnavailable(f"not answered within {LOOKUP_TIMEOUT.total_seconds():g} s") from error
        if isinstance(answer, KubeError):
            raise answer
        return answer

    async def _ask(self, query: ExistenceQuery) -> bool:
        try:
            await self._kube.get(query.resource, query.name, query.namespace or None)
        except NotFound:
            return False
        return True
