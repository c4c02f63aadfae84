"""The types of the API and of the command line: the answers for people, and their requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kintsugi.model.good_state import RevisionStanding
from kintsugi.model.history import Abort
from kintsugi.model.questions import Answer, AnswerSource, Question
from kintsugi.model.records import (
    Incident,
    IncidentState,
    KeptDiagnosis,
    Pause,
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
from kintsugi.model.rules import Mode
from kubediagnosis.causes import Diagnosis

SIGNALS = 100
"""The default number of an incident's signals in one answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatedSignal:
    """
    A signal with its verdict.

    `refired` is the time of a delivery that reports the ended signal as firing again, while this is provisional.
    `continues` is the id of the ended signal if this signal was opened because it fired again.
    """

    signal: Signal
    verdict: Verdict | None = None
    refired: datetime | None = None
    continues: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalQuery:
    """A query of signals, newest first: at most `limit`, of those before the one with the id `before`."""

    verdict: VerdictKind | None = None
    reason: Reason | None = None
    before: str = ""
    limit: int = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterSummary:
    """A dead letter for people; `resendable` is true if the letter was kept whole and can be sent in again."""

    id: str
    source: SignalSource
    received: datetime
    reason: str
    excerpt: str
    resendable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterResendResult:
    """
    The outcome of a dead letter that was sent in again: accepted signals, and dead letters that replace it.

    `stale` counts the alerts that were left out, because the letter is too old to show whether they still fire.
    """

    id: str
    accepted: int
    dead_letters: int
    stale: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptText:
    """Evidence from before a change; `kind` is its kind (describe, events, logs, …)."""

    path: str
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDetail:
    """A run with its steps, the texts of their undo, and the kept evidence."""

    run: RunRecord
    steps: tuple[StepRecord, ...] = ()
    evidence: tuple[KeptText, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildSummary:
    """A child run that a step of a run about all services started; it has its own incident."""

    incident: str
    runbook: str
    step: str
    state: IncidentState
    started: datetime
    finished: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CoveredService:
    """A service that a run about all services covers: its current health (None if unknown) and its child runs."""

    name: str
    serving: bool | None
    healthy: bool | None
    children: tuple[ChildSummary, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentDetail:
    """
    All about one incident.

    `signals` is one page of the `signals_total` signals, oldest first; `firing` is true if any of all the signals still fires.
    `diagnoses` are the diagnoses, oldest first. `covers` are the services of an incident about all services, the highest
    priority first; empty for any other incident. `affected` are the services that the problem affects now, by priority.
    `abort` is a person's request to end the incident. `resumed` says who ended the rest after its hand-over, when and why,
    `taken` who has taken it and not given it back.
    """

    incident: Incident
    signals: tuple[EvaluatedSignal, ...] = ()
    runs: tuple[RunDetail, ...] = ()
    questions: tuple[Question, ...] = ()
    signals_total: int = 0
    firing: bool = False
    diagnoses: tuple[KeptDiagnosis, ...] = ()
    covers: tuple[CoveredService, ...] = ()
    affected: tuple[str, ...] = ()
    abort: Abort | None = None
    resumed: Pause | None = None
    taken: Pause | None = None
    cluster_name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AbortResult:
    """
    The effect of an abort, as a sentence, with the person and the reason; the incident is closed within moments.

    `changed` is true if a run has changed anything that a rollback of the incident can undo.
    """

    incident: str
    reason: str
    text: str
    changed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeResult:
    """Who has taken an incident, and what that means, as a sentence."""

    incident: str
    who: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DestinationTest:
    """A destination of a route, and why it did not take the test, "" if it did."""

    destination: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteTest:
    """A test of all destinations of a notice route."""

    route: str
    destinations: tuple[DestinationTest, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackPreview:
    """
    The preview or the start of a rollback: the commands as a person would type them, and the data loss. `wrong` is the problem
    of the service by its last diagnosis. `changes` is the difference between the pod templates. Both are "" if unknown.

    `digest` identifies this preview. A confirmation sends the digest back, and only this preview is started. Numbers in
    `losses` enter the digest by their power of ten, so that writes to a live database do not change it.
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
    The refusal of a start by hand by one guard, and its latest end, if that is known.

    `override` is the name with which a person may overrule the refusal, "" if the refusal cannot be overruled. `overruled` is
    true if it was overruled.
    """

    reason: Reason
    text: str
    until: datetime | None = None
    override: str = ""
    overruled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoverPreview:
    """
    The plan of a start by hand, and the results of the guards. If the run was started, `begun` is true and `incident` is its id.

    `steps` are the runbook's steps as a person reads them. `digest` identifies the plan. A confirmation sends the digest back,
    and only this plan is started. `allowed` is true if the run would start now.
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
class AnswerRequest:
    """An answer as a person gives it: about the plan with this digest; `path` is the step that asks, "" for the run."""

    path: str = ""
    plan: str
    answer: Answer
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answerer:
    """Who answers, and from where. `claimed`: the sender's token has no name, so that the name is what the sender said."""

    name: str
    source: AnswerSource
    claimed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseRequest:
    """A pause as a person requests it; without `lasts`, the pause stays until it is lifted."""

    scope: PauseScope
    name: str = ""
    why: str
    freeze: bool = False
    lasts: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldSummary:
    """The upstream that a service waits for, and the latest end; with `upstream` "" and no end, the service is re-evaluated now."""

    upstream: str
    why: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentStep:
    """The step of a run that started last."""

    path: str
    name: str
    state: StepState


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """A run under way: its current step, and the time of its watchdog's check."""

    id: str
    runbook: str
    rule: str
    state: IncidentState
    started: datetime
    watchdog: datetime
    step: CurrentStep | None = None


class ActivityKind(StrEnum):
    """The kind of a service's current activity; of several the first counts."""

    STALE = "stale"
    FROZEN = "frozen"
    PAUSED = "paused"
    HANDED_OVER = "handed-over"
    AWAITING_APPROVAL = "awaiting-approval"
    HELD = "held"
    RUN = "run"
    INACTION = "inaction"
    WARNING = "warning"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceActivity:
    """The current activity of a service in a sentence, and its latest end, if that is known."""

    kind: ActivityKind
    text: str
    until: datetime | None = None


NO_ACTIVITY = ServiceActivity(kind=ActivityKind.NONE, text="")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSummary:
    """
    The current state of a service; an unknown `healthy` or `serving` has the value None.

    A service serves while it answers, even with fewer replicas: this is enough for its dependents. `since` is when `healthy`
    got its current value. `inaction` is the reason why no action is taken for an unhealthy service without an incident, else "".
    `revision` has the value None until Kintsugi has first evaluated the revision.
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
    revision: RevisionStanding | None = None
    activity: ServiceActivity = NO_ACTIVITY


@dataclass(frozen=True, kw_only=True, slots=True)
class StackSummary:
    """The open incident about all services together, and the run that is under way."""

    incident: str
    state: IncidentState
    run: RunSummary | None = None
    activity: ServiceActivity = NO_ACTIVITY


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonStatus:
    """
    The daemon: its mode, since when it runs, the pauses in force, and whether it sees the cluster at the URL `cluster`.

    `stale` is true while the state of the cluster cannot be trusted; `seen` is when it was last seen, None for never.
    `doubt` is why nothing is changed, "" without a doubt. `annotations` are the pauses in annotations of namespaces. `unnotified`
    is the number of services that are down without a repair and without a notice to a person. `notifies` is false if no
    receiver of notices is configured. `unresolved` is why the cluster's names do not resolve where the daemon runs, "" where they
    do: checks that use these names are unknown.
    """

    mode: Mode
    since: datetime
    cluster: str
    stale: bool = False
    seen: datetime | None = None
    doubt: str = ""
    pauses: tuple[Pause, ...] = ()
    annotations: tuple[str, ...] = ()
    unnotified: int = 0
    notifies: bool = True
    unresolved: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceTree:
    """All services, the highest priority first; `stack` is the open incident about all of them together."""

    services: tuple[ServiceSummary, ...]
    daemon: DaemonStatus
    stack: StackSummary | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceValue:
    """A value of a service by its key; `place` is the file, line and column of its source, "" for a derived value."""

    key: str
    value: str
    place: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceExplanation:
    """The values and the rules of a service, stated and derived."""

    service: str
    values: tuple[ServiceValue, ...]
    rules: tuple[ServiceValue, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """
    The verdict that a signal would get now, with the result of each rule in `lines`, in order.

    `diagnosis` is the diagnosis of the verdict's service, None if the verdict is about no service.
    """

    verdict: Verdict
    lines: tuple[str, ...] = ()
    diagnosis: Diagnosis | None = None
