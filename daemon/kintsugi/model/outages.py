"""Outages: how long a service has been down, with which fault, and whether a person has been notified of it (P11)."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from kintsugi.model.causes import CauseKind


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    """
    The time since which a service has been down without interruption, and its current fault.

    `fault_since` is the earliest moment at which the fault can have begun: the outage's begin, or the last diagnosis without it.
    `diagnosed` is the last diagnosis. `notified` are the faults of this outage that a person was notified of; `notice` is the id of
    the last notice about it, "" for none.
    """

    service: str
    since: datetime
    fault: Fault
    fault_since: datetime
    diagnosed: datetime | None = None
    notified: tuple[Fault, ...] = ()
    notice: str = ""


class NoticeState(Enum):
    """Whether a person has been notified of a fault: the notice may still wait for its delivery."""

    NONE = "none"
    WAITING = "waiting"
    SENT = "sent"
