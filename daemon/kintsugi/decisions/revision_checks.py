"""
Decides whether a revision of a workload is good: what a rollback may lead to.

Pure. Health alone does not make it so: pods can be ready and answer every request with an error.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.decisions.diagnosis.surroundings import CheckFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedRevision:
    """
    What is known of the revision that a service is well with.

    `since` is when it began to be well with it. `unasked` are the service's checks that were not asked since, `checks` how the
    others were answered last; one that has no answer is in neither. `signals` are the rules whose signals about the service hold.
    """

    since: datetime
    unasked: Collection[str] = ()
    checks: Collection[CheckFacts] = ()
    signals: Collection[str] = ()


def not_good(revision: CheckedRevision, *, lasting: timedelta, now: datetime) -> str:
    """Return why a revision is not good, or not yet, "" when it is: well for `lasting`, each check met, no signal that holds."""
    if now - revision.since < lasting:
        return f"it has not been well for {lasting} yet"
    if unmet := next((check for check in revision.checks if not check.met), None):
        return f"the check {unmet.name} is not met: {unmet.answer}"
    if revision.unasked:
        return f"{', '.join(sorted(revision.unasked))} has not been checked yet"
    if revision.signals:
        return f"signals about the service hold: {', '.join(sorted(revision.signals))}"
    return ""
