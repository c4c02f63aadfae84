"""
What stands before every change of a drill: a recovery of its service, its health, a person's pause, our own sight.

A recovery waits for an approval or for a change to take effect; a drill waits for nobody and gives way.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kintsugi.drills.decision import RULE, trouble
from kintsugi.guards import covers
from kintsugi.model.records import History, Pause, Phase, Reason
from kintsugi.runner.ends import Cleared, Stopped
from kintsugi.runner.journal import Journal
from kintsugi.runner.memory import Restoring
from kintsugi.runner.tools import Tools
from kintsugi.telemetry import get_logger

log = get_logger(__name__)


class DrillLedger(Protocol):
    """What the gate asks of the ledger."""

    async def pauses(self, now: datetime) -> tuple[Pause, ...]: ...

    async def history(self, service: str, namespace: str, now: datetime) -> History: ...


@dataclass(kw_only=True)
class DrillGate:
    """The gate of one drill."""

    tools: Tools
    ledger: DrillLedger
    journal: Journal

    async def before_change(self, phase: Phase, restoring: Restoring | None = None) -> str:
        """
        Wait until the change can be seen and nothing is frozen. Raises Cleared when the drill must give way.

        What a drill takes back it takes back whatever goes on, unless a pause freezes that, too.
        """
        while True:
            if phase is Phase.FORWARD and (why := await self.hindrance()):
                raise Cleared("", why)
            wait = self.tools.world.blind or await self._frozen()
            if not wait:
                return ""
            log.info("a change of a drill waits", run=self.journal.run.id, why=wait)
            await asyncio.sleep(self.tools.pace.total_seconds())

    async def ask(self, phase: Phase, path: str, question: str) -> None:
        """Ask nobody: no drill's runbook is loaded that would."""
        raise Stopped(path, f"a drill asks nobody: {question}")

    async def hindrance(self) -> str:
        """Say why the drill must end now, "" when it may go on. What is not known now is no reason to end it."""
        run, world = self.journal.run, self.tools.world
        if annotated := world.annotation_pause(run.namespace):
            return annotated
        history = await self.ledger.history(run.service, run.namespace, self.tools.clock())
        for pause in history.pauses:
            if covers(pause, run.namespace, RULE):
                return f"paused by {pause.who}: {pause.why}"
        found = trouble(run.service, world.views.get(run.service), history.incident)
        return f"the drill gives way: {found[1]}" if found is not None and found[0] is not Reason.STALE else ""

    async def _frozen(self) -> str:
        run = self.journal.run
        for pause in await self.ledger.pauses(self.tools.clock()):
            if pause.freeze and covers(pause, run.namespace, RULE):
                return f"frozen by {pause.who}: {pause.why}"
        return ""
