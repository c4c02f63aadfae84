"""
The records of the ledger: signals, verdicts, incidents, runs, steps.

Everything here is a frozen value. Times are aware and in UTC; ids are short, sortable by time and unique.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from kintsugi.model.outages import Superseded
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.model.step_path import StepPath
from kubediagnosis.causes import Diagnosis


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenWorkload:
    """
    A workload as a run has seen it. `template` is "" where the watch did not catch up with the API server in time.

    `uid` is "" for a workload that does not exist. `generation` counts the changes of its spec. `healthy` is the service's health,
    None where it is unknown.
    """

    template: str
    revision: int
    desired: int
    ready: int
    uid: str = ""
    generation: int = 0
    healthy: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunUpdate:
    """The fields of a `RunRecord` that are written besides its state; a field that is None stays as it is."""

    steps_finished_at: datetime | None = None
    stopped_at: str | None = None
    rollback_requested_by: str | None = None
    awaits_person: bool | None = None
    taken_up: datetime | None = None
    workload_found: SeenWorkload | None = None
    workload_left: SeenWorkload | None = None
    workload_decided: SeenWorkload | None = None
    superseded: Superseded | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Return the values to be written, by field."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in known.items() if value is not None}


NO_UPDATE = RunUpdate()


class SignalSource(StrEnum):
    """The source of a signal."""

    ALERTMANAGER = "alertmanager"
    POLL = "poll"
    WATCH = "watch"
    OPERATOR = "operator"


class SignalStatus(StrEnum):
    """Whether the observation holds or has ended; `stale`: its sender has stopped repeating it."""

    FIRING = "firing"
    RESOLVED = "resolved"
    STALE = "stale"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One object of the cluster. `uid` is empty while it is only a hint."""

    kind: str
    namespace: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.lower()} {place}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """
    A normalised observation.

    `key` identifies the observed thing (an alert's fingerprint of 16 hexadecimal digits; RULE/UID for a watched condition, so
    that its form shows the source). An *episode* is `key` with `began`: deliveries of the same episode are one signal. `rule`
    is set when the source has matched already (watched conditions); alerts are matched later. `status` RESOLVED with `ended`
    closes the episode.
    """

    id: str
    source: SignalSource
    kind: RuleSource
    key: str
    status: SignalStatus = SignalStatus.FIRING
    rule: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    target: Target | None = None
    began: datetime
    ended: datetime | None = None
    received: datetime


def alert_of(signal: Signal | None) -> Signal | None:
    """Return a signal that is an alert, None for another."""
    return signal if signal is not None and signal.kind is RuleSource.ALERT else None


class VerdictKind(StrEnum):
    """The outcome of a signal (P9)."""

    STARTED = "started"
    ATTACHED = "attached"
    HELD = "held"
    AWAITING_APPROVAL = "awaiting-approval"
    REFUSED = "refused"
    OBSERVED = "observed"
    NO_RULE = "no-rule"
    DEAD_LETTER = "dead-letter"


class Reason(StrEnum):
    """The reason of a verdict: a closed list, used in ledger, log and metrics alike."""

    MATCHED = "matched"
    ACTIVE_RUN = "active-run"
    NO_RULE = "no-rule"
    RESOLVED = "resolved"
    MODE = "mode"
    APPROVAL = "approval"
    PAUSED = "paused"
    PROTECTED = "protected"
    COOLDOWN = "cooldown"
    FAILURES = "consecutive-failures"
    BUDGET = "budget"
    BREAKER = "breaker"
    LOCKED = "locked"
    STALE = "stale"
    OWNED = "owned"
    UPSTREAM = "upstream"
    NO_TARGET = "no-such-object"
    FOREIGN_TARGET = "not-of-the-service"
    NO_NAMESPACE = "no-namespace"
    UNMANAGED = "bare-pod"
    UNANSWERABLE = "unanswerable"
    MALFORMED = "malformed"
    HUMAN = "human-hands"
    REJECTED = "rejected"
    INEFFECTIVE = "ineffective"
    AT_ZERO = "at-zero"
    NO_VALUE = "no-value"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """
    The answer to a signal or a run request, with its reason.

    `text` is a sentence for a person. `until` makes it provisional: at that moment the signal is evaluated again.
    """

    kind: VerdictKind
    reason: Reason
    text: str
    until: datetime | None = None
    rule: str = ""
    incident: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldingSignals:
    """The signals of a rule that hold now: since when there are any, and the verdict on the newest, None before there is one."""

    since: datetime
    verdict: Verdict | None = None


