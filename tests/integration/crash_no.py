"""
Stories in which the daemon is killed, a person says no, and it is started again: what it writes from then on.

One story dies at one point and hears one no. Afterwards nothing may be written that the no forbids, and no run may be left to
nobody: each is over, waits for an approval, or says for what it waits.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from kintsugi.catalog.library import catalog_paths
from kintsugi.catalog.load import load
from kintsugi.ledger import Ledger
from kintsugi.model.identity import new_id
from kintsugi.model.records import IncidentState, Pause, PauseScope, RunRecord
from kubesim import Request
from tests.harness.ledgers import newest_signals
from tests.integration.crash_enumeration import AT_ONCE
from tests.integration.crash_stage import SELDOM, CrashStage
from tests.integration.crash_story import CrashScene, made

STEADY = 3
"""How many looks in a row must find the daemon at rest before what it has written is counted."""

A_QUESTION_LASTS = "10h"
"""Scaled, some minutes: no question may run out while a busy machine is looked at."""

SEEN, WAITS = '"caches synced"', ('"change waiting"', '"deadline postponed"')
"""What the daemon says when it may act, and when a change waits at the gate or a run for the end of a pause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class No:
    """What a person says while the daemon is dead: the mode that it is started in, or a pause that the ledger holds."""

    title: str
    mode: Literal["observe", "approve", "auto"] = "auto"
    scope: PauseScope | None = None
    names: Sequence[str] = ("",)
    freeze: bool = False

    async def say(self, url: str) -> None:
        """Write the pauses into the ledger, as a daemon does that is asked for them."""
        if self.scope is None:
            return
        now = datetime.now(UTC)
        async with Ledger.open(url, holder="ada") as ledger:
            for name in self.names:
                pause = Pause(
                    id=new_id("pau", now),
                    scope=self.scope,
                    name=name,
                    who="ada",
                    why="no",
                    freeze=self.freeze,
                    since=now,
                )
                await ledger.people.pause(pause)

    def allows(self, request: Request) -> bool:
        """Return whether a write is allowed still: during a pause that does not freeze what takes back goes on."""
        takes_back = b"/rollback/" in bytes(request.body) or b"/undo/" in bytes(request.body)
        return self.scope is not None and not self.freeze and takes_back


def all_noes(service: str) -> Sequence[No]:
    """List the five: two modes, a freeze, a pause of the namespace, and one of each rule that may start a run."""
    rules = [rule.name for rule in load(catalog_paths(None)).rules.values() if rule.service == service]
    return (
        No(title="observe", mode="observe"),
        No(title="approve", mode="approve"),
        No(title="frozen", scope=PauseScope.GLOBAL, freeze=True),
        No(title="namespace paused", scope=PauseScope.NAMESPACE, names=("production",)),
        No(title="rule paused", scope=PauseScope.RULE, names=rules),
    )


@dataclass(kw_only=True)
class Refusals:
    """Stories of one scene, each with a death and a no; `complaints` says what went wrong, `told` counts the noes."""

    scene: CrashScene
    folder: Path
    complaints: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    not_reached: list[str] = field(default_factory=list)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)  # one at a time brings a schema up to date

    async def tell(self, stories: Iterable[tuple[str, No]]) -> None:
        """Run all stories, many at once."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, point: str, no: No) -> None:
            async with gate:
                self.complaints += await self._story(self.folder / f"no-{number}", point, no)

        await asyncio.gather(*(one(number, *story) for number, story in enumerate(stories)))

    def summary(self) -> str:
        """Return how many stories were told."""
        each = ", ".join(f"{count} {title}" for title, count in sorted(self.told.items()))
        return f"{self.scene.title}: N = {self.told.total()} deaths followed by a no ({each})"

    async def _story(self, folder: Path, point: str, no: No) -> list[str]:
        async with self.scene.stage(self.scene.daemon(folder, kill_at=[point])) as stage:
            stage.start()
            if not await self._dies(stage, point):
                self.not_reached.append(point)
                return []
            async with self._opening:
                await no.say(stage.daemon.ledger)
            self.told[no.title] += 1
            written, lines = len(made(stage)), len(self._lines(stage))
            stage.daemon.mode = no.mode
            stage.daemon.environment = {
                **stage.daemon.environment,
                "KINTSUGI_GUARDS__APPROVAL_EXPIRY": A_QUESTION_LASTS,
            }
            stage.start()
            async with stage.ledger() as ledger:
                await self._rests(stage, ledger, lines)
                forbidden = [each for each in made(stage)[written:] if not no.allows(each)]
                left = [run for run in await ledger.incidents.open_runs() if not self._is_tended(stage, run, no, lines)]
        where = f"killed {point}, then {no.title}"
        writes = [f"{where}: {each.method} {each.path} {bytes(each.body)[:200]!r}" for each in forbidden]
        return [*writes, *(f"{where}: run is {run.state}: {run.reason}" for run in left)]

    async def _dies(self, stage: CrashStage, point: str) -> bool:
        """Play until the daemon has died at its point; False when the story came to its end without."""
        async with stage.ledger() as ledger:
            playing = asyncio.create_task(self.scene.play(stage, ledger))
            dying = asyncio.create_task(stage.ended())
            try:
                await asyncio.wait([playing, dying], return_when=asyncio.FIRST_COMPLETED)
            finally:
                playing.cancel()
                dying.cancel()
                await asyncio.gather(playing, dying, return_exceptions=True)
        return stage.died_at() == [point]

    async def _rests(self, stage: CrashStage, ledger: Ledger, lines: int) -> None:
        """Wait until the daemon that was told no has seen everything, and does nothing more."""
        calm = 0

        async def is_at_rest() -> bool:
            nonlocal calm
            said = self._lines(stage)[lines:]
            known = await newest_signals(ledger, limit=1)
            seen = any(SEEN in line for line in said) and bool(known) and not await ledger.signals.pending()
            waits = any(each in line for line in said for each in WAITS)
            runs = await ledger.incidents.open_runs()
            still = all(run.state is IncidentState.AWAITING_APPROVAL or waits for run in runs)
            calm = calm + 1 if seen and still else 0
            return calm >= STEADY

        await stage.until(is_at_rest, every=SELDOM)

    def _is_tended(self, stage: CrashStage, run: RunRecord, no: No, lines: int) -> bool:
        """Return whether a run may be open still: it waits for an approval, or through a pause without a freeze."""
        paused = no.scope is not None and not no.freeze
        if run.state is IncidentState.AWAITING_APPROVAL:
            return paused or no.mode == "approve"
        return paused and any(each in line for line in self._lines(stage)[lines:] for each in WAITS)

    def _lines(self, stage: CrashStage) -> list[str]:
        return stage.daemon.log.read_text(errors="replace").splitlines()
