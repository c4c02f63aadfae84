"""
What the API asks of the rest of the daemon, and the shapes in which it is answered.

`Operations` is implemented beside the pipeline; here only its surface is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.model.records import (
    Approval,
    Incident,
    Pause,
    PauseScope,
    RunRecord,
    Signal,
    StepRecord,
    Target,
    Verdict,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedSignal:
    """A signal with what became of it."""

    signal: Signal
    verdict: Verdict | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptText:
    """Evidence kept before something was changed: `kind` says what (describe, events, logs, …)."""

    path: str
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDetail:
    """A run with its steps, each with its undo's texts, and what was kept."""

    run: RunRecord
    steps: tuple[StepRecord, ...] = ()
    evidence: tuple[KeptText, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentDetail:
    """All about one incident."""

    incident: Incident
    signals: tuple[JudgedSignal, ...] = ()
    runs: tuple[RunDetail, ...] = ()
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackAnswer:
    """What a rollback does or would do: the commands as a person would type them, and what would be lost."""

    begun: bool
    text: str
    commands: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseWish:
    """A pause as a person asks for it; without `lasts` it stays until it is lifted."""

    scope: PauseScope
    name: str = ""
    why: str
    freeze: bool = False
    lasts: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSummary:
    """How a service is now; `healthy` None is not known."""

    name: str
    namespace: str
    priority: int
    healthy: bool | None
    ready: int
    desired: int
    since: datetime | None = None
    incident: str = ""
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What would become of a signal now, and why: the rules that were looked at in `lines`, in order."""

    verdict: Verdict
    lines: tuple[str, ...] = ()


class Operations(Protocol):
    """
    The deeds behind the API.

    They raise NotRecorded for what is not there, WrongState or Refused where something stands against it, UsageError
    for what makes no sense, and LedgerUnavailable.
    """

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]:
        """List incidents, newest first."""
        ...

    async def incident(self, incident: str) -> IncidentDetail:
        """Give everything about one."""
        ...

    async def approve(self, incident: str, *, path: str, plan: str, who: str) -> Approval:
        """Say yes to the plan that was shown (`plan` is its digest); `path` is the step that asked, empty for the run."""
        ...

    async def roll_back(self, incident: str, *, who: str, confirmed: bool) -> RollbackAnswer:
        """Undo a run now; unless `confirmed`, only say what would be done and lost."""
        ...

    async def pauses(self) -> Sequence[Pause]:
        """List the pauses that hold."""
        ...

    async def pause(self, wish: PauseWish, *, who: str) -> Pause:
        """Begin a pause."""
        ...

    async def resume(self, pause: str, *, who: str, why: str) -> Pause:
        """Lift a pause."""
        ...

    async def services(self) -> Sequence[ServiceSummary]:
        """Tell how each service is."""
        ...

    async def explain(self, about: Signal | Target) -> Explanation:
        """Say what would become of an alert, or of an object of the cluster, without doing or keeping anything."""
        ...
