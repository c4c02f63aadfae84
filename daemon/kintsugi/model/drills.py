"""What is known of drills: what the ledger remembers of a service's, and the report of one."""

from dataclasses import dataclass
from datetime import datetime

from kintsugi.model.records import IncidentState
from kintsugi.model.restore import Backup, Restored


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillMemory:
    """
    What is known of a service's drills, however old they are.

    `slot` is the last moment of its `schedule` that was dealt with; `passed` is when the last good drill ended.
    """

    service: str
    schedule: str = ""
    slot: datetime | None = None
    passed: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillCheck:
    """One check of a restored backup; `error` says what stood in the way where it was not met."""

    name: str
    met: bool
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillReport:
    """
    What came of a drill. `seconds` is the time from its start to its last check: the honest time of a restore.

    `stages` are the steps with the seconds that each took, `left_out` the checks that tell nothing of the backup.
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
