"""Outages: how long a service has been down, with which fault, and whether a person has been notified of it (P11)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum

from kubediagnosis.causes import Cause, CauseKind, Diagnosis


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """
    A problem of a service, to distinguish it from another one: its pod template, and its cause as a diagnosis names it.

    `kind` is None while no cause is known. Of a pod as `object` only the type counts: its successor has the same fault.
    """

    template: str
    kind: CauseKind | None = None
    object: str = ""
    field: str = ""

    @classmethod
    def of(cls, cause: Cause, template: str = "") -> "Fault":
        """Return the fault of a cause under a template."""
        kind, _, name = cause.object.partition("/")
        what = kind if kind == "pod" or not name else cause.object
        return cls(template=template, kind=cause.kind, object=what, field=cause.field)

    def __str__(self) -> str:
        if self.kind is None:
            return "a problem without a known cause"
        return " ".join(part for part in (self.kind.value, self.object, self.field) if part)


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownFaults:
    """The faults that a run or a hand-over was about: the pod templates at that time, and each diagnosed cause."""

    templates: frozenset[str] = frozenset()
    causes: frozenset[Fault] = frozenset()

    @classmethod
    def of(cls, templates: Iterable[str], diagnoses: Iterable[Diagnosis]) -> "KnownFaults":
        """Return the faults of templates, "" for unknown ones, and diagnoses."""
        causes = frozenset(Fault.of(cause) for each in diagnoses for cause in each.causes)
        return cls(templates=frozenset(templates) - {""}, causes=causes)

    def has_template(self, fault: Fault) -> bool:
        """Return whether a fault has one of their templates, or may have: an unknown one is any."""
        return not fault.template or not self.templates or fault.template in self.templates

    def has_cause(self, fault: Fault) -> bool:
        """Return whether a fault has one of their causes, or may have: an unknown one is any."""
        return fault.kind is None or not self.causes or replace(fault, template="") in self.causes

    def has(self, fault: Fault | None) -> bool:
        """Return whether a fault returns with one of their templates and one of their causes, or may: then it is not new."""
        return fault is None or (self.has_template(fault) and self.has_cause(fault))


NO_FAULTS = KnownFaults()


class Superseded(StrEnum):
    """The reason for which a run ended while it verified: its problem returned, or another fault began."""

    SAME_FAULT = "same-fault"
    OTHER_FAULT = "other-fault"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    """
    The time since which a service has been down without interruption, and its current fault.

    `fault_since` is the earliest moment at which the fault can have begun: the outage's begin, or the last diagnosis without it.
    `well_since` is since when the service was well before, None where that was not seen. `diagnosed` is the last
    diagnosis. `notified` are the faults of this outage that a person was notified of; `notice` is the id of the last
    notice about it, "" for none.
    """

    service: str
    since: datetime
    fault: Fault
    fault_since: datetime
    well_since: datetime | None = None
    diagnosed: datetime | None = None
    notified: tuple[Fault, ...] = ()
    notice: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeOfProblem:
    """A notice that tells a person of a problem; `incident` is None for that of an outage itself."""

    incident: str | None
    created: datetime
    sent: bool


class NoticeState(Enum):
    """Whether a person has been notified of a fault: the notice may still wait for its delivery."""

    NONE = "none"
    WAITING = "waiting"
    SENT = "sent"
