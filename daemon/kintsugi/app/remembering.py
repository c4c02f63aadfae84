"""
Remembers which revisions of a workload were good: seen healthy for long enough, with every pod of theirs.

A rollback goes to such a revision or nowhere (DESIGN 6). What was remembered before a restart is read back.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from kintsugi.model.records import GoodRevision
from kintsugi.pipeline.facts import World
from kintsugi.services import Services
from kintsugi.telemetry import get_logger

log = get_logger(__name__)


class Memory(Protocol):
    """Where good revisions are kept: the ledger."""

    async def note_good(self, revisions: Sequence[GoodRevision]) -> None: ...

    async def good_revisions(self, workload: str) -> tuple[GoodRevision, ...]: ...


class Remembering:
    """`lasting` is how long health must have lasted to make a revision good."""

    def __init__(self, services: Services, world: World, memory: Memory, *, lasting: timedelta) -> None:
        self._services = services
        self._world = world
        self._memory = memory
        self._lasting = lasting
        self._recalled: set[str] = set()

    async def step(self) -> None:
        """Recall what is known of workloads that were not seen before, and note what is good now."""
        for view in self._services.views.values():
            uid = view.workload.metadata.uid if view.workload is not None else ""
            if uid and uid not in self._recalled:
                self._world.remember(await self._memory.good_revisions(uid))
                self._recalled.add(uid)
        good = self._services.good_revisions(self._lasting)
        known = self._world.remembered
        new = tuple(each for each in good if known.get(each.workload, {}).get(each.template) != each.number)
        if new:
            await self._memory.note_good(new)
            self._world.remember(new)
            for each in new:
                log.info("good revision", workload=each.workload, template=each.template, number=each.number)
