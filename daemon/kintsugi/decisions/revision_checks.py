"""
Decides whether a revision of a workload is good, so that a rollback may lead to it, and whether a good one is good no
more.

Pure. Health alone does not make it so: pods can be ready and answer every request with an error.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.decisions.diagnosis.related_objects import CheckFacts
from kintsugi.model.views import ServiceView
from kintsugi.objects import predicates
from kintsugi.objects.pods import Pod

ON_TRIAL = 6
"""The time on trial of a good revision, in multiples of the time that made it good: an hour by default."""

_OUT_OF_MEMORY = "OOMKilled"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedRevision:
    """
    The facts about the revision with which a service is well.

    `since` is the time at which it became well with it. `unasked` are the service's checks that were not asked since,
    `checks` the last answers of the others; a check without an answer is in neither. `signals` are the rules whose
    signals about the service hold.
    """

    since: datetime
    unasked: Collection[str] = ()
    checks: Collection[CheckFacts] = ()
    signals: Collection[str] = ()


def not_good(revision: CheckedRevision, *, lasting: timedelta, now: datetime) -> str:
    """Return why a revision is not good, or not yet, "" when it is: well for `lasting`, each check met, no signal that holds."""
    if now - revision.since < lasting:
        return f"the service has been healthy for less than {lasting}"
    if unmet := next((check for check in revision.checks if not check.met), None):
        return f"the check {unmet.name} fails: {unmet.answer}"
    if revision.unasked:
        return f"{', '.join(sorted(revision.unasked))} has not been checked yet"
    if revision.signals:
        return f"signals about the service fire: {', '.join(sorted(revision.signals))}"
    return ""


def fails_by_itself(view: ServiceView, *, since: datetime, upstream: str, now: datetime) -> str:
    """
    Return how a revision that was good `since` a moment fails by itself, "" where it does not.

    Each of its pods is ended for want of memory or in a crash loop, and no upstream is unwell (`upstream` names one): a single pod
    may fail for its node or its volume, and one that waits for an upstream crashes as well.
    """
    pods = [pod for pod in view.new_pods if not predicates.terminating(pod) and not predicates.finished(pod)]
    if upstream or not pods:
        return ""
    ends = [_end(pod, since, now) for pod in pods]
    return f"each of its pods fails by itself: {', '.join(ends)}" if all(ends) else ""


def _end(pod: Pod, since: datetime, now: datetime) -> str:
    if predicates.crash_looping(pod, now):
        return f"{pod.metadata.name} is in a crash loop"
    for status in pod.status.container_statuses:
        ended = status.state.terminated or status.last_state.terminated
        if ended is not None and ended.reason == _OUT_OF_MEMORY and (ended.finished_at or since) > since:
            return f"{pod.metadata.name} was killed for lack of memory"
    return ""
