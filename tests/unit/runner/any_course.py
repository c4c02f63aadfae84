"""
Any course of things around one run: what is so in the cluster, what the daemon sees of it, and when its process dies.

The course keeps its own account of what is so, by which a test judges what the run says of itself.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kintsugi.model.records import RunRecord, SignalStatus
from tests.unit.factories import NOW, moment, pod, virtual_clock
from tests.unit.runner.bench import RunBench, clock

VERIFY, LAG, FAILING = 120.0, 900.0, 180.0
"""The figures of the bench's patience, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """So many of three pods are ready."""

    pods: int


@dataclass(frozen=True, kw_only=True)
class Restart:
    """A container restarts beside those that serve."""


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """What started the run goes on, or ends."""

    holds: bool


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """So many of three pods are of the new template."""

    updated: int


@dataclass(frozen=True, kw_only=True)
class Made:
    """A pod is made, beside those that serve, or the last one that was made changes."""

    ready: bool
    again: bool


@dataclass(frozen=True, kw_only=True)
class Sight:
    """The watch breaks off, or comes back."""

    sees: bool


@dataclass(frozen=True, kw_only=True)
class Death:
    """The daemon's process is killed and started again after so many seconds."""

    down: float


Happening = Ready | Restart | Trigger | Rollout | Made | Sight | Death
Plan = list[tuple[float, Happening]]
"""Happenings with the seconds at which they happen, in order."""


@dataclass(kw_only=True)
class Course:
    """
    One run on its bench, and what is so around it. Times are seconds since the run began.

    `made` are the pods made since, with the moment since when each is ready. `comebacks` are when processes began that
    lived long enough to look around.
    """

    bench: RunBench
    well_since: float | None = None
    restarted: float | None = None
    complete: bool = True
    firing: bool = True
    seen: bool = True
    ready: int = 1
    updated: int = 3
    interval: float = 0
    made: dict[str, float | None] = field(default_factory=dict)
    births: dict[str, datetime] = field(default_factory=dict)
    comebacks: list[float] = field(default_factory=list)

    async def run(self, plan: Plan, *, until: float) -> RunRecord:
        """Let everything happen as planned while the run is carried; it must be over when `until` has come."""
        self.bench.observed.show(ready=1)
        process = asyncio.create_task(self.bench.drive())
        for when, happening in plan:
            await asyncio.wait([process], timeout=max(when - clock(), 0))
            if process.done():
                break
            if not isinstance(happening, Death):
                self._happen(happening)
                continue
            if self.comebacks and clock() - self.comebacks[-1] <= self.bench.pace.total_seconds():
                self.comebacks.pop()
            self.bench.power.cut = 0
            process.cancel()
            await asyncio.wait([process])
            await asyncio.sleep(happening.down)
            if self.bench.ledger.record.state.is_final:
                return self.bench.ledger.record
            self.comebacks.append(clock())
            self._look_anew()
            process = asyncio.create_task(self.bench.drive())
        await asyncio.wait([process], timeout=max(until - clock(), 0))
        assert process.done(), f"after {clock():.0f}s: {self.bench.ledger.record}\n{self.bench.ledger.moves}"
        return process.result()

    @property
    def doubts(self) -> Iterable[str]:
        """Name what speaks against saying now that the service is well, but for the trigger."""
        now = clock()
        times = {"healthy": self.well_since, **dict(self.made.items())}
        for name, since in times.items():
            if since is None or now - since < VERIFY:
                yield f"{name} since {since}"
        if self.restarted is not None and now - self.restarted < VERIFY:
            yield f"restarted at {self.restarted}"
        if not self.seen:
            yield "unseen"
        if self.updated < 3:
            yield f"{self.updated} of 3 updated"

    def _happen(self, happening: Happening) -> None:
        match happening:
            case Ready(pods=pods):
                self.ready = pods
            case Restart():
                self.interval = clock() - self.restarted if self.restarted is not None else 0
                self.restarted = clock()
            case Trigger(holds=holds):
                self._fire(holds=holds)
            case Rollout(updated=updated):
                self.updated = updated
            case Made(ready=ready, again=again):
                name = f"new-{len(self.made) - (1 if again and self.made else 0)}"
                self.births.setdefault(name, virtual_clock())
                self.made[name] = clock() if ready and self.made.get(name) is None else self.made.get(name)
                self.made[name] = self.made[name] if ready else None
            case Sight(sees=sees):
                self.seen = sees
        well = self.ready >= 3
        self.well_since = (self.well_since if self.well_since is not None else clock()) if well else None
        self._show()

    def _fire(self, *, holds: bool) -> None:
        self.firing, ledger = holds, self.bench.ledger
        if not holds:
            self.bench.resolve()
        ledger.signals = [
            replace(each, status=SignalStatus.FIRING, ended=None) if holds else each for each in ledger.signals
        ]

    def _show(self) -> None:
        observed = self.bench.observed
        if not self.seen:
            observed.hide()
            return
        pods = [
            pod(name, ready=since is not None, made=self.births[name] if since is None else moment(seconds=since))
            for name, since in self.made.items()
        ]
        observed.show(ready=self.ready, pods=tuple(pods), updated=self.updated)
        last = None if self.restarted is None else NOW + timedelta(seconds=self.restarted)
        observed.views["web"] = replace(
            observed.views["web"], last_restart=last, crash_interval=timedelta(seconds=self.interval)
        )

    def _look_anew(self) -> None:
        """See everything for the first time, as a new process does: nothing is known of what was."""
        views = self.bench.observed.views
        views["web"] = replace(views["web"], healthy=None, healthy_since=None, failing_since=None)
        restarted, interval = self.restarted, self.interval
        self.restarted, self.interval = None, 0
        self._show()
        self.restarted, self.interval = restarted, interval
