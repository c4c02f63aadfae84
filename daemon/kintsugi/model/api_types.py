"""
What people are told when they ask, and what they may wish for: the shapes of the API and of the command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.model.causes import Diagnosis, KeptDiagnosis
from kintsugi.model.records import (
    Approval,
    Incident,
    IncidentState,
    PauseScope,
    Reason,
    RunRecord,
    Signal,
    SignalSource,
    StepRecord,
    StepState,
    Verdict,
    VerdictKind,
)

SIGNALS = 100
"""Signals of an incident that are told at a time where nobody asks for another number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatedSignal:
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
class SignalQuery:
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
class ResendResult:
    """
    What came of a dead letter that was sent in again: signals that were taken, and letters that it left in its place.

    `stale` counts the alerts that were left out, because the letter is too old to say whether they still fire.
    """

    id: str
    accepted: int
    dead_letters: int
    stale: int = 0


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
class ChildSummary:
    """A run of a service that a step of a run about all services has started: it has an incident of its own."""

    incident: str
    runbook: str
    step: str
    state: IncidentState
    started: datetime
    finished: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CoveredService:
    """A service that a run about all services covers: how it is now (None: not known), and what was started for it."""

    name: str
    serving: bool | None
    healthy: bool | None
    children: tuple[ChildSummary, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentDetail:
    """
    All about one incident.

    `signals` are a page of them, oldest first, of `signals_total`; `firing` says whether any of them all still holds.
    `diagnoses` say what was found wrong, oldest first. `covers` are the services of an incident about all of them, the highest
    priority first; none for any other. `affected` are the services that suffer now from what it is about, by priority.
    """

    incident: Incident
    signals: tuple[EvaluatedSignal, ...] = ()
    runs: tuple[RunDetail, ...] = ()
    approvals: tuple[Approval, ...] = ()
    signals_total: int = 0
    firing: bool = False
    diagnoses: tuple[KeptDiagnosis, ...] = ()
    covers: tuple[CoveredService, ...] = ()
    affected: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackPreview:
    """
    What a rollback does or would do: the commands as a person would type them, and what would be lost. `wrong` is what is wrong
    with the service, as it was found last, `changes` what a pod template would have instead of what; "" where that is not known.

    `digest` names all of that: who confirms it sends it back, and nothing else is begun. Of numbers in `losses` it holds the
    power of ten, so that it stays the same while a database goes on being written to.
    """

    begun: bool
    text: str
    commands: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    wrong: str = ""
    changes: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardResult:
    """
    What one guard says against a start by hand now, until when at the latest where that is known.

    `override` is the name by which a person may overrule it, "" where nobody may; `overruled` whether that is so.
    """

    reason: Reason
    text: str
    until: datetime | None = None
    override: str = ""
    overruled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoverPreview:
    """
    The plan of a start by hand, and what the guards say of it; `begun` when it was started, as `incident`.

    `steps` are the runbook's as a person reads them. `digest` names the plan: who confirms it sends it back, and no other is
    begun. `allowed` says whether it would start now.
    """

    begun: bool
    allowed: bool
    text: str
    runbook: str
    service: str
    namespace: str
    parameters: Mapping[str, str]
    steps: tuple[str, ...]
    answers: tuple[GuardResult, ...] = ()
    deadline: datetime
    digest: str
    incident: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseRequest:
    """A pause as a person asks for it; without `lasts` it stays until it is lifted."""

    scope: PauseScope
    name: str = ""
    why: str
    freeze: bool = False
    lasts: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldSummary:
    """For which upstream a service's run waits, and until when at most; `upstream` "" and no end: it is looked at again now."""

    upstream: str
    why: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentStep:
    """The step of a run that was begun last."""

    path: str
    name: str
    state: StepState


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """A run under way: at which step it is, and when its watchdog looks."""

    id: str
    runbook: str
    rule: str
    state: IncidentState
    started: datetime
    watchdog: datetime
    step: CurrentStep | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSummary:
    """
    How a service is now; `healthy` or `serving` None is not known.

    It serves while it answers, perhaps not with every replica: enough for what depends on it. `since` is when `healthy`
    became what it is. `inaction` is why nothing is done for one that is not healthy and has no incident, "" for all others.
    """

    name: str
    namespace: str
    priority: int
    serving: bool | None
    healthy: bool | None
    ready: int
    desired: int
    since: datetime | None = None
    incident: str = ""
    depends_on: tuple[str, ...] = ()
    inaction: str = ""
    hold: HoldSummary | None = None
    run: RunSummary | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StackSummary:
    """What is open about all services together: its incident, and the run that is under way."""

    incident: str
    state: IncidentState
    run: RunSummary | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceTree:
    """How each service is, the highest priority first; `stack` is what is open about all of them together."""

    services: tuple[ServiceSummary, ...]
    stack: StackSummary | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceValue:
    """A value of a service by its key; `place` is the file, line and column that say it, "" where it is derived."""

    key: str
    value: str
    place: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceExplanation:
    """What a service is, value by value, and the rules that it has, by their names: what is said, and what is derived."""

    service: str
    values: tuple[ServiceValue, ...]
    rules: tuple[ServiceValue, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """
    What would become of a signal now, and why: the rules that were looked at in `lines`, in order.

    `diagnosis` is of the service that the verdict is about; None where it is about none.
    """

    verdict: Verdict
    lines: tuple[str, ...] = ()
    diagnosis: Diagnosis | None = None
