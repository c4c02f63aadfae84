"""
Whether objects that alerts name exist, where no cache knows them: a few asked at once, all within one deadline.

What strangers write costs one GET each at most, and never holds up what needs none. What was not answered in time is not
known, and its alert is judged again.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.errors import KubeError, NotFound, ServerUnavailable
from kintsugi.kube.client import KubeClient
from kintsugi.objects.resources import Resource

AT_ONCE = 8
PATIENCE = timedelta(seconds=5)
"""How long all of one batch may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One object that is asked for; `namespace` is "" of one that lives in none."""

    resource: Resource
    namespace: str
    name: str


class Lookups:
    """Asks the API whether objects exist; its answers are good for one batch of signals."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._answers: dict[Asked, bool | KubeError] = {}

    async def look(self, wanted: Iterable[Asked]) -> None:
        """Ask for all of these, and forget what was asked before."""
        unique = list(dict.fromkeys(wanted))
        answers: dict[Asked, bool | KubeError] = {}
        room = asyncio.Semaphore(AT_ONCE)

        async def one(asked: Asked) -> None:
            async with room:
                try:
                    answers[asked] = await self._ask(asked)
                except KubeError as error:
                    answers[asked] = error

        asking = [asyncio.ensure_future(one(asked)) for asked in unique]
        try:
            if asking:
                await asyncio.wait(asking, timeout=PATIENCE.total_seconds())
        finally:
            for task in asking:
                task.cancel()
        late = ServerUnavailable(f"not answered within {PATIENCE.total_seconds():g} s, with others")
        self._answers = {asked: answers.get(asked, late) for asked in unique}

    def forget(self) -> None:
        """Forget the answers: the batch that they were asked for is judged."""
        self._answers = {}

    async def exists(self, asked: Asked) -> bool:
        """Return whether an object exists, as was answered ahead or else now. Raises KubeError when it is not known."""
        answer = self._answers.get(asked)
        if answer is None:
            try:
                async with asyncio.timeout(PATIENCE.total_seconds()):
                    return await self._ask(asked)
            except TimeoutError as error:
                raise ServerUnavailable(f"not answered within {PATIENCE.total_seconds():g} s") from error
        if isinstance(answer, KubeError):
            raise answer
        return answer

    async def _ask(self, asked: Asked) -> bool:
        try:
            await self._kube.get(asked.resource, asked.name, asked.namespace or None)
        except NotFound:
            return False
        return True
