"""
What people are told when they ask, and what they may wish for: the shapes of the API and of the command line.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.model.records import (
    Approval,
    Incident,
    PauseScope,
    Reason,
    RunRecord,
    Signal,
    SignalSource,
    StepRecord,
    Verdict,
    VerdictKind,
)

SIGNALS = 100
"""Signals of an incident that are told at a time where nobody asks for another number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedSignal:
    """
    A signal with what became of it.

    `refired` is when a delivery said that it fires although it has ended, while that is provisional; `continues` the id of
    the signal that did so, where this one was opened for it.
    """

    signal: Signal
    verdict: Verdict | None = None
    refired: datetime | None = None
    continues: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalWish:
    """Which signals a person wants to see, newest first: at most `limit`, of those before the one with the id `before`."""

    verdict: VerdictKind | None = None
    reason: Reason | None = None
    before: str = ""
    limit: int = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterSummary:
    """A dead letter as people see it; `resendable` says whether it was kept whole and can be sent in again."""

    id: str
    source: SignalSource
    received: datetime
    reason: str
    excerpt: str
    resendable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Resent:
    """What came of a dead letter that was sent in again: signals that were taken, and letters that it left in its place."""

    id: str
    accepted: int
    dead_letters: int


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
    """
    All about one incident.

    `signals` are a page of them, oldest first, of `signals_total`; `firing` says whether any of them all still holds.
    """

    incident: Incident
    signals: tuple[JudgedSignal, ...] = ()
    runs: tuple[RunDetail, ...] = ()
    approvals: tuple[Approval, ...] = ()
    signals_total: int = 0
    firing: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackAnswer:
    """
    What a rollback does or would do: the commands as a person would type them, and what would be lost.

    `digest` names all of that: who confirms it sends it back, and nothing else is begun. Of numbers in `losses` it holds the
    power of ten, so that it stays the same while a database goes on being written to.
    """

    begun: bool
    text: str
    commands: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    digest: str = ""


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
