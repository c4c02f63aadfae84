"""What the guards are told of the past, as the ledger reads it inside a claim."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kintsugi.model.records import IncidentState, Pause


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRun:
    """What the guards need to know of a run: little, and only of recent ones."""

    service: str
    namespace: str
    rule: str
    state: IncidentState
    started: datetime
    finished: datetime | None
    changes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """
    All that the ledger knows for deciding one claim, read in the claim's own transaction (P7).

    `active` are unfinished runs, `recent` the finished ones of the last hours and the last ones of this service;
    `disruptions` the times of changes in this namespace within the budget's window; `locks` maps a lock's name to its run;
    `incident` is the one that the service has open, "" for none. `recoveries` are the moments at which the claim's runbook
    recovered the service, whichever rule had started it, the oldest first. Drills are in none of them.
    """

    active: tuple[PastRun, ...] = ()
    recent: tuple[PastRun, ...] = ()
    disruptions: tuple[datetime, ...] = ()
    locks: Mapping[str, str] = field(default_factory=dict)
    pauses: tuple[Pause, ...] = ()
    incident: str = ""
    recoveries: tuple[datetime, ...] = ()
