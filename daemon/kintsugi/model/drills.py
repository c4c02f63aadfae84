"""Drills: the ledger's memory of a service's drills, and the report of one."""

from dataclasses import dataclass
from datetime import datetime

from kintsugi.model.records import IncidentState
from kintsugi.model.restores import Backup, Restored


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillMemory:
    """
    The facts about a service's drills, kept without a limit.

    `slot` is the last moment of its `schedule` that was handled; `passed` is when the last good drill ended.
    """

    service: str
    schedule: str = ""
    slot: datetime | None = None
    passed: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillCheck:
    """One check of a restored backup; `error` says why it was not met."""

    name: str
    met: bool
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillReport:
    """
    The result of a drill. `seconds` is the time from its start to its last check: the real duration of a restore.

    `stages` are the steps with their durations in seconds, `left_out` the checks that say nothing about the backup.
    """

    incident: str
    run: str
    service: str
    state: IncidentState
    reason: str
    started: datetime
    seconds: float
    backup: Backup | None = None
    restored: Restored | None = None
    checks: tuple[DrillCheck, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stages: tuple[tuple[str, float], ...] = ()
