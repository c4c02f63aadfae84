"""
What runs work with, as the runner sees it: small protocols that `app` fills.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.actions.asker import NOBODY, Asker
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.job_progress import Standing
from kintsugi.actions.prepared import Prepared
from kintsugi.actions.result import Result
from kintsugi.effect import Admission
from kintsugi.executor import Executor
from kintsugi.guards import Observer
from kintsugi.model.command import Command
from kintsugi.model.documents import Mode
from kintsugi.model.records import Phase, RunRecord, StepRecord
from kintsugi.model.views import ServiceView
from kintsugi.runner.memory import Bearings


class Looker(Protocol):
    """What performs commands that only look, and sees how workers stand: `actions.Actions`."""

    async def look(self, command: Command, *, deadline: timedelta, asker: Asker = NOBODY) -> Result: ...

    def split(self, command: Command) -> tuple[Command, ...]: ...

    async def watch(self, prepared: Prepared, circumstances: Circumstances) -> Standing:
        """Say how a worker stands whose Job was made. Raises KubeError when that cannot be asked now."""
        ...


class Gate(Protocol):
    """What stands before every change and every question to a person; one a run."""

    def admission(self, at: Bearings, command: Command | None = None, *, phase: Phase | None = None) -> Admission:
        """Return the gate as it stands before a change here, of the command's object where that is known already."""
        ...

    async def release(self, child: str) -> None:
        """Give back the locks that a child of the run has taken, once it is over."""
        ...

    async def ask(self, phase: Phase, path: str, question: str) -> None:
        """Wait for a person's yes. Raises Stopped when it does not come in time."""
        ...


class World(Protocol):
    """What is known of the services, as it is now; `blind` says why that cannot be trusted, if so."""

    @property
    def views(self) -> Mapping[str, ServiceView]: ...

    @property
    def blind(self) -> str: ...

    def annotation_pause(self, namespace: str) -> str:
        """Give a person's pause that stands on the namespace itself, or nothing."""
        ...

    async def silence(self, alerts: AsyncIterable[str]) -> str:
        """Say that all of these alerts (by fingerprint) are silenced, or that it cannot be known; else nothing."""
        ...

    @property
    def mode(self) -> Mode: ...

    def mode_of(self, rule: str) -> Mode:
        """Return how far runs of a rule may go now: the lower of the daemon's mode and the rule's own."""
        ...

    def observer(self) -> Observer:
        """Return how well we see."""
        ...

    def good(self, service: str) -> frozenset[str]: ...

    def last_good(self, service: str) -> int:
        """Give the number of the newest good revision that is not the current one; 0 when none is known."""
        ...

    def circumstances(self, run: RunRecord, at: Bearings, step: StepRecord) -> Circumstances: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """
    The same for all runs. `pace` is the pause between two looks, `command_timeout` what a look may take.

    `stopping` is set when the daemon stops: nothing new is begun then.
    """

    executor: Executor
    looker: Looker
    world: World
    clock: Callable[[], datetime]
    pace: timedelta
    command_timeout: timedelta
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
