"""The history for the guards, as the ledger reads it inside a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kintsugi.model.change_limits import LockHolder
from kintsugi.model.good_state import ScaledToZero
from kintsugi.model.outages import NO_FAULTS, KnownFaults, Superseded
from kintsugi.model.questions import bound_of
from kintsugi.model.records import IncidentState, Pause, UndoRecord
from kintsugi.model.remedies import RemedyKind

UNHELPFUL_OUTCOMES = frozenset(
    {IncidentState.INEFFECTIVE, IncidentState.FAILED, IncidentState.ROLLED_BACK, IncidentState.NEEDS_OPERATOR}
)
"""Ends after which doing the same again at once is unlikely to help: they double the cooldown and count as failures."""

UNRESOLVED_OUTCOMES = UNHELPFUL_OUTCOMES - {IncidentState.ROLLED_BACK}
"""Ends that leave the service with a problem, for a person: a run ends rolled back only where the rollback helped."""

HANDED_OVER_OUTCOMES = frozenset({IncidentState.NEEDS_OPERATOR, IncidentState.FAILED})
"""Ends that leave the service to a person for a while: a run that was handed over, and one whose change was refused for good."""

INCONCLUSIVE_OUTCOMES = frozenset({IncidentState.CANCELLED, IncidentState.NO_ACTION})
"""Ends that say nothing about the remedy, since the run changed nothing: they do not affect a streak."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRun:
    """
    The facts of a recent run that the guards need.

    `resumed` is when a person ended the rest after its hand-over: it, and what was before it, holds nothing back any more.
    `faults` is what it was about, read of finished runs of the request's own service.
    """

    service: str
    namespace: str
    rule: str
    incident: str = ""
    runbook: str = ""
    state: IncidentState
    started: datetime
    finished: datetime | None
    changes: int
    superseded: Superseded | None = None
    resumed: datetime | None = None
    faults: KnownFaults = NO_FAULTS

    @property
    def has_slot(self) -> bool:
        """Return whether an open run counts against the limit of recoveries: not while it has given its slot away."""
        return self.state is not IncidentState.HELD


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRemedies:
    """The outcome of a finished run, what it was about, and the remedies that it has tried: none where it has changed nothing."""

    state: IncidentState
    remedies: frozenset[RemedyKind] = frozenset()
    faults: KnownFaults = NO_FAULTS


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeChange:
    """A change that a run has made, as a person would have typed it, and its undo."""

    rule: str
    run: str
    text: str
    finished: datetime
    undo: UndoRecord | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Abort:
    """A person's request that an incident ends without a further step; `requested` is when."""

    incident: str
    who: str
    why: str
    requested: datetime

    @property
    def reason(self) -> str:
        """Return a clause that says who aborted, and why."""
        return f"aborted by {self.who}: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """
    A person's no of late, `rejected` is when: to the plan of a rule, or to all rules of a service.

    `text` says who, and why. `rule` and `plan` are "" where an incident was aborted.
    """

    rule: str = ""
    plan: str = ""
    text: str
    rejected: datetime

    def covers(self, rule: str, plan: str) -> bool:
        """Return whether it is about this plan of a rule, whatever changes were shown of it."""
        return not self.plan or (self.rule, bound_of(self.plan)) == (rule, plan)


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """
    The history by which one request is decided, read in the request's own transaction (P7).

    `active` are unfinished runs, `recent` the finished ones of the last hours and the last ones of this service;
    `disruptions` the times of changes in this namespace within the budget's window; `locks` maps a lock's name to who holds it;
    `incident` is the one that the service has open, "" for none. `recoveries` are the moments at which the request's runbook
    recovered the service from its current fault, whichever rule had started it, the oldest first. `held_since` is when that
    incident was opened, if it is held; `upstreams` are the last telling runs of what the request is held for, by service. Drills
    are in none of them. `scaled_to_zero` says which run has last scaled to 0 what the request would start. `rejections` are the
    noes of people to this service's plans and incidents of late.
    """

    active: tuple[PastRun, ...] = ()
    recent: tuple[PastRun, ...] = ()
    disruptions: tuple[datetime, ...] = ()
    locks: Mapping[str, LockHolder] = field(default_factory=dict)
    pauses: tuple[Pause, ...] = ()
    incident: str = ""
    recoveries: tuple[datetime, ...] = ()
    held_since: datetime | None = None
    upstreams: Mapping[str, PastRun] = field(default_factory=dict)
    scaled_to_zero: ScaledToZero | None = None
    rejections: tuple[Rejection, ...] = ()