class RunKind(StrEnum):
    """The purpose of an incident and its run: to recover a service, to rehearse, to report doubt about the observer, or to read a page.

    A rehearsal undoes all that it has changed; a drill is the rehearsal of a restore. An incident about the observer has no run:
    nothing is changed while the observed state is in doubt. A run of a page only reads.
    """

    RECOVERY = "recovery"
    REHEARSAL = "rehearsal"
    DRILL = "drill"
    OBSERVER = "observer"
    PAGE = "page"


class IncidentState(StrEnum):
    """The state of an incident; the second group of members is final."""

    OPEN = "open"
    HELD = "held"
    AWAITING_APPROVAL = "awaiting-approval"
    RUNNING = "running"
    VERIFYING = "verifying"
    ROLLING_BACK = "rolling-back"

    RECOVERED = "recovered"
    NO_ACTION = "no-action"
    ROLLED_BACK = "rolled-back"
    INEFFECTIVE = "ineffective"
    FAILED = "failed"
    NEEDS_OPERATOR = "needs-operator"
    CANCELLED = "cancelled"
    PASSED = "passed"

    @property
    def is_final(self) -> bool:
        """Return whether the incident is closed, so that nothing more is done for it."""
        return self in FINAL_STATES


FINAL_STATES = frozenset(
    {
        IncidentState.RECOVERED,
        IncidentState.NO_ACTION,
        IncidentState.ROLLED_BACK,
        IncidentState.INEFFECTIVE,
        IncidentState.FAILED,
        IncidentState.NEEDS_OPERATOR,
        IncidentState.CANCELLED,
        IncidentState.PASSED,
    }
)

ENDED_WELL = frozenset({IncidentState.RECOVERED, IncidentState.ROLLED_BACK, IncidentState.NO_ACTION})
"""Ends of an incident after which its problem is past."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """All signals and runs about one service, until closed; or one drill, or one period of doubt about the observed state.

    `reason` is a sentence for a person.
    """

    id: str
    service: str
    rule: str
    runbook: str
    mode: Mode
    state: IncidentState
    reason: str
    opened: datetime
    closed: datetime | None = None
    kind: RunKind = RunKind.RECOVERY


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """
    One execution of a runbook on a service.

    `deadline` is when the watchdog acts; questions and pauses move it. `catalog` is the digest of the run's documents, which it
    keeps when others are loaded. `steps_finished_at` is when the last step ended; `changed` whether anything was changed.
    `parent` and `parent_step` name the run, and the path of its step, that started a child run.

    `stopped_at` is the path of the step at which the execution was aborted, "" for the run itself; None while it was not.
    `rollback_requested_by` names the person who requested a rollback, "" without such a request. `awaits_person`: a child
    run waits for a person's answer. `taken_up` is when a process first resumed the run after its deadline. `workload_found`
    is the workload at the start of the run, `workload_left` the workload after the run's last change of the template.
    `workload_decided` is the workload when the run's rollback was decided. `superseded` is why another problem ended the
    run's verification, None where none did.
    """

    id: str
    incident: str
    service: str
    namespace: str
    rule: str
    runbook: str
    catalog: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    epoch: int
    state: IncidentState
    reason: str = ""
    started: datetime
    deadline: datetime
    steps_finished_at: datetime | None = None
    finished: datetime | None = None
    changed: bool = False
    kind: RunKind = RunKind.RECOVERY
    parent: str = ""
    parent_step: str = ""
    stopped_at: str | None = None
    rollback_requested_by: str = ""
    awaits_person: bool = False
    taken_up: datetime | None = None
    workload_found: SeenWorkload | None = None
    workload_left: SeenWorkload | None = None
    workload_decided: SeenWorkload | None = None
    superseded: Superseded | None = None


class Phase(StrEnum):
    """The part of a run that a step belongs to."""

    FORWARD = "forward"
    ROLLBACK = "rollback"
    UNDO = "undo"


class StepState(StrEnum):
    """`planned -> intent -> done | failed | skipped | unknown`; an unknown one is probed, or a person is asked."""

    PLANNED = "planned"
    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    NEEDS_OPERATOR = "needs-operator"


NOT_MADE = frozenset({StepState.PLANNED, StepState.SKIPPED, StepState.FAILED})
"""States of a change that surely was not made: one whose outcome is not known never becomes failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoRecord:
    """
    The undo of a change: commands (encoded), or none with the reason why none is needed or possible.

    `texts` are the same commands as a person would type them.
    """

    commands: tuple[Mapping[str, object], ...] = ()
    texts: tuple[str, ...] = ()
    note: str = ""


