"""A run that went well on a service that is well, to be spoiled in one place each."""

from datetime import datetime, timedelta

from kintsugi.model.documents import RollbackThen, RollbackWhen
from kintsugi.model.views import ServiceView
from kintsugi.watchdog import Deadline, Judgement, Patience, Progress, Suspicion, at_deadline, watch
from tests.unit.factories import NOW, moment

PATIENCE = Patience(verify=timedelta(minutes=2), alert_lag=timedelta(minutes=15), failing_for=timedelta(minutes=3))
INNOCENT = Suspicion(known_good=False, ours=True)
"""Nothing speaks against going back."""


def watched(
    seen: ServiceView,
    *,
    now: datetime,
    walked: datetime | None = None,
    changed: bool = True,
    clear_since: datetime | None = None,
    stuck: bool = False,
) -> Judgement:
    """Judge before the deadline."""
    progress = Progress(
        began=NOW, deadline=moment(minutes=30), walked=walked, changed=changed, clear_since=clear_since, stuck=stuck
    )
    return watch(seen, progress, PATIENCE, now=now)


def judged_late(
    seen: ServiceView,
    *,
    now: datetime,
    suspicion: Suspicion = INNOCENT,
    when: RollbackWhen = RollbackWhen.SAFE,
    then: RollbackThen = RollbackThen.UNDO,
    looked_since: datetime | None = None,
) -> Judgement:
    """Judge at or after the deadline."""
    terms = Deadline(when=when, then=then, looked_since=looked_since or now)
    return at_deadline(seen, suspicion, terms, PATIENCE, now=now)
