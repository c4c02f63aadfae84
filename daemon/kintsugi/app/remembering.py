"""
Remembers which revisions of a workload were good: seen healthy for long enough, with every pod of theirs.

A rollback goes to such a revision or nowhere (DESIGN 6). What was remembered before a restart is read back. In memory are
the workloads that are in the cluster, and the last revisions of each.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.model.records import GoodRevision
from kintsugi.pipeline.facts import World
from kintsugi.services import Services
from kintsugi.telemetry import get_logger

log = get_logger(__name__)

NOTED_EVERY = timedelta(days=1)
"""How often the ledger hears that a revision is good still; retention counts in days."""


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
        self._noted: dict[tuple[str, str], datetime] = {}

    async def step(self) -> None:
        """Recall what is known of workloads that were not seen before, and note what is good now."""
        there = self.there()
        if there is not None:
            self._forget_all_but(there)
        for uid in sorted(self._workloads() - self._recalled):
            self._world.remember(await self._memory.good_revisions(uid))
            self._recalled.add(uid)
        good = self._services.good_revisions(self._lasting)
        due = tuple(each for each in good if self._is_new(each) or self._is_due(each))
        if due:
            await self._memory.note_good(due)
            for each in due:
                self._noted[each.workload, each.template] = each.last_good
                if self._is_new(each):
                    log.info("good revision", workload=each.workload, template=each.template, number=each.number)
            self._world.remember(due)

    def there(self) -> frozenset[str] | None:
        """Name the workloads (by uid) of all services that are in the cluster, None while it is not seen."""
        return None if self._services.blind else self._workloads()

    def _workloads(self) -> frozenset[str]:
        views = self._services.views.values()
        return frozenset(view.workload.metadata.uid for view in views if view.workload is not None) - {""}

    def _forget_all_but(self, there: frozenset[str]) -> None:
        """Keep in memory what can be asked for; the ledger knows the rest, should it come back."""
        self._recalled &= there
        self._world.forget_all_but(there)
        self._noted = {key: moment for key, moment in self._noted.items() if key[0] in there}

    def _is_new(self, revision: GoodRevision) -> bool:
        known = self._world.remembered.get(revision.workload, {})
        return known.get(revision.template) != revision.number

    def _is_due(self, revision: GoodRevision) -> bool:
        """Return whether it is time to write down again that it is good still: what was not good for long is forgotten."""
        noted = self._noted.get((revision.workload, revision.template))
        return noted is None or revision.last_good - noted >= NOTED_EVERY