NEEDLESS = "needless"
"""The fact of a restart that was needless: the fault for which it was made still stood ten minutes later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRecord:
    """
    One step, or one effect of a step, of one run.

    `path` is unique in run and phase: the text of a `StepPath`. `command` is the bound command (encoded), `text` the same as a
    person would type it, `verb` its first words, "" for a command without a text. `namespace` is that of the changed object, the
    run's for a cluster-scoped one; its budget is spent there. `facts` are the fields judged before acting, `result` the names
    that later expressions see, `met` whether `expect` held.
    """

    run: str
    phase: Phase = Phase.FORWARD
    path: str
    name: str = ""
    state: StepState
    changes: bool = False
    command: Mapping[str, object] | None = None
    verb: str = ""
    text: str = ""
    why: str = ""
    namespace: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    undo: UndoRecord | None = None
    deadline: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    result: Mapping[str, object] | None = None
    met: bool | None = None
    error: str = ""

    @property
    def step_path(self) -> StepPath:
        """Return the parsed path."""
        return StepPath.parse(self.path)


class PauseScope(StrEnum):
    """The scope of a pause."""

    GLOBAL = "global"
    NAMESPACE = "namespace"
    RULE = "rule"
    SERVICE = "service"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A pause that a person has set: new steps and the deadline wait; a rollback under way continues unless `freeze`."""

    id: str
    scope: PauseScope
    name: str = ""
    who: str
    why: str
    freeze: bool = False
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """
    A message for a person, waiting in the outbox. `incident` None: it is about the daemon, or a problem that is only observed.

    `reached` names the routes that have it already.
    """

    id: str
    incident: str | None
    kind: IncidentState
    text: str
    created: datetime
    attempts: int = 0
    due: datetime
    reached: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """
    A delivery that could not be understood: bounded and redacted, with the reason.

    `payload` is the whole delivery, in the form that can be resent: the body of a webhook or of a poll's answer. None where it
    was not kept, because it is too large or holds a secret.
    """

    id: str
    source: SignalSource
    received: datetime
    reason: str
    excerpt: str
    payload: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """
    The decoded content of one body.

    `truncated` counts alerts that the sender left out (A7); `left_out` is a dead letter that says so, for where no poll
    fetches them. `unreadable` says why the body as a whole could not be read; then there are no signals, and one dead
    letter. `stale` counts alerts of a dead letter that were left out, because they fired when it came in.
    """

    signals: tuple[Signal, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    truncated: int = 0
    left_out: DeadLetter | None = None
    unreadable: str = ""
    stale: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingMatch:
    """A watched condition that has held since `since`; a signal follows when it has held for the rule's `for`."""

    rule: str
    target: Target
    since: datetime
    signalled: bool = False


class Occasion(StrEnum):
    """The occasion of a diagnosis in the course of an incident."""

    OPENED = "opened"
    """Before anything was changed for it: its run begins, or it is held or asked about."""
    ROLLBACK = "rollback"
    """A rollback was decided."""
    HAND_OVER = "hand-over"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptDiagnosis:
    """A diagnosis that belongs to an incident."""

    incident: str
    occasion: Occasion
    diagnosis: Diagnosis


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """
    The state of an incident's trigger.

    Kubernetes Events are hints that never resolve (reliability B20): they are neither in `firing` nor in `ended`.
    `firing`: a signal fires. `ended` is the latest end of those that are over, None when none is over; `alerts_only`:
    something fires, and all of it, Events included, are alerts.
    """

    firing: bool = False
    ended: datetime | None = None
    alerts_only: bool = False

    @property
    def lasting(self) -> bool:
        """Return whether anything started it that can end: not only Events, and not a person."""
        return self.firing or self.ended is not None


def clear_since(incident: Incident, trigger: Trigger) -> datetime | None:
    """
    Return the moment since when none of the incident's signals holds; None while one does.

    A run without signals that can end was asked for by a person or by an Event, and has nothing to wait for.
    """
    return None if trigger.firing else trigger.ended or incident.opened
