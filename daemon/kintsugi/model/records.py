"""
What happened, as the ledger keeps it: signals, verdicts, incidents, runs, steps.

Everything here is a frozen value. Times are aware and in UTC; ids are short, sortable by time and unique.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from kintsugi.model.documents import Mode, RuleSource


class SignalSource(StrEnum):
    """Who told us."""

    ALERTMANAGER = "alertmanager"
    POLL = "poll"
    WATCH = "watch"
    OPERATOR = "operator"


class SignalStatus(StrEnum):
    """Whether the observation holds or has ended; `stale` is concluded from its sender's silence."""

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

    `key` identifies what is observed (an alert's fingerprint of 16 hexadecimal digits; RULE/UID for a watched condition, so
    that its form tells the source), and an *episode* is
    `key` with `began`: deliveries of the same episode are one signal. `rule` is set when the source has matched already
    (watched conditions); alerts are matched later. `status` RESOLVED with `ended` closes the episode.
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


class VerdictKind(StrEnum):
    """What became of a signal (P9)."""

    STARTED = "started"
    ATTACHED = "attached"
    HELD = "held"
    AWAITING_APPROVAL = "awaiting-approval"
    REFUSED = "refused"
    OBSERVED = "observed"
    NO_RULE = "no-rule"
    DEAD_LETTER = "dead-letter"


class Reason(StrEnum):
    """Why: a closed list, used alike in ledger, log and metric."""

    MATCHED = "matched"
    ACTIVE_RUN = "active-run"
    DUPLICATE = "duplicate"
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
    CLEARED = "cleared"
    UNANSWERABLE = "unanswerable"
    MALFORMED = "malformed"
    HUMAN = "human-hands"
    INEFFECTIVE = "ineffective"
    FREEZE = "freeze-window"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """
    The answer to a signal or a claim, with its reason.

    `text` is a sentence for a person. `until` makes it provisional: when that moment comes the condition is judged again.
    """

    kind: VerdictKind
    reason: Reason
    text: str
    until: datetime | None = None
    rule: str = ""
    incident: str = ""


class RunKind(StrEnum):
    """What an incident and its run are for: a service in trouble, or finding out whether its backup is any good."""

    RECOVERY = "recovery"
    DRILL = "drill"


class IncidentState(StrEnum):
    """Where an incident stands; the second row of members is final."""

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
        """Tell whether nothing more will be done by us."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """All signals and the run about one service, until closed, or one drill. `reason` is a sentence for a person."""

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

    `deadline` is when the watchdog acts; approvals and pauses move it. `catalog` is the digest of the documents that the
    run keeps to, whatever is loaded later. `walked` is when the last step ended; `changed` whether anything was changed.
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
    walked: datetime | None = None
    finished: datetime | None = None
    changed: bool = False
    kind: RunKind = RunKind.RECOVERY


class Phase(StrEnum):
    """Which part of a run a step belongs to."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoRecord:
    """
    How a change is taken back: commands (encoded), or none with the reason why none is needed or possible.

    `texts` are the same commands as a person would type them.
    """

    commands: tuple[Mapping[str, object], ...] = ()
    texts: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRecord:
    """
    One step, or one effect of a step, of one run.

    `path` is unique in run and phase: step ids from the top joined by `/`, with `[n]` for the n-th of `for_each` and
    `#n` for the n-th object of a command. `command` is the bound command (encoded), `text` the same as a person would type it.
    `namespace` is where the object of a change is, the run's own for one that lives in none; its budget is spent there.
    `facts` are the fields judged before acting, `result` the names that later expressions see, `met` whether `expect` held.
    """

    run: str
    phase: Phase = Phase.FORWARD
    path: str
    name: str = ""
    state: StepState
    changes: bool = False
    command: Mapping[str, object] | None = None
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


class PauseScope(StrEnum):
    """What a pause holds back."""

    GLOBAL = "global"
    NAMESPACE = "namespace"
    RULE = "rule"
    SERVICE = "service"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A person's stop: new steps and the deadline wait; a rollback under way goes on unless `freeze`."""

    id: str
    scope: PauseScope
    name: str = ""
    who: str
    why: str
    freeze: bool = False
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A question to a person, valid for the plan shown (`plan` is its digest) until `expires`."""

    incident: str
    path: str
    question: str
    plan: str
    asked: datetime
    expires: datetime
    who: str = ""
    answered: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GoodRevision:
    """A revision of a workload that was seen healthy: `template` is the pod-template-hash (or controller revision)."""

    workload: str
    template: str
    number: int
    first_good: datetime
    last_good: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """Something a person should hear, waiting in the outbox. `incident` None: it is about the daemon itself."""

    id: str
    incident: str | None
    kind: IncidentState
    text: str
    created: datetime
    attempts: int = 0
    due: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """
    What could not be understood: bounded and redacted, with the reason.

    `payload` is all of it, as it can be sent in again: the body of a webhook or of a poll's answer. None where that was
    not kept, because it is too large or holds a secret.
    """

    id: str
    source: SignalSource
    received: datetime
    reason: str
    excerpt: str
    payload: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A watched condition that holds since `since`; a signal follows when it has held for the rule's `for`."""

    rule: str
    target: Target
    since: datetime
    signalled: bool = False
