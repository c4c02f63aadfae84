"""A run that went well on a service that is well, to be spoiled in one place each."""

from datetime import datetime, timedelta

from kintsugi.decisions.watchdog import (
    Progress,
    RollbackEvidence,
    WatchdogResult,
    WatchdogTimings,
    at_deadline,
    watch,
)
from kintsugi.model.runbooks import Rollback, RollbackPolicy, RollbackThen
from kintsugi.model.views import ServiceView
from tests.unit.factories import NOW, moment

TIMEOUT = WatchdogTimings(
    verify=timedelta(minutes=2), alert_lag=timedelta(minutes=15), failing_for=timedelta(minutes=3)
)
INNOCENT = RollbackEvidence(known_good=False, last_written_by_us=True)
"""Nothing speaks against going back."""


def watched(
    seen: ServiceView,
    *,
    now: datetime,
    steps_finished_at: datetime | None = None,
    changed: bool = True,
    clear_since: datetime | None = None,
    stuck: bool = False,
) -> WatchdogResult:
    """Judge before the deadline."""
    progress = Progress(
        began=NOW,
        deadline=moment(minutes=30),
        steps_finished_at=steps_finished_at,
        changed=changed,
        clear_since=clear_since,
        stuck=stuck,
    )
    return watch(seen, progress, TIMEOUT, now=now)


def decided_late(
    seen: ServiceView,
    *,
    now: datetime,
    evidence: RollbackEvidence = INNOCENT,
    when: RollbackPolicy = RollbackPolicy.SAFE,
    then: RollbackThen = RollbackThen.UNDO,
    observed_since: datetime | None = None,
) -> WatchdogResult:
    """Judge at or after the deadline."""
    rollback = Rollback(policy=when, then=then)
    return at_deadline(seen, evidence, rollback, TIMEOUT, observed_since=observed_since or now, now=now)
